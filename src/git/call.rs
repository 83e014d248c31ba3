//! One call of the host's git on the host's repository. All that such a call could execute for the
//! repository or its caller is switched off, the environment is a listed few, and time and output
//! are bounded. Every such call of claudebox is made here. It must never be given a directory that
//! an agent can write: that is for [`super::boxed`].

use std::ffi::{OsStr, OsString};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::error::{Error, Result, Tried as _};
use crate::host::search::Projects;
use crate::subprocess::{self, Broken, Group};
use crate::sys::process;
use crate::visible::visible;

/// How long a call may take that only looks at refs, the index or a few objects.
pub const SHORT: Duration = Duration::from_secs(10);
/// How much a call may say where nothing else is asked for, bytes: an index of a million files.
const OUTPUT: usize = 256 << 20;
/// The lines of it that are shown.
const LINES: usize = 6;

/// Git on alternates that lead to where a private directory is mounted inside, which nobody needs to know.
const ELSEWHERE: &[u8] = b"error: unable to normalize alternate object path: ";

/// Who the user is to git, for a commit; besides the configuration, the environment may say so.
const IDENTITY: [&str; 5] =
    ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"];

/// By which gpg(1) and ssh-keygen(1) find the user's keys, and whom to ask for a passphrase.
const SIGNING: [&str; 12] = [
    "GNUPGHOME",
    "GPG_TTY",
    "SSH_AUTH_SOCK",
    "SSH_ASKPASS",
    "SSH_ASKPASS_REQUIRE",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_RUNTIME_DIR",
    "XDG_DATA_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "TERM",
];

/// What is taken over from our environment: where the user's own configuration is, and whose it is.
const KEPT: [&str; 5] = ["HOME", "XDG_CONFIG_HOME", "USER", "LOGNAME", "TMPDIR"];

/// What git is told by its environment.
const SAID: [(&str, &str); 8] = [
    ("LC_ALL", "C"),
    // An object stays what it is, whatever `refs/replace` says.
    ("GIT_NO_REPLACE_OBJECTS", "1"),
    // From 2.44 on. An older git is only kept from it by what it may fetch from: nothing.
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_PAGER", "cat"),
    ("GIT_EDITOR", "false"),
    ("GIT_ASKPASS", "false"),
];

/// What no configuration can have run. A value on the command line is obeyed before every file.
const FLAGS: [&str; 14] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.alternateRefsCommand=true",
    "core.sshCommand=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "log.showSignature=false",
    "protocol.version=2",
    // Milliseconds: another git of the user's may be at work.
    "core.filesRefLockTimeout=5000",
    "core.packedRefsTimeout=5000",
    "fetch.writeCommitGraph=false",
    // A file or an address from which there come objects and refs besides what is asked for.
    "fetch.bundleURI=",
];

/// One call, not made yet.
#[derive(Debug)]
pub struct Call {
    program: OsString,
    what: String,
    options: Vec<OsString>,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    configuration: Vec<(OsString, OsString)>,
    /// It fetches, from a path.
    fetches: bool,
    /// Where an agent can write: no program is looked for there.
    project: Option<PathBuf>,
    input: Vec<u8>,
    limits: Limits,
    lock: Option<OwnedFd>,
    group: Group,
}

/// What a call may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long it may last.
    pub time: Duration,
    /// How much it may say, bytes.
    pub output: usize,
    /// How large a file it, or a program it starts, may make, bytes (`RLIMIT_FSIZE`).
    pub file_size: Option<u64>,
    /// How much memory each of its processes may ask for, bytes (`RLIMIT_DATA`).
    pub memory: Option<u64>,
}

impl Limits {
    /// Enough for a look at refs, the index or a few objects.
    pub const USUAL: Self = Self { time: SHORT, output: OUTPUT, file_size: None, memory: None };
}

/// What a git may take that compares or writes the files of a work tree, or writes thousands of refs
/// through to the disk.
pub const PATIENT: Limits = Limits { time: Duration::from_secs(300), ..Limits::USUAL };

impl Default for Limits {
    fn default() -> Self {
        Self::USUAL
    }
}

/// What came of a call.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub output: Vec<u8>,
    /// What it said to a person, ready for a terminal; a few lines.
    pub words: String,
}

