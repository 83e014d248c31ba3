//! What the log holds: one [`Event`] a line. These types are the interface between the supervisor,
//! which alone writes them, and everything that reads them (pane, `log`, `ls`, `verify`).
//! `docs/events.md` specifies the format. Fields may be added; none may change its meaning
//! without a new [`FORMAT_VERSION`]. It must never do I/O.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;

/// The version written into the first line of every segment.
pub const FORMAT_VERSION: u32 = 1;

/// Numbers the execs of a session, from 1, in the order in which the kernel reported them.
pub type ExecId = u64;

/// Microseconds since the Unix epoch (wall clock; a duration never comes from subtracting two).
pub type Micros = u64;

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ev", rename_all = "kebab-case")]
pub enum Event {
    /// The session begins. Always the first line of the first segment.
    Start(Start),
    /// The inner stage says what confines everything inside, before the agent starts.
    Confined(Confined),
    /// A process inside called execve(2) or execveat(2).
    Exec(Box<Exec>),
    /// What became of an exec: which image and argv ran, or why none did.
    Ran(Ran),
    /// The process of an exec ended.
    Exit(Exit),
    /// Something about the session itself that the reader of the log must know.
    Notice(Notice),
    /// A file that programs of the host execute by themselves came or changed.
    HostFile(HostFile),
    /// Something inside was connected to an allowed host.
    Connect(Connect),
    /// Such a connection ended, or could not be made.
    Disconnect(Disconnect),
    /// Something inside wanted to reach what it may not.
    Refused(Refused),
    /// The network's rules changed while the session ran.
    Allow(Allow),
    /// Something inside began to listen.
    Listen(Listen),
    /// A ref of the private git directory came to the host, or was held.
    Git(Git),
    /// A later segment begins; its chain continues the one before.
    Segment(Segment),
    /// The session is over. Always the last line.
    End(End),
    /// A kind this version does not know; readers pass over it.
    #[serde(other)]
    Unknown,
}

/// See [`Event::Start`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// [`FORMAT_VERSION`]
    pub v: u32,
    /// When.
    pub t: Micros,
    /// The session's id.
    pub session: String,
    /// The version of claudebox that writes.
    pub claudebox: String,
    /// The kernel release, uname(2).
    pub kernel: String,
    /// The profile's name.
    pub profile: String,
    /// The command that was asked for.
    pub agent: Vec<Bytes>,
    /// The project directory.
    pub project: Bytes,
    /// The network mode.
    pub network: String,
    /// What is weaker than the profile's best, in words; shown in the header.
    pub weakened: Vec<String>,
    /// SHA-256 of the plan (environment values left out), hexadecimal.
    pub plan: String,
    /// An environment variable whose presence at exec marks a tool call of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_marker: Option<String>,
    /// The home directory of everything inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<Bytes>,
    /// Programs the agent runs for itself (basenames); the pane folds them when unmarked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub helpers: Vec<String>,
}

/// See [`Event::Confined`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confined {
    /// When.
    pub t: Micros,
    /// `fully`, `partially`, `not-enforced` or `off`.
    pub landlock: String,
    /// The Landlock ABI the kernel offers, 0 for none.
    pub landlock_abi: u32,
    /// Whether execs are observed; if not, why not.
    pub exec_log: ExecLogStatus,
    /// What everything inside may take of the machine; what is not here is not limited.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Limit>,
}

/// A limit on what is inside, see [`Confined::limits`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// What is limited. Of everything inside together: `memory` (bytes), `processes`, `cpu`
    /// (hundredths of one processor). Of each process `open-files`, of each file `file-size` (bytes).
    pub of: String,
    /// How much there is at most.
    pub at_most: u64,
    /// What enforces it: `systemd`, `cgroup-v2`, `cgroup-v1`, `rlimit`, or `not-enforced`.
    pub by: String,
}

/// Whether execs are observed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum ExecLogStatus {
    /// Nobody asked for it.
    #[default]
    Off,
    /// Every exec is reported.
    On {
        /// Where exit statuses come from: `pidfd` (Linux 6.15) or `exit-group`.
        exit_source: String,
        /// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV` (Linux 5.19) is in force.
        killable: bool,
        /// Whether the argv that ran can be confirmed (see `docs/events.md`).
        verifies: bool,
    },
    /// It was asked for and could not be had.
    Unavailable {
        /// Why, in words.
        reason: String,
    },
}

