//! The gateway of the network: what the sandbox reaches through it and what not, by which ways, and
//! that it goes without a trace. Each row is one of the pitfalls of two network namespaces.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so when it fails"
)]

mod harness;
mod limits;
#[path = "../supervised/mod.rs"]
mod supervised;
mod whole;

use serde_json::json;

use harness::{ISOLATE, Job};
use supervised::users;

const CONNECTS: &str = include_str!("../programs/connects.py");

/// A sandbox that asks for these, one after the other.
fn asks(ways: &[&str], asked: &[&str]) -> Job {
    asks_isolated(ISOLATE, ways, asked)
}

fn asks_isolated(options: &str, ways: &[&str], asked: &[&str]) -> Job {
    let mut command = vec!["python3", "-c", CONNECTS];
    command.extend(asked);
    Job::isolated(options, ways, &command)
}

/// Where packets for every address come to the gateway.
const TRANSPARENT: [&str; 2] = ["veth", "any-ip"];

#[test]
fn what_listens_is_reached_by_its_address_and_everything_else_is_refused_at_once() {
    let table = [
        // An address of the pool, that no interface has; of IPv6 too.
        ("tcp/198.18.0.9/443", "198.18.0.9:443"),
        ("tcp/2001:db8::5/443", "[2001:db8::5]:443"),
        // Every address, and beside it one alone.
        ("tcp/5.5.5.5/8443", "5.5.5.5:8443"),
        ("tcp/2001:db8::6/8443", "[2001:db8::6]:8443"),
        ("tcp/198.18.0.9/8443", "198.18.0.9:8443"),
        ("tcp/198.18.0.1/3128", "198.18.0.1:3128"),
        // Whichever name server a program knows.
        ("udp/198.18.0.1/53", "198.18.0.1"),
        ("udp/8.8.8.8/53", "8.8.8.8"),
        ("udp/2001:4860:4860::8888/53", "2001:4860:4860::8888"),
        ("tcp/8.8.8.8/53", "8.8.8.8:53"),
        // A port of the host's.
        ("tcp/127.0.0.1/11434", "127.0.0.1:11434"),
        ("tcp/::1/11434", "[::1]:11434"),
        // Nothing listens there.
        ("tcp/198.18.0.9/80", "ECONNREFUSED"),
        ("tcp/198.18.0.10/443", "ECONNREFUSED"),
        ("tcp/5.5.5.5/443", "ECONNREFUSED"),
        ("tcp/2001:db8::6/443", "ECONNREFUSED"),
        ("tcp/169.254.169.254/80", "ECONNREFUSED"),
        ("tcp/192.168.1.1/80", "ECONNREFUSED"),
        ("tcp/10.0.0.1/22", "ECONNREFUSED"),
        ("tcp/127.0.0.1/22", "ECONNREFUSED"),
        ("udp/5.5.5.5/443", "ECONNREFUSED"),
        ("udp/2001:db8::6/443", "ECONNREFUSED"),
        ("udp/198.18.0.1/443", "ECONNREFUSED"),
    ];
    let asked: Vec<&str> = table.iter().map(|(asked, _)| *asked).collect();
    for user in users() {
        for way in TRANSPARENT {
            let job = asks(&[way], &asked)
                .with(
                    "listen",
                    json!([
                        "198.18.0.9:443",
                        "[2001:db8::5]:443",
                        "0.0.0.0:8443",
                        "[::]:8443",
                        "198.18.0.9:8443",
                        "198.18.0.1:3128",
                        "0.0.0.0:53"
                    ]),
                )
                .with("datagrams", json!(["0.0.0.0:53", "[::]:53"]))
                .with("inside", json!(["127.0.0.1:11434", "[::1]:11434"]));
            let seen = job.run(*user).fine();
            assert_eq!(seen.told("failed"), [""; 0], "{way}: {seen:#?}");
            assert_eq!(seen.told("gateway")[0]["way"], way);
            for (asked, expected) in table {
                assert_eq!(seen.answer(asked), expected, "{way} {user:?}: {asked}");
            }
        }
    }
}

