//! N: a name that is allowed does not lead to this machine, whatever its owner says that it leads to.
//! The names are in a hosts file that only this claudebox sees, mounted by a bwrap around it.

use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use claudebox::log::event::Event;

use crate::common::log::Log;
use crate::common::place::Place;
use crate::common::run::Run;
use crate::common::{must_have, must_have_sandbox, user::users};

/// A server on all addresses of this machine, and how many came to it.
fn server() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("[::]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let came = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&came);
    thread::spawn(move || {
        for stream in listener.incoming() {
            count.fetch_add(1, Ordering::SeqCst);
            drop(stream);
        }
    });
    (port, came)
}

/// The addresses of this machine's interfaces, where it has others than loopbacks.
fn own() -> Vec<IpAddr> {
    let addresses = nix::ifaddrs::getifaddrs().unwrap().filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.filter(|address| !address.is_loopback())
    });
    addresses.collect()
}

/// Names, and where they lead.
fn names() -> Vec<(String, String)> {
    let fixed = ["127.0.0.1", "127.5.5.5", "0.0.0.0", "::1", "::ffff:127.0.0.1", "::ffff:0.0.0.0"];
    let all =
        fixed.map(str::to_owned).into_iter().chain(own().into_iter().map(|own| own.to_string()));
    all.enumerate().map(|(number, address)| (format!("n{number}.led.example"), address)).collect()
}

/// claudebox with these names.
fn claudebox(place: &Place, names: &[(String, String)]) -> Run {
    let lines = names.iter().map(|(name, address)| format!("{address} {name}\n"));
    let text: String = std::iter::once("127.0.0.1 localhost\n".to_owned()).chain(lines).collect();
    let hosts = place.home_file("hosts", text);
    let run = place.command("bwrap").args(["--dev-bind", "/", "/", "--ro-bind"]);
    run.args([hosts.as_path(), "/etc/hosts".as_ref(), "--".as_ref(), place.executable()])
        .args(["run", "--no-monitor"])
}

const ATTACKER: &str = r#"
import socket, sys
for name in sys.argv[2:]:
    try:
        s = socket.create_connection((name, int(sys.argv[1])), 10); s.sendall(b"x"); s.recv(1)
        print(name, "connected")
    except OSError as e: print(name, e)
"#;

#[test]
fn promise_n_a_name_does_not_lead_to_this_machine() {
    must_have_sandbox();
    must_have(&["python3"]);
    for user in users() {
        let place = Place::new(user);
        let (port, came) = server();
        let names = names();
        let target = |name: &str| format!("{name}:{port} private");
        let attack: Vec<String> = ["--", "python3", "-c", ATTACKER, &port.to_string()]
            .into_iter()
            .chain(names.iter().map(|(name, _)| name.as_str()))
            .map(str::to_owned)
            .collect();
        let rules = names.iter().flat_map(|(name, _)| ["--allow".to_owned(), target(name)]);
        claudebox(&place, &names).args(rules).args(&attack).run().code(0);
        assert_eq!(came.load(Ordering::SeqCst), 0);
        let log = Log::latest(&place);
        for (name, address) in &names {
            let told = log.events.iter().any(|event| {
                matches!(event, Event::Refused(refused)
                    if refused.host == *name && refused.why == "private" && refused.allow.is_none())
            });
            assert!(told, "{name}, {address}: {:#?}", log.events);
        }

        // Control: with the host's network each of these names leads there.
        claudebox(&place, &names).args(["--network", "host"]).args(&attack).run().code(0);
        assert!(came.load(Ordering::SeqCst) >= names.len());
    }
}
