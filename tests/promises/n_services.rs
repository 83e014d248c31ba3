//! N: a socket with a name knows no network namespace: whoever sees that of a service of this machine
//! which looks names up, or which starts things, has by it what the rules do not give. The attack runs
//! on a machine that has all of them: a mount namespace in which `/run` is ours.

use crate::common::place::Place;
use crate::common::{must_have, must_have_sandbox, user::users};

/// What there is on one machine or another.
const SERVICES: [&str; 14] = [
    "/run/nscd/socket",
    "/run/systemd/resolve/io.systemd.Resolve",
    "/run/systemd/resolve.hook/io.systemd.Network",
    "/run/systemd/userdb/io.systemd.DynamicUser",
    "/run/systemd/private",
    "/run/systemd/journal/socket",
    "/run/avahi-daemon/socket",
    "/run/dbus/system_bus_socket",
    "/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/snapd.socket",
    "/run/libvirt/libvirt-sock",
    "/run/user/1000/bus",
];

/// Answers whoever connects to one of them.
const SERVER: &str = "
import os, socket, sys, threading
def serve(path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    listener = socket.socket(socket.AF_UNIX); listener.bind(path); listener.listen()
    os.chmod(path, 0o777)
    while True:
        try: listener.accept()[0].sendall(b'at your service')
        except OSError: pass
for path in sys.argv[1:]: threading.Thread(target=serve, args=[path]).start()
";

/// Connects to each by every path that leads there, and prints those that answer.
const ATTACK: &str = "
import socket, sys
for path in sys.argv[1:]:
    for way in (path, '/var' + path, '/proc/1/root' + path, '/proc/self/root' + path):
        try:
            stream = socket.socket(socket.AF_UNIX); stream.settimeout(10); stream.connect(way)
            if stream.recv(99): print(path); break
        except OSError: pass
";

#[test]
fn promise_n_services_of_the_host_that_look_names_up_are_not_there() {
    must_have_sandbox();
    must_have(&["python3", "unshare"]);
    for user in users() {
        let place = Place::new(user);
        place.project_file("server.py", SERVER);
        place.project_file("attack.py", ATTACK);
        let services = SERVICES.join(" ");
        let machine = format!(
            "mount -t tmpfs none /run
             python3 server.py {services} </dev/null >/dev/null 2>&1 & server=$!
             for path in {services}; do until test -S $path; do sleep 0.02; done; done
             \"$@\"; code=$?; kill -9 $server; exit $code"
        );
        let reached = |options: &[&str]| {
            let run = place
                .command("unshare")
                .args(["--user", "--map-root-user", "--mount", "sh", "-c", &machine, "-"])
                .args([place.executable().as_os_str()])
                .args(["run", "--no-monitor"])
                .args(options)
                .args(["--", "python3", "attack.py"])
                .args(SERVICES);
            let output = run.run().code(0);
            output.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        assert!(reached(&[]).is_empty());
        assert!(reached(&["--network", "none"]).is_empty());
        // Control: whoever binds them has them, whatever the network is.
        let binds: Vec<&str> = SERVICES.iter().flat_map(|service| ["--bind", *service]).collect();
        assert_eq!(reached(&binds), SERVICES);
    }
}
