//! The plan: everything the supervisor needs to start one session, as data. It is resolved once,
//! by the front end, and reaches the supervisor over a socket or by value; environment values are
//! in it, so it must never be written to a file or to an argv.
#![forbid(unsafe_code)]

pub mod git;
pub mod limits;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::git::PrivateGit;
use self::limits::{Limits, Rlimits};
use crate::bytes::Bytes;
use crate::network::plan::Network;

/// Front end, supervisor and inner stage come from one binary; anything else is refused.
pub const PLAN_VERSION: u32 = 1;

/// What the supervisor starts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_VERSION`]
    pub version: u32,
    /// What the header and the first line of the log say.
    pub summary: Summary,
    /// Done on the host, in order, before bwrap starts.
    pub prepare: Vec<Prepare>,
    /// Files of the home that the agent has a copy of, and what of them passes between the two.
    pub mirrors: Vec<Mirror>,
    /// The private git directory, if the session has one. Built after `prepare`.
    pub git: Option<PrivateGit>,
    /// The bwrap program, absolute.
    pub bwrap: Bytes,
    /// Its arguments in order, all before the `--` that precedes the inner stage.
    pub args: Vec<Arg>,
    /// What everything inside may take of the machine.
    pub limits: Limits,
    /// Which network there is inside.
    pub network: Network,
    /// What the inner stage does, once it is inside.
    pub inner: InnerPlan,
    /// How execs are logged.
    pub exec_log: ExecLog,
    /// Confirm the argv that ran, where the kernel lets it. No option turns it off: the benchmark
    /// does, to show what it costs.
    pub verify: bool,
}

/// What a person is told about the session.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Summary {
    /// The profile's name.
    pub profile: String,
    /// The command as asked for.
    pub agent: Vec<Bytes>,
    /// The project directory, absolute and canonical.
    pub project: Bytes,
    /// `allow`, `none`, `host`.
    pub network: String,
    /// What is weaker than it could be, one phrase each.
    pub weakened: Vec<String>,
    /// See [`crate::log::event::Start::tool_marker`].
    pub tool_marker: Option<String>,
    /// See [`crate::log::event::Start::helpers`].
    pub helpers: Vec<String>,
}

/// One bwrap argument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arg {
    /// Passed as it is.
    Literal(Bytes),
    /// Replaced by the absolute path of this, relative to the session's directory, which a plan does
    /// not know. For a bwrap that cannot bind by descriptor.
    Session(Bytes),
    /// Replaced by the number of a descriptor that the supervisor opens and bwrap inherits.
    Fd(FdSource),
}

/// Where an inherited descriptor comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FdSource {
    /// A sealed memory file with these bytes.
    Data(Bytes),
    /// This file, to be read; root's, like every directory above it.
    Content(Bytes),
    /// `O_PATH` of this path, opened without following a symbolic link in any component below
    /// `beneath` (openat2(2) `RESOLVE_NO_SYMLINKS`): what the project controls must not lead
    /// elsewhere (the `/oldroot` class of attacks).
    Path {
        /// The trusted directory.
        beneath: Bytes,
        /// The rest, relative; empty for `beneath` itself.
        path: Bytes,
    },
    /// The same for a path below the session's directory, which a plan does not know.
    Session(Bytes),
}

