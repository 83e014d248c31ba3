//! N: the network is what was asked for: what rules name, none of it, or all of it, said so.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
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

#[test]
fn promise_n_by_default_a_service_of_the_host_is_not_reached() {
    must_have_sandbox();
    must_have(&["python3"]);
    let port = server();
    for user in users() {
        let place = Place::new(user);
        let output = script(&place, &[], &connect(port)).run();
        assert_ne!(output.code, 0);
        assert!(!output.stdout.contains("the host answers"));
        // Control: the same profile, and the host's network.
        script(&place, &["--network", "host"], &connect(port)).run().code(0).says("host answers");
    }
}

#[test]
fn promise_n_hosts_are_found_by_files_of_the_sandboxs_own() {
    must_have_sandbox();
    let files = ["/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/hosts"].map(Path::new);
    let look = || {
        files.map(|file| {
            let meta = fs::symlink_metadata(file).ok()?;
            Some((meta.len(), meta.modified().unwrap(), fs::read(file).ok()))
        })
    };
    let before = look();
    for user in users() {
        let place = Place::new(user);
        place.home_file(
            ".config/claudebox/profiles/whole.toml",
            "extends = [\"base\"]\nfiles.system = [\"/etc\"]\n",
        );
        let see = "cat /etc/resolv.conf; grep hosts: /etc/nsswitch.conf; getent hosts localhost; \
                   getent hosts $(uname -n) >&2 && echo found; echo more 2>/dev/null >> /etc/hosts && echo written";
        // Made in the root, and laid over what is there where all of /etc is the host's: bwrap would
        // else make them in it, which root may.
        for profile in ["default", "whole"] {
            let output = script(&place, &["--profile", profile], see).run();
            let inside = output.stdout;
            assert!(inside.contains("\nnameserver 25.64.0.1\nhosts: files dns\n"), "{inside}");
            assert!(inside.contains("localhost"), "{inside}");
            assert!(inside.contains("found"), "the machine's own name: {inside}");
            assert!(!inside.contains("written"), "{inside}");
        }
        assert_eq!(look(), before, "the host's files are as they were");
        // Control: with the host's network they are the host's.
        let host = script(&place, &["--network", "host"], see).run().stdout;
        assert!(!host.contains("25.64.0.1"), "{host}");
    }
}

#[test]
fn promise_n_a_repository_denies_and_never_allows() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let explain = || place.claudebox(["explain", "--", "true"]).run();
        place.project_file(".claudebox.toml", "[network]\ndeny = [\"*.evil.example\"]\n");
        let denied = explain().code(0).stdout;
        assert!(denied.contains("deny           *.evil.example "), "{denied}");
        for more in [
            "allow = [\"evil.example\"]",
            "allow = [\"@dev\"]",
            "mode = \"host\"",
            "host-ports = [5432]",
            "publish = [\"8080\"]",
        ] {
            place.project_file(".claudebox.toml", format!("[network]\n{more}\n"));
            explain().code(2).complains("claudebox trust");
        }
        // Control: who trusts it gets what it says.
        place.claudebox(["trust", "--yes"]).run().code(0);
        assert!(explain().code(0).stdout.contains("publish        8080 at port 8080"));
    }
}