/// See [`Event::Exec`]. What the caller passed, read while it was stopped in the system call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// When.
    pub t: Micros,
    /// This exec's number.
    pub id: ExecId,
    /// The process, as seen from outside.
    pub pid: i32,
    /// Its parent process.
    pub ppid: i32,
    /// The thread that called, where it is not the leader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tid: Option<i32>,
    /// The nearest ancestor's latest exec; absent for the agent itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ExecId>,
    /// The exec of the agent's direct child this one descends from: one tool call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<ExecId>,
    /// Distance from the agent, which is 0.
    pub depth: u32,
    /// The path argument. Hearsay until [`Ran`] confirms it.
    pub path: Bytes,
    /// The arguments, at most the configured limits. Hearsay until [`Ran`] confirms it.
    pub argv: Vec<Bytes>,
    /// How many arguments there were, where `argv` is cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argc: Option<u64>,
    /// SHA-256 over the stored bytes of argv, each followed by NUL, hexadecimal; only where the
    /// arguments themselves were not kept because the log was under pressure or at its limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argv_sha256: Option<String>,
    /// The current directory as the process sees it; absent where it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<Bytes>,
    /// Anything but the native architecture: `i386`, `x32`, `arm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// The directory descriptor and flags of execveat(2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<ExecAt>,
    /// Why something could not be read (`EFAULT`, `EPERM`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
    /// The environment held the profile's tool marker: a command the agent was asked to run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tool: bool,
    /// The earlier exec of the same search along PATH: same thread, same argv, next path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<ExecId>,
}

/// The extra arguments of execveat(2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecAt {
    /// The directory descriptor, -100 for `AT_FDCWD`.
    pub dirfd: i32,
    /// The flags: 0x1000 `AT_EMPTY_PATH`, 0x100 `AT_SYMLINK_NOFOLLOW`,
    /// 0x10000 `AT_EXECVE_CHECK` (Linux 6.14; nothing runs).
    pub flags: u32,
}

/// See [`Event::Ran`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// When.
    pub t: Micros,
    /// Which exec.
    pub id: ExecId,
    /// What is known.
    pub outcome: Outcome,
    /// The argv that ran, where it is not the one in [`Exec`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argv: Option<Vec<Bytes>>,
    /// The executable that ran, as the process names it (`/proc/PID/exe`), where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<Bytes>,
    /// The predicted error of a failed exec, by name (`ENOENT`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<String>,
}

/// What is known about an exec after the fact; the rules are in `docs/events.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It ran: the file that `path` of [`Exec`] names, with exactly its argv as far as that is kept
    /// (a script: behind its interpreter, and without its first argument, which nobody is given).
    Verified,
    /// It ran with another argv, or it was another file, than the caller showed: those in [`Ran`]
    /// are what ran.
    Changed,
    /// It ran, and its own start code came from a file the sandbox can write, so that
    /// what argv says is the program's own word.
    OwnLoader,
    /// It ran; argv could not be confirmed.
    Unverified,
    /// It did not run; certain.
    Failed,
    /// It may have run, although its path leads to nothing that can.
    ProbablyFailed,
    /// Another thread's exec won.
    Superseded,
    /// `AT_EXECVE_CHECK`: it was a question, nothing was to run.
    Checked,
    /// It cannot be told whether it ran.
    Unknown,
}

/// See [`Event::Exit`]. Written once for a process, under its latest exec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// When.
    pub t: Micros,
    /// The process's latest exec that ran.
    pub id: ExecId,
    /// The process.
    pub pid: i32,
    /// Its exit status; absent for a signal or where the kernel does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u8>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<u8>,
    /// It dumped core.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub core: bool,
    /// Microseconds since the exec, by the monotonic clock.
    pub dur_us: u64,
    /// Where the status comes from: `pidfd`, `exit-group` or `unknown`.
    pub src: String,
}

/// See [`Event::Notice`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// When.
    pub t: Micros,
    /// A stable name (`docs/events.md`).
    pub kind: String,
    /// The words for a person.
    pub text: String,
}

