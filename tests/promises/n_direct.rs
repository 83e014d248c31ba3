//! N: where a name leads is its owner's word, and the host's resolver believes it. So each address is
//! judged before it is dialled, and nothing but what was judged is. The machine is made up of two network
//! namespaces: one with claudebox and a server of its own, and the world, behind a wire.

use claudebox::log::event::Event;

use crate::common::log::Log;
use crate::common::place::Place;
use crate::common::{must_have, must_have_sandbox, user::users};

/// What the host's resolver says.
const HOSTS: &str = "
127.0.0.1 localhost
5.5.5.5 www.example
5.5.5.5 mixed.example
127.0.0.1 mixed.example
127.0.0.1 loop.example
127.9.9.9 loop-2.example
0.0.0.0 zero.example
5.5.5.1 own.example
169.254.169.254 meta.example
100.100.100.200 alibaba.example
10.9.9.9 local.example
192.168.9.9 local-2.example
100.64.9.9 cgnat.example
224.0.0.1 many.example
240.0.0.1 future.example
::1 loop-6.example
::ffff:127.0.0.1 mapped.example
::ffff:0.0.0.0 mapped-0.example
::ffff:5.5.5.1 mapped-own.example
64:ff9b::7f00:1 nat64.example
fe80::1 link-6.example
fd00::9 local-6.example
";

/// Says to everybody who it is, and writes down that somebody came.
const SERVER: &str = "
import socket, sys
listener = socket.create_server(('::', 80), family=socket.AF_INET6, dualstack_ipv6=True)
came = open(sys.argv[2], 'w')
while True:
    try: stream = listener.accept()[0]; came.write('x'); came.flush(); stream.recv(99); stream.sendall(sys.argv[1].encode()); stream.close()
    except OSError: pass
";

/// Asks each name, and prints who answers.
const CLIENT: &str = "
import socket, sys
for name in sys.argv[1:]:
    try:
        stream = socket.create_connection((name + '.example', 80), 30)
        stream.sendall(b'x'); said = stream.recv(99).decode() or 'closed'
    except OSError as error: said = type(error).__name__
    print(name, said, flush=True)
";

/// Puts the world behind a wire, and runs what it is given on this side of it.
const MACHINE: &str = r#"
mount --bind hosts /etc/hosts
ip link set lo up
rm -f world here
unshare --net sh -c 'until ip link set v1 up 2>/dev/null; do sleep 0.02; done; ip link set lo up
    for at in 5.5.5.5/24 10.9.9.9/32 192.168.9.9/32 100.64.9.9/32 169.254.169.254/32 100.100.100.200/32; do
        ip addr add $at dev v1; done
    exec python3 server.py "the world" world' </dev/null >/dev/null 2>&1 & world=$!
python3 server.py "this machine" here </dev/null >/dev/null 2>&1 & here=$!
ip link add v0 type veth peer name v1
until ip link set v1 netns $world && ! ip link show v1 >/dev/null 2>&1; do sleep 0.02; done
ip addr add 5.5.5.1/24 dev v0; ip link set v0 up; ip route add default via 5.5.5.5
until [ -e world ] && [ -e here ]; do sleep 0.02; done
"$@"; code=$?; kill -9 $world $here; exit $code
"#;

const NAMES: [&str; 20] = [
    "www",
    "mixed",
    "loop",
    "loop-2",
    "zero",
    "own",
    "meta",
    "alibaba",
    "many",
    "future",
    "loop-6",
    "mapped",
    "mapped-0",
    "mapped-own",
    "nat64",
    "link-6",
    "local",
    "local-2",
    "cgnat",
    "local-6",
];
/// The last of them lead to neighbours: `private` lifts that.
const NEIGHBOURS: usize = 4;

/// Who answers to a client that asks these names.
fn answers(place: &Place, options: &[&str], names: &[&str]) -> Vec<String> {
    let run = place
        .command("unshare")
        .args(["--user", "--map-root-user", "--mount", "--net", "sh", "-c", MACHINE, "-"])
        .args([place.executable().as_os_str()])
        .args(["run", "--no-monitor"])
        .args(options)
        .args(["--", "python3", "client.py"])
        .args(names);
    let output = run.run().code(0);
    let said = output.stdout.lines();
    said.filter(|line| line.contains("world") || line.contains("machine"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn promise_n_a_name_leads_neither_to_this_machine_nor_to_its_neighbours() {
    must_have_sandbox();
    must_have(&["python3", "unshare", "ip"]);
    for user in users() {
        let place = Place::new(user);
        place.project_file("hosts", HOSTS);
        place.project_file("server.py", SERVER);
        place.project_file("client.py", CLIENT);
        let came = || std::fs::read_to_string(place.project().join("here")).unwrap().len();
        let all = ["--allow", "*.example:80"];
        assert_eq!(answers(&place, &all, &NAMES), ["www the world", "mixed the world"]);
        assert_eq!(came(), 0);
        is_told(&place, &NAMES[2..], false);

        // `private` lets the neighbours be reached, and them only.
        let private = ["--allow", "*.example:80 private"];
        let expected = ["www", "mixed", "local", "local-2", "cgnat"];
        let expected = expected.map(|name| format!("{name} the world"));
        assert_eq!(answers(&place, &private, &NAMES), expected);
        assert_eq!(came(), 0);
        is_told(&place, &NAMES[2..NAMES.len() - NEIGHBOURS], true);
        // Control: with the host's network all that is there answers.
        let there = ["loop", "loop-2", "zero", "own", "loop-6", "mapped", "meta", "alibaba"];
        let host = answers(&place, &["--network", "host"], &there);
        let here = there[..6].iter().map(|name| format!("{name} this machine"));
        let world = there[6..].iter().map(|name| format!("{name} the world"));
        assert_eq!(host, here.chain(world).collect::<Vec<_>>());
        assert_eq!(came(), 6);
    }
}

/// Whether each of these is in the log; and whether it `offers` nothing that would lift it.
fn is_told(place: &Place, names: &[&str], offers_nothing: bool) {
    let events = Log::latest(place).events;
    for name in names {
        let told = events.iter().any(|event| match event {
            Event::Refused(refused) => {
                refused.host == format!("{name}.example")
                    && refused.why == "private"
                    && !(offers_nothing && refused.allow.is_some())
            }
            _ => false,
        });
        assert!(told, "{name}: {events:#?}");
    }
}
