//! The gateway in a whole session: the supervisor starts it with bwrap, nothing of the agent's runs
//! before it is ready, and it dies with whatever dies.

use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use claudebox::log::event::Event;
use claudebox::network::plan::{Allow, Network};
use claudebox::network::rule::Rules;
use claudebox::plan::{Demand, Plan};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::CONNECTS;
use crate::supervised::{PATIENCE, Process, Room, User, eventually, plan, processes, users};

fn allow(argv: &[&str]) -> Plan {
    let allow = Allow {
        rules: Rules::default(),
        pool: "198.18.0.0/15".parse().unwrap(),
        host_ports: vec![],
        publish: vec![],
        proxy: None,
        upstream: None,
        transparent: Demand::Required,
    };
    Plan { network: Network::Allow(Box::new(allow)), ..plan(argv) }
}

/// The gateway process of a session.
fn gateways(supervisor: &Child) -> Vec<Process> {
    let session = i32::try_from(supervisor.id()).unwrap();
    let ours = |process: &Process| process.session == session && process.name == "gateway";
    processes().into_iter().filter(ours).collect()
}

/// A session that runs until it is killed, or the test has failed.
struct Running {
    room: Room,
    supervisor: Child,
}

impl Running {
    fn new(user: User) -> Self {
        let room = Room::new(&allow(&["/usr/bin/sleep", "1000"]), user);
        let supervisor = room.spawn();
        let running = Self { room, supervisor };
        let events = || running.room.events();
        eventually("the agent runs", || events().iter().any(|it| matches!(it, Event::Ran(_))));
        running
    }

    /// Its gateway process.
    fn gateway(&self) -> Process {
        let [gateway] = &gateways(&self.supervisor)[..] else { panic!("one gateway process") };
        gateway.clone()
    }

    fn strike(&self, signal: Signal) {
        kill(pid(&self.supervisor), signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
    }
}

#[test]
fn the_agent_finds_its_network_set_up_and_without_rules_nothing_in_it() {
    for user in users() {
        let script = format!(
            "ip -br link | tr -s ' ' | cut -d ' ' -f 1,2
             grep CapEff /proc/self/status | cut -f2
             python3 -c '{CONNECTS}' tcp/1.1.1.1/443 udp/8.8.8.8/443 bind/0.0.0.0/80"
        );
        let output = Room::new(&allow(&["/bin/sh", "-c", &script]), *user).output();
        let inside = String::from_utf8(output.stdout).unwrap();
        let expected = "lo UNKNOWN\neth0@if100 UP\n0000000000000000\ntcp/1.1.1.1/443 ECONNREFUSED\n\
                        udp/8.8.8.8/443 ECONNREFUSED\nbind/0.0.0.0/80 bound\n";
        assert_eq!(inside, expected, "{user:?} {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_gateway_process_has_what_it_needs_and_no_more() {
    for user in users() {
        let running = Running::new(*user);
        let gateway = running.gateway();
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", gateway.pid));
        let status = read("status").unwrap();
        let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        // CAP_NET_BIND_SERVICE, CAP_NET_RAW and CAP_SYS_ADMIN, in the sandbox's user namespace.
        assert_eq!(line("CapEff:").trim(), "0000000000202400");
        assert_eq!(line("CapPrm:").trim(), "0000000000202400");
        assert_eq!(line("Threads:").trim(), "1");
        let of = |name: &str| format!("/proc/{}/{name}", gateway.pid);
        if !rustix::process::geteuid().is_root() {
            // It cannot be dumped, so that its own user is told no more of it than anybody.
            for link in ["ns/user", "ns/net", "cwd"] {
                let refused = std::fs::read_link(of(link)).unwrap_err();
                assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied, "{link}");
            }
            let refused = std::fs::read_dir(of("fd")).unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
            continue;
        }
        let points_to = |name: &str| std::fs::read_link(of(name)).unwrap();
        assert_ne!(points_to("ns/user"), std::fs::read_link("/proc/self/ns/user").unwrap());
        assert_ne!(points_to("ns/net"), std::fs::read_link("/proc/self/ns/net").unwrap());
        assert_eq!(points_to("cwd").to_str(), Some("/"));
        let open = std::fs::read_dir(of("fd")).unwrap();
        let mut open: Vec<String> = open
            .map(|entry| std::fs::read_link(entry.unwrap().path()).unwrap())
            .map(|path| path.to_str().unwrap().split(':').next().unwrap().to_owned())
            .collect();
        open.sort();
        let null = "/dev/null";
        // The two namespaces, the supervisor's socket, and the one that is slow to close.
        assert_eq!(open, [null, null, null, "net", "net", "socket", "socket"], "{user:?}");
    }
}

#[test]
fn the_gateway_process_ends_with_the_session_and_with_the_supervisor() {
    for user in users() {
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            let mut running = Running::new(*user);
            running.gateway();
            running.strike(signal);
            running.supervisor.wait().unwrap();
            eventually("the gateway process is gone", || gateways(&running.supervisor).is_empty());
        }
    }
}

#[test]
fn a_session_outlives_its_gateway_process() {
    for user in users() {
        let mut running = Running::new(*user);
        kill(Pid::from_raw(running.gateway().pid), Signal::SIGKILL).unwrap();
        eventually("the gateway process is gone", || gateways(&running.supervisor).is_empty());
        sleep(Duration::from_millis(50));
        assert!(running.supervisor.try_wait().unwrap().is_none());
    }
}

#[test]
fn nothing_lives_on_whenever_the_supervisor_is_killed() {
    for user in users() {
        for delay in (0..24).map(|step| Duration::from_millis(step * 3)) {
            let room = Room::new(&allow(&["/usr/bin/sleep", "1000"]), *user);
            let mut command = room.command("users");
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut supervisor = command.spawn().unwrap();
            sleep(delay);
            supervisor.kill().unwrap();
            supervisor.wait().unwrap();
            let session = i32::try_from(supervisor.id()).unwrap();
            let alive = || processes().into_iter().filter(|process| process.session == session);
            let deadline = Instant::now() + PATIENCE;
            while alive().count() > 0 && Instant::now() < deadline {
                sleep(Duration::from_millis(5));
            }
            let alive: Vec<Process> = alive().collect();
            assert_eq!(alive, [], "{user:?} after {delay:?}");
        }
    }
}

#[test]
fn a_bwrap_that_fails_is_the_error_and_not_the_gateway() {
    for user in users() {
        let mut plan = allow(&["/bin/true"]);
        let words = ["--ro-bind", "/nonexistent", "/x"];
        let arg = |word: &str| claudebox::plan::Arg::Literal(word.into());
        plan.args.splice(0..0, words.map(arg));
        let output = Room::new(&plan, *user).output();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(125), "{stderr}");
        assert!(stderr.contains("Can't find source path /nonexistent"), "{stderr}");
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}