/// Work on the host before the start: below claudebox's own state directory (but for
/// [`Prepare::CreateMissing`]), always without following symbolic links below `root`, because an
/// earlier session's agent could write there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prepare {
    /// Make `root` (mode 0700, owned by the caller) and `path` below it a directory; whatever else
    /// stands there is removed.
    Directory {
        /// The trusted directory.
        root: Bytes,
        /// Relative to it; may be empty.
        path: Bytes,
    },
    /// Make `path` below `root` a regular file with these bytes, replacing whatever stands there.
    File {
        /// The trusted directory.
        root: Bytes,
        /// Relative to it.
        path: Bytes,
        /// Its content.
        content: Bytes,
    },
    /// Make `path` below `root` a regular file; if it is one, it stays as it is: something will be
    /// mounted on it. (To remove what a sandbox that is just ending has mounted on takes the kernel
    /// tens of milliseconds.)
    MountPoint {
        /// The trusted directory.
        root: Bytes,
        /// Relative to it.
        path: Bytes,
    },
    /// Make `path` below `root` where there is nothing; what stands there stays as it is. The one
    /// step that works outside claudebox's own state: the home's state directories of an agent,
    /// and names in them that must be there to be protected. Parents are made with mode 0700.
    CreateMissing {
        /// The trusted directory.
        root: Bytes,
        /// Relative to it.
        path: Bytes,
        /// The content of the file; `None` for a directory.
        content: Option<Bytes>,
    },
    /// Make `path` below `root` a directory in which there is nothing but what is to stay.
    Empty {
        /// The trusted directory.
        root: Bytes,
        /// Relative to it.
        path: Bytes,
        /// The names in it that stay.
        keep: Vec<Bytes>,
    },
    /// Move the private home `root` out of the way if it was another directory's: one that stood at
    /// the project's path before, and was made at another time. It is kept as `root.old`, the one
    /// before that goes. Whose it is, is noted beside it.
    Home {
        /// The private home.
        root: Bytes,
        /// The project's directory.
        project: Bytes,
        /// When that was made, as text; not every file system tells.
        born: Option<Bytes>,
    },
    /// Remove `path` below `root`, if it is there.
    Remove {
        /// The trusted directory.
        root: Bytes,
        /// Relative to it.
        path: Bytes,
    },
}

/// A JSON file of the home of which the agent has a copy in its private home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirror {
    /// The host's file, absolute; no component of it is a symbolic link.
    pub host: Bytes,
    /// The private home.
    pub root: Bytes,
    /// The copy, relative to it.
    pub copy: Bytes,
    /// Top-level keys that are kept the same on both sides.
    pub both: Vec<String>,
    /// Top-level keys that the host's file is given where it has none of its own.
    pub first: Vec<String>,
}

/// How execs are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExecLog {
    /// Not at all.
    Off,
    /// Where the machine can; a downgrade is shown in the header and the log.
    BestEffort,
    /// Or not at all: no listener, no session; a log that cannot be written ends the session.
    #[default]
    Required,
}

/// What happens at the end to host-executable files that came or changed; see
/// [`crate::host_files`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum HostFiles {
    /// A person on a terminal decides about each; without one they are set aside.
    #[default]
    Ask,
    /// They stay, and are named.
    Report,
    /// They are moved out of the project, into the session's directory.
    SetAside,
}

/// How hard a second layer is demanded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Demand {
    /// Not used.
    Off,
    /// As far as the kernel can; a downgrade is shown.
    #[default]
    BestEffort,
    /// Fully, or the session does not start.
    Required,
}

/// Which system calls fail inside (`docs/syscalls.md`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrnoFilter {
    /// All of the table.
    #[default]
    All,
    /// All but what a sandbox inside this one needs: namespaces and mounts.
    Nesting,
    /// None. No option leads here: a test does, to see an attack succeed without the filter.
    Off,
}

/// What the inner stage reads from its sealed memory file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InnerPlan {
    /// [`PLAN_VERSION`]
    pub version: u32,
    /// The program to execute, absolute, as seen inside.
    pub program: Bytes,
    /// Its argv, `argv[0]` included.
    pub argv: Vec<Bytes>,
    /// The whole environment of everything inside.
    pub env: Vec<(Bytes, Bytes)>,
    /// The starting directory, as seen inside.
    pub cwd: Bytes,
    /// The shell that a new pane opens, argv form.
    pub shell: Vec<Bytes>,
    /// The second layer.
    pub landlock: Landlock,
    /// What each process may take of the machine.
    pub rlimits: Rlimits,
    /// The system calls that fail.
    pub errno_filter: ErrnoFilter,
    /// Whether the notification filter is asked for.
    pub exec_log: ExecLog,
}

/// The file rules of the second layer: what is not named can be neither read nor written, though
/// every directory can be listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landlock {
    /// How hard it is demanded.
    pub demand: Demand,
    /// Whether the file rules apply (a profile that nests user namespaces must mount, which
    /// Landlock forbids); scopes apply in any case.
    pub files: bool,
    /// Readable and executable, with everything below.
    pub read: Vec<Bytes>,
    /// Also writable.
    pub write: Vec<Bytes>,
}