impl Call {
    /// A call of this git. `what` says what it is for, as in "cannot WHAT".
    pub fn new(program: &Path, what: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            what: what.into(),
            options: Vec::new(),
            arguments: Vec::new(),
            environment: Vec::new(),
            configuration: Vec::new(),
            fetches: false,
            project: None,
            input: Vec::new(),
            limits: Limits::default(),
            lock: None,
            group: Group::Own,
        }
    }

    /// The repository, by its git directory.
    #[must_use]
    pub fn git_dir(mut self, path: &Path) -> Self {
        self.options.extend(["--git-dir".into(), path.into()]);
        self
    }

    /// The work tree, where the call looks at one; it runs there.
    #[must_use]
    pub fn work_tree(mut self, path: &Path) -> Self {
        self.options.extend(["-C".into(), path.into(), "--work-tree".into(), path.into()]);
        self
    }

    /// The project, also where the call does not look at it: what git runs along `PATH`, gpg(1) for
    /// a signature, is not taken from there, nor from the repository that we are in.
    #[must_use]
    pub fn project(mut self, path: &Path) -> Self {
        self.project = Some(path.into());
        self
    }

    /// Another word for git.
    #[must_use]
    pub fn arg(mut self, word: impl AsRef<OsStr>) -> Self {
        self.arguments.push(word.as_ref().into());
        self
    }

    /// More words for git.
    #[must_use]
    pub fn args<W: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.arguments.extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// A value of the configuration. Other than with `-c`, the key may have an `=` in it.
    #[must_use]
    pub fn config(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.configuration.push((key.as_ref().into(), value.as_ref().into()));
        self
    }

    /// It fetches from a path. Any other call may fetch from nothing: for an object that a partial clone
    /// does not have, git would ask what a stranger's configuration names, and execute its `uploadpack`.
    #[must_use]
    pub fn fetches(mut self) -> Self {
        self.fetches = true;
        self
    }

    /// A variable of the environment, such as `GIT_INDEX_FILE`.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.into(), value.as_ref().into()));
        self
    }

    /// What stands in its standard input, otherwise empty.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// What it may take.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Has it go on when we are killed, and hold this lock until it is done: git that is killed while it
    /// changes refs leaves locks behind, which nobody takes away.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn outlives_us(mut self, lock: BorrowedFd<'_>) -> Result<Self> {
        let lock = lock.try_clone_to_owned();
        self.lock = Some(lock.tried(|| format!("{}: keep the lock", self.what))?);
        Ok(self)
    }

    /// It makes a commit in the user's name.
    #[must_use]
    pub fn as_the_user(self) -> Self {
        self.with_ours(&IDENTITY)
    }

    /// It signs with the user's key. A program of the user's may ask for a passphrase, also in the
    /// terminal, which only who is in our process group may read.
    #[must_use]
    pub fn signs(mut self) -> Self {
        self.group = Group::Ours;
        self.with_ours(&SIGNING)
    }

    /// It starts a box: all that it starts ends with us, and not only itself.
    #[must_use]
    pub fn starts_a_box(mut self) -> Self {
        self.group = Group::Kept;
        self
    }

    fn with_ours(mut self, names: &[&str]) -> Self {
        let ours = names.iter().filter_map(|name| Some(((*name).into(), std::env::var_os(name)?)));
        self.environment.extend(ours);
        self
    }

    /// Makes the call; answers with what it printed.
    ///
    /// # Errors
    /// When git says no, in its words; when it cannot be started, or takes or says too much.
    pub fn run(self) -> Result<Vec<u8>> {
        let what = self.what.clone();
        let outcome = self.outcome()?;
        if outcome.status.success() { Ok(outcome.output) } else { Err(outcome.refusal(&what)) }
    }

    /// Makes the call, where git's no is an answer, too.
    ///
    /// # Errors
    /// When it cannot be started, or takes or says too much.
    pub fn outcome(self) -> Result<Outcome> {
        let mut command = Command::new(&self.program);
        // The directory we are in may be gone, or an agent's.
        command.env_clear().current_dir("/");
        command.envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.env("PATH", path(self.project.as_deref()));
        // No configuration has a say then; by `protocol.allow` a stranger's `protocol.ext.allow` would win,
        // and with it a command that `url.*.insteadOf` says. No protocol is called `none`.
        command.env("GIT_ALLOW_PROTOCOL", if self.fetches { "file" } else { "none" });
        command.envs(SAID).envs(self.environment);
        let count = self.configuration.len();
        command.env("GIT_CONFIG_COUNT", count.to_string());
        for (number, (key, value)) in self.configuration.into_iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{number}"), key);
            command.env(format!("GIT_CONFIG_VALUE_{number}"), value);
        }
        for flag in FLAGS {
            command.args(["-c", flag]);
        }
        command.args(self.options).args(self.arguments);
        match (self.lock, self.group) {
            (Some(lock), _) => process::outlive(&mut command, lock),
            (None, Group::Kept) => {}
            (None, _) => process::signal_at_our_end(&mut command, Signal::SIGKILL),
        }
        run(command, &self.what, &self.input, self.limits, self.group)
    }
}