#[test]
fn without_a_listener_nothing_is_reached_at_all() {
    for user in users() {
        for way in ["veth", "any-ip", "proxy-only"] {
            let seen = asks(&[way], &["tcp/1.1.1.1/443", "tcp/198.18.0.1/3128", "udp/8.8.8.8/53"]);
            let seen = seen.run(*user).fine();
            let unreachable = if way == "proxy-only" { "ENETUNREACH" } else { "ECONNREFUSED" };
            assert_eq!(seen.answer("tcp/1.1.1.1/443"), unreachable);
            assert_eq!(seen.answer("udp/8.8.8.8/53"), unreachable);
            assert_eq!(seen.answer("tcp/198.18.0.1/3128"), "ECONNREFUSED");
        }
    }
}

#[test]
fn the_last_way_has_the_gateways_own_address_and_no_other() {
    for user in users() {
        let asked =
            ["tcp/198.18.0.1/3128", "udp/198.18.0.1/53", "tcp/127.0.0.1/11434", "tcp/5.5.5.5/8443"];
        let seen = asks(&["proxy-only"], &asked)
            .with("listen", json!(["198.18.0.1:3128", "0.0.0.0:8443"]))
            .with("datagrams", json!(["198.18.0.1:53"]))
            .with("inside", json!(["127.0.0.1:11434"]))
            .run(*user)
            .fine();
        assert_eq!(seen.answer(asked[0]), "198.18.0.1:3128");
        assert_eq!(seen.answer(asked[1]), "198.18.0.1");
        assert_eq!(seen.answer(asked[2]), "127.0.0.1:11434");
        assert_eq!(seen.answer(asked[3]), "ENETUNREACH");
    }
}

/// A program that asks for addresses only of families there are (`AI_ADDRCONFIG`) does not count a
/// loopback: with nothing else not even `localhost` is found.
#[test]
fn there_is_an_address_so_that_names_are_looked_up() {
    let hosts = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&hosts, "127.0.0.1 localhost\n198.18.0.9 example.com\n").unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&hosts, open).unwrap();
    let options = format!("{ISOLATE} --ro-bind {} /etc/hosts", hosts.path().display());
    for user in users() {
        for way in ["veth", "any-ip", "proxy-only"] {
            let seen = asks_isolated(&options, &[way], &["name/example.com", "name/localhost"]);
            let seen = seen.run(*user).fine();
            assert_eq!(seen.answer("name/example.com"), "198.18.0.9", "{way}");
            assert_eq!(seen.answer("name/localhost"), "127.0.0.1", "{way}");
        }
    }
}

#[test]
fn a_server_inside_takes_any_port_and_is_reached_only_as_itself() {
    let asked = [
        "bind/0.0.0.0/9418",
        "bind/0.0.0.0/443",
        "bind/127.0.0.1/80",
        "bind/0.0.0.0/3000",
        "tcp/198.18.0.9/9418",
        "tcp/127.0.0.1/3000",
        "tcp/5.5.5.5/3000",
    ];
    for user in users() {
        let run =
            |way| asks(&[way], &asked).with("listen", json!(["198.18.0.9:9418"])).run(*user).fine();
        let seen = run("veth");
        for bound in &asked[..4] {
            assert_eq!(seen.answer(bound), "bound", "{user:?}");
        }
        assert_eq!(seen.answer("tcp/127.0.0.1/3000"), "own server");
        assert_eq!(seen.answer("tcp/5.5.5.5/3000"), "ECONNREFUSED");

        // Control: on one loopback both stand in each other's way.
        let seen = run("any-ip");
        assert_eq!(seen.answer("bind/0.0.0.0/9418"), "EADDRINUSE");
        assert_eq!(seen.answer("tcp/5.5.5.5/3000"), "own server");
    }
}

