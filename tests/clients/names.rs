//! One name in all its forms, and what is no name: literal addresses, other protocols, the name servers
//! that browsers and libraries bring along, and `localhost`.

use crate::common::place::Place;
use crate::common::world::World;
use crate::common::{must_have, must_have_sandbox, user::users};
use crate::script;
use crate::site::{Site, trusting};

#[test]
fn upper_case_and_a_trailing_dot_are_the_same_name() {
    must_have_sandbox();
    must_have(&["curl", "python3"]);
    let (site, world) = (Site::new(), World::new());
    site.put(&world);
    let lines = r#"
        for host in WWW.EXAMPLE www.example. wWw.ExAmPlE.; do
            curl -sS -o /dev/null -w '%{http_code}\n' http://$host/hello
            curl -sS -o /dev/null -w '%{http_code}\n' https://$host/hello
        done
        curl -sS http://www.example../hello 2>/dev/null || echo $?
        curl -sS http://www_.example/hello 2>/dev/null || echo $?
        python3 -c 'import socket
print(len({socket.gethostbyname(name) for name in ["www.example", "WWW.example.", "www.EXAMPLE"]}))'"#;
    for user in users() {
        let place = Place::new(user);
        let options = trusting(&place, &site);
        let rules = ["www.example:80", "www.example"];
        let output = script(&place, &world, &rules, &options, lines).run().code(0);
        assert_eq!(output.stdout, format!("{}6\n6\n1\n", "200\n".repeat(6)), "{}", output.stderr);
        assert_eq!(world.asked(), ["www.example:443", "www.example:80"]);
    }
}

/// Tries each, and prints how it ended. Whatever hangs is a timeout.
const PROBE: &str = r#"
import errno, socket, sys
def tcp(host, port):
    socket.create_connection((host, port), 20).recv(1)
    return "connected"
def udp(host, port):
    stream = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    stream.settimeout(20)
    stream.connect((host, port))
    stream.send(b"\xc0" + bytes(1199))
    stream.recv(1)
    return "answered"
def name(host, port):
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0]
for word in sys.argv[1:]:
    kind, host, port = word.split("/")
    try: said = {"tcp": tcp, "udp": udp, "name": name}[kind](host, int(port))
    except socket.gaierror as error: said = "unknown" if error.errno == socket.EAI_NONAME else str(error)
    except TimeoutError: said = "timeout"
    except OSError as error: said = errno.errorcode.get(error.errno, str(error))
    print(word, said, flush=True)
"#;

/// What to try, with how it must end.
const TRIED: [(&str, &str); 28] = [
    ("tcp/2001:db8::1/443", "ECONNREFUSED"),
    ("tcp/2606:4700:4700::1111/443", "ECONNREFUSED"),
    ("tcp/2606:4700:4700::1111/80", "ECONNREFUSED"),
    ("tcp/::ffff:1.1.1.1/443", "ECONNREFUSED"),
    ("tcp/64:ff9b::101:101/443", "ECONNREFUSED"),
    ("tcp/fd00:ec2::254/80", "ECONNREFUSED"),
    ("tcp/1.1.1.1/443", "ECONNREFUSED"),
    ("tcp/1.1.1.1/853", "ECONNREFUSED"),
    ("tcp/8.8.8.8/853", "ECONNREFUSED"),
    ("tcp/9.9.9.9/443", "ECONNREFUSED"),
    ("tcp/192.168.1.1/80", "ECONNREFUSED"),
    ("tcp/10.0.0.1/22", "ECONNREFUSED"),
    ("tcp/172.17.0.1/2375", "ECONNREFUSED"),
    ("tcp/25.64.0.1/22", "ECONNREFUSED"),
    ("udp/1.1.1.1/443", "ECONNREFUSED"),
    ("udp/8.8.8.8/853", "ECONNREFUSED"),
    ("udp/2606:4700:4700::1111/443", "ECONNREFUSED"),
    ("udp/162.159.200.123/123", "ECONNREFUSED"),
    ("udp/www.example/443", "ECONNREFUSED"),
    ("tcp/www.example/853", "ECONNREFUSED"),
    ("name/dns.google/443", "unknown"),
    ("name/cloudflare-dns.com/443", "unknown"),
    ("name/mozilla.cloudflare-dns.com/443", "unknown"),
    ("name/dns.quad9.net/853", "unknown"),
    ("name/doh.opendns.com/443", "unknown"),
    // By this, Firefox is told to leave its own name servers alone.
    ("name/use-application-dns.net/443", "unknown"),
    ("name/metadata.google.internal/80", "unknown"),
    ("name/1.1.1.1.in-addr.arpa/80", "unknown"),
];

#[test]
fn what_is_no_allowed_name_is_refused_at_once_by_whatever_way() {
    must_have_sandbox();
    must_have(&["python3"]);
    let world = World::new();
    for user in users() {
        let place = Place::new(user);
        place.project_file("probe.py", PROBE);
        let words = TRIED.map(|(word, _)| word).join(" ");
        let lines = format!("python3 probe.py {words}");
        let output = script(&place, &world, &["www.example"], &[], &lines).run().code(0);
        let expected = TRIED.map(|(word, how)| format!("{word} {how}\n"));
        assert_eq!(output.stdout, expected.concat());
        assert!(world.asked().is_empty());

        // Control: by rules of their own the first kinds lead to the world.
        let rules = ["www.example:853", "dns.quad9.net:853", "use-application-dns.net"];
        let words = "tcp/www.example/853 tcp/dns.quad9.net/853 name/use-application-dns.net/443";
        let lines = format!("python3 probe.py {words}");
        let output = script(&place, &world, &rules, &[], &lines).run().code(0);
        assert_eq!(output.stdout.matches(" connected\n").count(), 2, "{output:?}");
        assert!(output.stdout.contains("name/use-application-dns.net/443 25."), "{output:?}");
        assert_eq!(world.asked(), ["dns.quad9.net:853", "www.example:853"]);
    }
}

#[test]
fn localhost_and_all_below_it_are_the_sandboxs_own() {
    must_have_sandbox();
    must_have(&["python3", "curl"]);
    let world = World::new();
    for user in users() {
        let place = Place::new(user);
        place.project_file("page", "a page\n");
        let lines = "
            python3 -m http.server --bind 127.0.0.1 8000 >/dev/null 2>&1 & server=$!
            until curl -s http://127.0.0.1:8000/page >/dev/null; do sleep 0.05; done
            for host in localhost LOCALHOST localhost. app.localhost a.b.localhost $(uname -n); do
                getent ahostsv4 $host | head -1 | cut -d' ' -f1
                curl -sS http://$host:8000/page
            done
            python3 -c 'import socket; print(socket.gethostbyname(\"app.localhost.\"))'
            kill $server";
        // That everything is allowed changes nothing about it.
        let rules = ["*.example:8000", "example:8000"];
        let output = script(&place, &world, &rules, &[], lines).run().code(0);
        let expected = "127.0.0.1\na page\n".repeat(6);
        assert_eq!(output.stdout, format!("{expected}127.0.0.1\n"), "{}", output.stderr);
        assert!(world.asked().is_empty());
    }
}
