//! N: the network is what was asked for. Today that is none of it, or all of it, said so.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use crate::common::place::Place;
use crate::common::{must_have, must_have_sandbox, user::users};
use crate::script;

/// A server of the host, on its loopback.
fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 1];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(b"the host answers");
        }
    });
    port
}

fn connect(port: u16) -> String {
    format!(
        "python3 -c \"import socket; s=socket.create_connection(('127.0.0.1',{port}),5)
s.send(b'x'); print(s.recv(99))\""
    )
}

#[test]
fn promise_n_none_reaches_nothing_of_the_host() {
    must_have_sandbox();
    must_have(&["python3"]);
    let port = server();
    for user in users() {
        let place = Place::new(user);
        let output = script(&place, &["--network", "none"], &connect(port)).run();
        assert_ne!(output.code, 0);
        assert!(!output.stdout.contains("the host answers"));
        let links = "cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' '";
        let output = script(&place, &["--network", "none"], links).run().code(0);
        assert_eq!(output.stdout, "lo\n");

        // Control: with the host's network the same program reaches it.
        script(&place, &["--network", "host"], &connect(port)).run().code(0).says("host answers");
    }
}

#[test]
fn promise_n_the_open_network_is_shown_as_weakened() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let open = place.claudebox(["explain", "--network", "host", "--", "true"]).run().code(0);
        assert!(open.stdout.contains("network"), "{}", open.stdout);
        script(&place, &["--network", "host"], "true").run().code(0);
        let log = crate::common::log::Log::latest(&place);
        let Some(claudebox::log::event::Event::Start(start)) = log.events.first() else {
            panic!("the log does not begin with the start")
        };
        assert!(start.weakened.iter().any(|item| item.contains("network")), "{start:?}");
    }
}
