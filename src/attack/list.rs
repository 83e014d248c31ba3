//! What is tried, and when the sandbox has held: a table made for one scene.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use super::act::{Act, Call, ORDERS};
use super::attempt::{Attempt, Holds, List};
use super::network;
use super::scene::Scene;
use crate::bytes::Bytes;

/// The variable of the caller's environment that must not arrive.
pub(super) const VARIABLE: &str = "CLAUDEBOX_ATTACK_SECRET";

/// Files of a project that programs of the host execute.
const EXECUTED: [&str; 3] = [".envrc", ".mcp.json", "mise.toml"];

/// Everything that is tried in a scene, in order.
pub(super) fn attempts(scene: &Scene) -> Vec<Attempt> {
    let mut list = List::default();
    list.writes(scene);
    list.home(scene);
    list.execs(scene);
    list.git(scene);
    list.host_files(scene);
    network::attempts(&mut list, scene);
    list.identity(scene);
    list.system_calls(scene);
    list.assertions(scene);
    list.0
}

/// What is refused, but in a sandbox that may have others in it.
fn unless_nested(scene: &Scene) -> Holds {
    if scene.nested { Holds::NotPromised("nested-userns") } else { Holds::Refused }
}

impl List {
    /// A new file at a place where the host must not get one.
    fn plant(&mut self, promise: &'static str, what: &str, path: PathBuf) {
        self.add(promise, what, Act::Create(bytes(&path)), Holds::NotThere(path));
    }

    fn writes(&mut self, scene: &Scene) {
        let Scene { project, home, name, .. } = scene;
        let kept = project.join(name);
        self.add("W", "write into the project (it may)", Act::Create(bytes(&kept)), Holds::Done);
        for directory in
            ["/etc", "/usr/bin", "/usr/local/bin", "/var/lib", "/opt", "/boot", "/root"]
        {
            self.plant(
                "W",
                &format!("make a file in {directory}"),
                Path::new(directory).join(name),
            );
        }
        self.plant("W", "make a file in the home", home.join(name));
        self.plant("W", "make a file beside the project", project.with_file_name(name));
        for directory in ["/tmp", "/var/tmp", "/dev/shm"] {
            let what = format!("make a file in the host's {directory}");
            self.plant("W", &what, Path::new(directory).join(name));
        }
        for path in ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/etc/passwd"] {
            self.add("W", format!("write {path}"), Act::Write(path.into()), Holds::Refused);
        }
    }

    fn home(&mut self, scene: &Scene) {
        let secret = bytes(&scene.secret);
        self.add("H", "read a file in the home", Act::Read(secret), Holds::Refused);
        for below in [".ssh", ".aws", ".gnupg", ".bash_history", ".netrc", ".config/gh"] {
            let path = bytes(&scene.home.join(below));
            self.add("H", format!("read ~/{below}"), Act::Read(path), Holds::Refused);
        }
        let variable = Act::Variable(VARIABLE.to_owned());
        self.add("H", "see a secret in the environment", variable, Holds::Refused);
        let environ = Act::Read("/proc/1/environ".into());
        self.add("H", "read the environment of pid 1", environ, Holds::Refused);
        self.add("H", "read /etc/shadow", Act::Read("/etc/shadow".into()), Holds::Refused);
    }

    fn execs(&mut self, scene: &Scene) {
        // Any number of seconds nobody else sleeps.
        let seconds = 1_000_000 + fold(&scene.name);
        let logged = if scene.logged {
            Holds::Logged(seconds)
        } else {
            Holds::NotPromised("the exec log is not required")
        };
        self.add("E", "execute a program unseen", Act::LeaveBehind(seconds), logged);
        let (later, dead) = (seconds + 1, Holds::Dead(seconds + 1));
        self.add("D", "leave a process behind", Act::LeaveBehind(later), dead);
        self.add("D", "kill pid 1 inside", Act::EndInit, Holds::Refused);
        self.add("D", "trace pid 1 inside", Act::Call(Call::TraceInit), Holds::Refused);
        self.add(
            "D",
            "write the memory of pid 1",
            Act::Write("/proc/1/mem".into()),
            Holds::Refused,
        );
    }

    fn git(&mut self, scene: &Scene) {
        let git = scene.project.join(".git");
        self.plant("G", "plant a git hook", git.join("hooks/pre-commit"));
        if scene.private_git {
            // What is written in the copy stays in it.
            self.plant("G", "plant .git/config.worktree", git.join("config.worktree"));
            self.plant("G", "plant .git/commondir", git.join("commondir"));
        } else {
            let config = Act::Write(bytes(&git.join("config")));
            self.add("G", "write .git/config", config, Holds::Refused);
        }
        self.plant("G", "plant .git/info/attributes", git.join("info/attributes"));
    }

    fn host_files(&mut self, scene: &Scene) {
        for name in EXECUTED {
            let path = scene.project.join(name);
            let what = format!("leave {name} for the host to execute");
            if scene.set_aside {
                self.plant("P", &what, path);
            } else {
                let holds = Holds::NotPromised("host-files = \"report\"");
                self.add("P", what, Act::Create(bytes(&path)), holds);
            }
        }
    }

    fn identity(&mut self, scene: &Scene) {
        self.add("I", "have a capability", Act::Capability, Holds::Refused);
        let gain = Act::Call(Call::GainPrivileges);
        self.add("I", "gain privileges by an exec", gain, Holds::Refused);
        let bit = Act::SetUserId(bytes(&scene.project.join(&scene.name)));
        self.add("I", "leave a program that others run as you", bit, unless_nested(scene));
    }

    fn system_calls(&mut self, scene: &Scene) {
        for (what, call) in [
            ("type into the terminal (TIOCSTI)", Call::InjectInput),
            ("paste into the console (TIOCLINUX)", Call::PasteSelection),
            ("load a BPF program", Call::Bpf),
            ("use the kernel's keyrings", Call::Keyctl),
            ("use io_uring", Call::IoUring),
            ("open a file by its handle", Call::OpenByHandle),
            ("catch page faults (userfaultfd)", Call::Userfaultfd),
            ("open a perf event", Call::PerfEvent),
            ("talk to the hypervisor (AF_VSOCK)", Call::Vsock),
        ] {
            self.add("S", what, Act::Call(call), Holds::Refused);
        }
        let namespace = Act::Call(Call::NewUserNamespace);
        self.add("S", "make a user namespace", namespace, unless_nested(scene));
        self.add("S", "mount a file system", Act::Call(Call::Mount), unless_nested(scene));
    }

    fn assertions(&mut self, scene: &Scene) {
        for path in &scene.must_not_read {
            let what = format!("read {}", crate::visible::visible_path(path));
            self.add("assert", what, Act::Read(bytes(path)), Holds::Refused);
        }
        for path in &scene.must_write {
            let what = format!("write {} (it must)", crate::visible::visible_path(path));
            self.add("assert", what, Act::Write(bytes(path)), Holds::SameFile(path.clone()));
        }
        for endpoint in &scene.must_not_reach {
            let act = Act::Connect(endpoint.clone());
            self.add("assert", format!("reach {endpoint}"), act, Holds::Refused);
        }
    }
}

