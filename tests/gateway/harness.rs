//! A sandbox with a gateway and a broker that only accepts (`tests/examples/gateway.rs`), and what is
//! seen of it from inside and from outside.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::supervised::{User, example};

/// A run of it.
#[derive(Clone, Debug)]
pub(crate) struct Job(Value);

/// How it went.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The exit code of what ran inside.
    pub(crate) code: Option<i32>,
    /// What that wrote.
    pub(crate) inside: String,
    /// What the broker told.
    pub(crate) outside: Vec<Value>,
    /// Everything on standard error.
    pub(crate) errors: String,
}

fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| example("gateway"))
}

/// As the product isolates.
pub(crate) const ISOLATE: &str =
    "--unshare-all --unshare-user --cap-drop ALL --as-pid-1 --disable-userns --dev /dev";

impl Job {
    /// Runs a command in a sandbox whose traffic comes to the gateway by one of these ways.
    pub(crate) fn new(ways: &[&str], command: &[&str]) -> Self {
        Self::isolated(ISOLATE, ways, command)
    }

    /// The same, with these options of bwrap.
    pub(crate) fn isolated(options: &str, ways: &[&str], command: &[&str]) -> Self {
        let mounts = "--ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --symlink \
                      usr/lib64 /lib64 --symlink usr/sbin /sbin --proc /proc --tmpfs /tmp";
        let options = options.split_whitespace().chain(mounts.split_whitespace());
        let args: Vec<&str> = options.chain(command.iter().copied()).collect();
        Self(json!({
            "bwrap": which::which("bwrap").expect("bubblewrap is installed"), "args": args,
            "pool": "198.18.0.0/15", "ways": ways, "listen": [], "datagrams": [], "inside": [],
            "attempts": false, "linger": 0, "back": null,
        }))
    }

    pub(crate) fn with(mut self, key: &str, value: Value) -> Self {
        self.0[key] = value;
        self
    }

    pub(crate) fn command(&self, user: User) -> Command {
        self.wrapped(user, &[])
    }

    /// Behind another program, which executes it.
    pub(crate) fn wrapped(&self, user: User, wrapper: &[&str]) -> Command {
        let program = program().to_str().unwrap();
        let words: Vec<&str> = wrapper.iter().copied().chain([program]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(self.0.to_string()).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        user.apply(&mut command);
        command
    }

    pub(crate) fn run(&self, user: User) -> Seen {
        Seen::of(self.command(user))
    }
}

impl Seen {
    pub(crate) fn of(mut command: Command) -> Self {
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        Self {
            code: output.status.code(),
            inside: String::from_utf8_lossy(&output.stdout).into_owned(),
            outside: errors.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
            errors,
        }
    }

    /// What the broker told under a key.
    pub(crate) fn told(&self, key: &str) -> Vec<Value> {
        self.outside.iter().filter_map(|value| value.get(key).cloned()).collect()
    }

    #[track_caller]
    pub(crate) fn fine(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// What the program inside answered to `name`, of lines `NAME ANSWER`.
    #[track_caller]
    pub(crate) fn answer(&self, name: &str) -> &str {
        let answer =
            self.inside.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        answer.unwrap_or_else(|| panic!("no answer to {name}: {self:#?}"))
    }
}