/// See [`Event::HostFile`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFile {
    /// When it was seen.
    pub t: Micros,
    /// Where, relative to the project.
    pub path: Bytes,
    /// `new`, `changed` or `gone`, against the start of the session.
    pub change: String,
    /// The line of the table (`docs/host-files.md`) that it matches.
    pub name: String,
    /// Who executes it, for a person.
    pub who: String,
    /// Git tracks it; only told at the end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tracked: bool,
    /// `live`: as it happened; `end`: by the look at the end.
    pub seen: String,
}

/// Numbers the connections of a session, from 1.
pub type ConnectionId = u64;

/// The rule that decided, see [`Connect`] and [`Refused`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleSaid {
    /// As it was written.
    pub text: String,
    /// The file and line, or the option, that says it.
    pub origin: String,
}

/// See [`Event::Connect`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connect {
    /// When it was let through.
    pub t: Micros,
    /// This connection's number.
    pub id: ConnectionId,
    /// The name that was asked for, or the address where there was none.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The rule that allowed it.
    pub rule: RuleSaid,
    /// How it came: `direct`, `connect` or `socks` (by the compatibility proxy), `host-port`,
    /// `publish`.
    pub via: String,
    /// It began with a TLS hello for `host`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tls: bool,
}

/// See [`Event::Disconnect`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disconnect {
    /// When.
    pub t: Micros,
    /// Which connection.
    pub id: ConnectionId,
    /// The address that was dialled; absent where none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Bytes that went out of the sandbox.
    pub sent: u64,
    /// Bytes that came in.
    pub received: u64,
    /// Microseconds since it was let through, by the monotonic clock.
    pub dur_us: u64,
    /// Why it failed, in words; absent where it ended in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// See [`Event::Refused`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// When.
    pub t: Micros,
    /// The name or address.
    pub host: String,
    /// The port; absent where only the name was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// `tcp`, `udp`, `dns`, or another protocol's number.
    pub protocol: String,
    /// `not-listed`, `denied`, `no-tls`, `other-name` (the hello names another host), `private`
    /// (it resolves to an address that is never reached), `proxy` (it spoke nonsense to the proxy),
    /// `too-many` (a bound was met).
    pub why: String,
    /// The rule that forbids it, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleSaid>,
    /// How many times since the last such line; the first is told at once, the rest together.
    pub times: u64,
    /// The other name, or the address, that made it refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What would allow it, as `claudebox allow` takes it; absent where nothing would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<String>,
}

/// See [`Event::Allow`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allow {
    /// When.
    pub t: Micros,
    /// The rule.
    pub rule: RuleSaid,
}

/// See [`Event::Listen`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listen {
    /// When it was seen.
    pub t: Micros,
    /// The address inside.
    pub address: String,
    /// The port inside.
    pub port: u16,
    /// The port of the host's loopback that leads there; absent where none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<u16>,
}

/// See [`Event::Git`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Git {
    /// When.
    pub t: Micros,
    /// `imported` (into `refs/claudebox`), `created`, `forwarded`, `rewritten`, `deleted` (on the
    /// host), `checked-out`, `staged`, `stashed`, `lfs-files`, or `held`.
    pub what: String,
    /// The ref's full name, `HEAD` for what is checked out, with the index, or `lfs`.
    pub name: Bytes,
    /// The submodule whose it is, relative to the project; absent for the project itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submodule: Option<Bytes>,
    /// The object it leads to now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The ref of claudebox's own that has the agent's, or what it had before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Bytes>,
    /// The words for a person.
    pub text: String,
    /// The user asked for this sync, by `claudebox sync`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asked: bool,
}

/// See [`Event::Segment`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// [`FORMAT_VERSION`]
    pub v: u32,
    /// When.
    pub t: Micros,
    /// The session's id.
    pub session: String,
    /// This segment's number, from 1 (the first segment, 0, begins with [`Start`]).
    pub number: u32,
}

/// See [`Event::End`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When.
    pub t: Micros,
    /// How many execs were logged.
    pub execs: u64,
    /// The code claudebox exits with.
    pub code: u8,
    /// Why the session ended: `agent-exited`, `agent-signaled`, `not-executed`, `terminated`, ...
    pub reason: String,
    /// Microseconds since the supervisor began, by the monotonic clock; absent where the agent was
    /// never started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dur_us: Option<u64>,
}