#[test]
fn a_port_inside_is_reached_from_outside() {
    for user in users() {
        for way in TRANSPARENT {
            // The first connection lets the broker come back.
            let script = "import socket\n\
                 server = socket.create_server(('127.0.0.1', 3000))\n\
                 knock = socket.create_connection(('198.18.0.9', 443), 10)\n\
                 stream, _ = server.accept()\n\
                 stream.send(b'hello')\n\
                 stream.close()\n\
                 print('knock', knock.makefile().read().strip())";
            let seen = Job::new(&[way], &["python3", "-c", script])
                .with("listen", json!(["198.18.0.9:443"]))
                .with("back", json!(3000))
                .run(*user)
                .fine();
            assert_eq!(seen.told("inside-said"), ["hello"], "{way} {user:?}");
        }
    }
}

#[test]
fn attempts_are_seen_and_answers_are_not() {
    let asked = [
        "tcp/198.18.0.9/443",
        "tcp/5.5.5.5/22",
        "udp/8.8.8.8/53",
        "udp/8.8.4.4/443",
        "tcp/2001:db8::6/80",
        "udp/2001:db8::6/443",
        "bind/127.0.0.1/3000",
        "tcp/127.0.0.1/3000",
    ];
    let expected =
        ["tcp 198.18.0.9:443", "tcp 5.5.5.5:22", "udp 8.8.4.4:443", "tcp [2001:db8::6]:80"];
    for user in users() {
        for way in TRANSPARENT {
            let seen = asks(&[way], &asked)
                .with("listen", json!(["198.18.0.9:443"]))
                .with("datagrams", json!(["0.0.0.0:53"]))
                .with("attempts", json!(true))
                .with("linger", json!(300))
                .run(*user)
                .fine();
            let last = "udp [2001:db8::6]:443";
            let expected: Vec<_> = expected.iter().copied().chain([last]).collect();
            assert_eq!(seen.told("attempt"), expected, "{way} {user:?}");
        }
    }
}

/// What only the owner of the network may do.
const CHANGES: &str = "grep CapEff /proc/self/status | tr '\\t' ' '
    try() { if \"$@\" >/tmp/said 2>&1; then echo \"$1-$2-$3 done\"; else echo \"$1-$2-$3 refused\"; fi; }
    try ip link set lo down
    try ip route del default
    try ip addr add 10.9.9.9/32 dev lo
    try python3 -c 'import socket; socket.socket(17, 3)' packet
    try python3 -c 'import socket; socket.socket(2, 3, 1)' raw";

#[test]
fn nothing_inside_has_a_capability_over_its_network() {
    for user in users() {
        for way in TRANSPARENT {
            let seen = Job::new(&[way], &["sh", "-c", CHANGES]).run(*user).fine();
            assert_eq!(seen.answer("CapEff:"), "0000000000000000");
            assert!(!seen.inside.contains("done"), "{way} {user:?}: {seen:#?}");
        }
        // Control: whoever is given them in the sandbox's own user namespace changes all of it.
        let options = "--unshare-all --unshare-user --as-pid-1 --cap-add ALL";
        let seen = Job::isolated(options, &["veth"], &["sh", "-c", CHANGES]).run(*user).fine();
        assert_ne!(seen.answer("CapEff:"), "0000000000000000");
        assert!(!seen.inside.contains("refused"), "{user:?}: {seen:#?}");
    }
}

#[test]
fn several_at_once_do_not_meet() {
    let job = asks(&["veth"], &["tcp/198.18.0.9/443", "tcp/198.18.0.9/444"])
        .with("listen", json!(["198.18.0.9:443"]));
    let runs: Vec<_> = (0..8)
        .map(|_| {
            let job = job.clone();
            std::thread::spawn(move || job.run(supervised::User::Current).fine())
        })
        .collect();
    for run in runs {
        let seen = run.join().unwrap();
        assert_eq!(seen.answer("tcp/198.18.0.9/443"), "198.18.0.9:443");
        assert_eq!(seen.answer("tcp/198.18.0.9/444"), "ECONNREFUSED");
    }
}