/// Our `PATH`, without what leads into a project.
fn path(project: Option<&Path>) -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Where we are may be gone.
    let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
    let projects = Projects::of(&here, project.into_iter());
    projects.map(|projects| projects.left_of(&path)).unwrap_or_default()
}

impl Outcome {
    /// The error that this outcome is.
    pub fn refusal(&self, what: &str) -> Error {
        let how = match self.status.code() {
            Some(code) => format!("git ended with {code}"),
            None => format!("git was ended by {}", self.status),
        };
        let words = if self.words.is_empty() { how } else { self.words.clone() };
        Error::launcher(format!("cannot {what}: {words}"))
    }
}

/// Runs a command within its limits. Whether it outlives us is the caller's to say, but for [`Group::Kept`].
pub(super) fn run(
    mut command: Command,
    what: &str,
    input: &[u8],
    limits: Limits,
    group: Group,
) -> Result<Outcome> {
    process::limit(&mut command, limits.file_size, limits.memory);
    let program = visible(command.get_program().as_encoded_bytes());
    let told = subprocess::run(command, input, group, limits.time, limits.output);
    let told = told.map_err(|broken| {
        Error::launcher(match broken {
            Broken::NotStarted(err) => format!("cannot {what}: cannot execute {program}: {err}"),
            Broken::Late => {
                format!("cannot {what}: git was not done within {} s", limits.time.as_secs())
            }
            Broken::TooMuch => {
                format!("cannot {what}: git says more than {} MiB", limits.output >> 20)
            }
            Broken::Io(err) => format!("cannot {what}: {err}"),
        })
    })?;
    let Output { status, stdout: output, stderr } = told;
    Ok(Outcome { status, output, words: last_words(&stderr) })
}

/// The last lines of what git said, without what another side made it say about its progress.
fn last_words(bytes: &[u8]) -> String {
    let lines: Vec<String> = bytes
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty() && !line.starts_with(ELSEWHERE))
        .map(visible)
        .collect();
    lines[lines.len().saturating_sub(LINES)..].join("; ")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn shell(script: &str, limits: Limits) -> Result<Outcome> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        run(command, "try", b"given", limits, Group::Own)
    }

    #[test]
    fn what_it_says_and_how_it_ends_is_told() {
        let outcome = shell("cat; echo 'a\x1bb' >&2; exit 3", Limits::default()).unwrap();
        assert_eq!(outcome.output, b"given");
        assert_eq!(outcome.words, "a\\x1bb");
        assert_eq!(outcome.refusal("try").to_string(), "cannot try: a\\x1bb");
        assert_eq!(outcome.status.code(), Some(3));
    }

    #[test]
    fn no_program_is_looked_for_in_the_project() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("git");
        fs::write(&program, "#!/bin/sh\necho \"$PATH\"\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let path = std::env::var_os("PATH").unwrap();
        let there = std::env::split_paths(&path).find(|entry| entry.is_dir()).unwrap();
        let looks_in = |call: Call| {
            let said = call.run().unwrap();
            let path = OsStr::from_bytes(said.trim_ascii_end());
            std::env::split_paths(path).any(|entry| entry == there)
        };
        assert!(!looks_in(Call::new(&program, "try").project(&there)));
        assert!(looks_in(Call::new(&program, "try")), "control");
    }

    #[test]
    fn who_takes_too_long_or_says_too_much_is_killed_with_its_children() {
        let limits = Limits { time: Duration::from_millis(300), ..Limits::default() };
        let directory = tempfile::tempdir().unwrap();
        let alive = directory.path().join("alive");
        let script = format!("(sleep 5; touch {}) & sleep 60", alive.display());
        let error = shell(&script, limits).unwrap_err().to_string();
        assert_eq!(error, "cannot try: git was not done within 0 s");
        let limits = Limits { output: 1 << 20, ..Limits::default() };
        let error = shell("yes", limits).unwrap_err().to_string();
        assert_eq!(error, "cannot try: git says more than 1 MiB");
        // Nobody who was killed closed its output by itself.
        let closed = shell("exec >&- 2>&-; sleep 60", Limits { time: SHORT / 20, ..limits });
        assert!(closed.unwrap_err().to_string().contains("not done"));
        assert!(!alive.exists());
    }

    #[test]
    fn a_file_may_be_so_large_and_not_larger() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        let script = format!("head -c 100000 /dev/zero > {}", file.display());
        let limits = Limits { file_size: Some(4096), ..Limits::default() };
        assert!(!shell(&script, limits).unwrap().status.success());
        assert_eq!(fs::metadata(&file).unwrap().len(), 4096);
        assert!(shell(&script, Limits::default()).unwrap().status.success());
        assert_eq!(fs::metadata(&file).unwrap().len(), 100_000);
    }
}