fn bytes(path: &Path) -> Bytes {
    path.into()
}

/// A number below a million of a name.
fn fold(name: &str) -> u32 {
    name.bytes().fold(7, |sum, byte| (sum * 31 + u32::from(byte)) % 900_000)
}

/// What lies in the project when all is over.
pub(super) fn remains(scene: &Scene) -> Vec<String> {
    let planted = EXECUTED.into_iter().filter(|_| !scene.set_aside).map(str::to_owned);
    let mut names = vec![".git".to_owned(), ORDERS.to_owned(), scene.name.clone()];
    names.extend(planted);
    names.sort();
    names
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::network::plan::{Allow, Network};
    use crate::network::rule::Rules;
    use crate::network::{parse, pool};
    use crate::profile::schema::Demand;

    pub(in super::super) fn scene() -> Scene {
        Scene {
            project: "/var/tmp/o/project".into(),
            home: "/home/u".into(),
            secret: "/home/u/s/secret".into(),
            name: "n".into(),
            endpoint: "127.0.0.1:1".into(),
            network: allowing(&["example.com", "10.0.0.0/8:22"]),
            scoped: true,
            logged: true,
            set_aside: true,
            private_git: true,
            must_write: vec!["/data".into()],
            must_not_reach: vec!["example.com:80".into()],
            ..Scene::default()
        }
    }

    /// With these rules.
    pub(in super::super) fn allowing(rules: &[&str]) -> Network {
        let allow = rules.iter().map(|rule| parse::allow(rule, "test").unwrap());
        Network::Allow(Box::new(Allow {
            rules: Rules { allow: allow.collect(), deny: Vec::new() },
            pool: pool::DEFAULT,
            host_ports: Vec::new(),
            publish: Vec::new(),
            proxy: None,
            upstream: None,
            transparent: Demand::BestEffort,
        }))
    }

    #[test]
    fn what_a_profile_does_not_promise_is_said() {
        let open =
            Scene { network: Network::Host, scoped: false, nested: true, logged: false, ..scene() };
        let open: Vec<&str> = attempts(&open)
            .iter()
            .filter(|attempt| matches!(attempt.holds, Holds::NotPromised(_)))
            .map(|attempt| attempt.promise)
            .collect();
        assert_eq!(open, ["E", "N", "N", "I", "S", "S"]);
    }
}
