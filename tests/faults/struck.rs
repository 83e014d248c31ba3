//! A project whose agent can be held and let go, and what must be true of it after a fault.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use serde_json::Value;

use crate::common::DEADLINE;
use crate::common::place::Place;
use crate::common::run::Output;
use crate::common::user::User;
use crate::outside::{Marker, tree};

/// What ends or stops a process.
pub(crate) const SIGNALS: [Signal; 4] =
    [Signal::SIGKILL, Signal::SIGSTOP, Signal::SIGTERM, Signal::SIGHUP];

/// The code of an agent that was let go.
pub(crate) const LET_GO: i32 = 7;

/// The signals to try as this user: all as an ordinary one, for root the worst alone (all of them in
/// `make soak`), since between the two only bwrap's start differs.
pub(crate) fn signals(user: User) -> &'static [Signal] {
    &SIGNALS[..crate::common::times(if user.is_root() { 1 } else { SIGNALS.len() }, SIGNALS.len())]
}

/// A project in which one session after the other is struck.
pub(crate) struct Struck {
    pub(crate) place: Place,
    go: PathBuf,
    pub(crate) before: BTreeMap<PathBuf, String>,
}

impl Struck {
    pub(crate) fn new(user: User) -> Self {
        crate::common::must_have_sandbox();
        let place = Place::new(user);
        let go = place.project().join("go");
        mkfifo(&go, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        user.own(&go);
        let before = tree(&place.project());
        Self { place, go, before }
    }

    /// An agent with a process beside it that would outlive it. It executes nothing more when it is
    /// let go, so that it can end while nobody answers for its execs.
    pub(crate) fn agent(marker: &Marker) -> String {
        format!("{} & read x <go; exit {LET_GO}", marker.command())
    }

    /// Lets the agent go; the file must be kept until it has gone.
    pub(crate) fn let_go(&self) -> File {
        let_go(&self.go)
    }

    /// Waits until the log shows the agent's own command: from here on it must not be lost.
    pub(crate) fn wait_until_logged(&self, marker: &Marker) {
        wait_until("the command in the log", || self.is_logged(marker).then_some(()));
    }

    fn is_logged(&self, marker: &Marker) -> bool {
        let log = self.place.claudebox(["log", "--json"]).run();
        let seconds = marker.command().split_off("sleep ".len());
        log.stdout.contains(&format!("[\"sleep\",\"{seconds}\"]"))
    }

    /// What `ls --json` says of the latest session.
    pub(crate) fn session(&self) -> Value {
        let output = self.place.claudebox(["ls", "--json"]).run().code(0);
        serde_json::from_str(output.stdout.lines().next().unwrap()).unwrap()
    }

    pub(crate) fn state(&self) -> String {
        self.session()["state"].as_str().unwrap().to_owned()
    }

    /// What holds after every fault. `logged`: the agent's command had been seen in the log.
    #[track_caller]
    pub(crate) fn check(&self, marker: &Marker, logged: bool, case: &str) -> Output {
        marker.wait_until_it_is_gone();
        assert_eq!(tree(&self.place.project()), self.before, "{case}: litter in the project");
        let verified = self.place.claudebox(["verify"]).run();
        assert!(matches!(verified.code, 0 | 2), "{case}: {verified:#?}");
        assert!(!logged || self.is_logged(marker), "{case}: a logged command is lost");
        assert!(matches!(&*self.state(), "ended" | "crashed"), "{case}: {}", self.session());
        verified
    }

    /// And that nothing is left of all of them when another session has begun and ended.
    #[track_caller]
    pub(crate) fn check_all(&self) {
        self.place.claudebox(["run", "--no-monitor", "--", "true"]).run().code(0);
        let left: Vec<_> =
            fs::read_dir(self.place.root().join("run/claudebox")).unwrap().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
        let pending: Vec<_> =
            fs::read_dir(self.place.state().join("pending")).unwrap().flatten().collect();
        assert!(pending.is_empty(), "{pending:?}");
    }
}

/// Writes a line into a pipe that somebody waits at, or nobody.
pub(crate) fn let_go(pipe: &Path) -> File {
    // For reading too: that waits for nobody.
    let mut file = File::options().read(true).write(true).open(pipe).unwrap();
    file.write_all(b"x\n").unwrap();
    file
}

#[track_caller]
pub(crate) fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Strikes a process that is there.
#[track_caller]
pub(crate) fn strike(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// The arguments of a process, each ended by NUL.
pub(crate) fn cmdline(pid: i32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}
