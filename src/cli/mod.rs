//! The command line: what can be typed, and nothing about what it means. Help, man page and
//! completions are made from these types. It must never read a file or the environment.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::PathBuf;

use clap::error::ContextValue;
use clap::{Args, Parser, Subcommand};

pub mod meant;
pub mod options;
mod quick;

use crate::error::exit;
use crate::sandbox::inner;
use crate::visible::visible;

pub use options::RunOptions;

/// Reads a command line that begins with the program's name. Help, version and mistakes are
/// printed here; the answer is then the code to exit with. `is_agent` tells the names of agents.
///
/// # Errors
/// The exit code: 0 for help and version, 2 for a line that cannot be read.
pub fn parse(args: &[OsString], is_agent: impl Fn(&OsStr) -> bool) -> Result<Cli, u8> {
    quick::read(args).map_or_else(|| Cli::try_parse_from(args), Ok).map_err(|error| {
        let error = printable(error, args);
        // A closed standard error is not a failure of the command line.
        let _ = error.print();
        if !error.use_stderr() {
            return 0;
        }
        if let Some(line) = meant::meant(args, &error, is_agent) {
            let _ = writeln!(anstream::stderr(), "\nDid you mean: {line}");
        }
        exit::USAGE
    })
}

/// The error with what was typed made visible: a script may have typed a name that a stranger chose.
fn printable(mut error: clap::Error, args: &[OsString]) -> clap::Error {
    let prints =
        |arg: &OsString| visible(arg.as_encoded_bytes()).as_bytes() == arg.as_encoded_bytes();
    if args.iter().all(prints) {
        return error;
    }
    let context: Vec<_> = error.context().map(|(kind, value)| (kind, value.clone())).collect();
    for (kind, value) in context {
        let value = match value {
            ContextValue::String(text) => ContextValue::String(visible(text)),
            ContextValue::Strings(texts) => {
                ContextValue::Strings(texts.into_iter().map(visible).collect())
            }
            // A tip repeats what was typed, among colours.
            ContextValue::StyledStrs(_) => ContextValue::None,
            _ => continue,
        };
        let _ = error.insert(kind, value);
    }
    error
}

/// Run a coding agent in a sandbox, and see every command it executes.
///
/// Without a command, `claudebox` runs the agent of the default profile in the current project.
#[derive(Clone, Debug, Parser)]
#[command(name = "claudebox", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Arguments for the agent.
    #[arg(last = true, value_name = "AGENT_ARGS")]
    pub agent_args: Vec<OsString>,
    // After what has no heading of its own, here and below: its heading holds for all that follows.
    /// Options of the bare `claudebox`.
    #[command(flatten)]
    pub run: RunOptions,
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run an agent, or any command, in the sandbox.
    Run(RunArgs),
    /// Show what `run` would do with the same arguments, and where each value comes from.
    Explain(ExplainArgs),
    /// List sessions.
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    /// Attach to a running session.
    Attach(SessionArg),
    /// Bring back what was set aside when a session ended.
    Keep(KeepArgs),
    /// Remove sessions that are over, with their logs.
    Rm(RmArgs),
    /// Bring a session's commits, branches and index from its own git directory into yours.
    Sync(SyncArgs),
    /// List, compare, merge and remove the worktrees that `run --worktree` made.
    #[command(subcommand)]
    Worktree(WorktreeCommand),
    /// Show the commands that a session executed.
    Log(LogArgs),
    /// Let a running session reach a host from now on.
    Allow(AllowArgs),
    /// Show which hosts a session may reach, and which it reached and was refused.
    Net(NetArgs),
    /// Check that a session's log is complete and unchanged (0 ok, 1 broken, 2 incomplete, 3 cannot verify).
    Verify(VerifyArgs),
    /// List, show, check, compare and make profiles.
    #[command(subcommand)]
    Profile(ProfileCommand),
    /// Trust a project's `.claudebox.toml` and `.worktreeinclude` as they stand now.
    Trust(TrustArgs),
    /// Say what this machine can do, and what to do where it cannot.
    Doctor(DoctorArgs),
    /// Print a completion script.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
    /// Print the JSON schema of a profile.
    Schema,
    /// The inner stage, started by bwrap.
    #[command(name = inner::WORD, hide = true)]
    Inner {
        /// The socket to the supervisor.
        socket: i32,
        /// The sealed memory file with the plan.
        plan: i32,
    },
    /// The attacker of `doctor --attack`, inside the sandbox.
    #[command(name = "__attack", hide = true)]
    Attack,
    /// The scripted agent of the demo, inside the sandbox.
    #[command(name = "__demo", hide = true)]
    Demo,
    /// The supervisor, started in the agent pane.
    #[command(name = "__supervise", hide = true)]
    Supervise {
        /// The session.
        session: String,
    },
    /// A shell in a running session's sandbox, started by a new pane.
    #[command(name = "__shell", hide = true)]
    Shell {
        /// The session.
        session: String,
    },
}

/// `claudebox run`.
#[derive(Clone, Debug, Default, Args)]
pub struct RunArgs {
    /// A profile that names an agent (`claude`, `demo`, `shell`, ...), or its `.toml` file.
    #[arg(value_name = "AGENT", conflicts_with = "profile")]
    pub agent: Option<String>,
    /// With AGENT: arguments for it. Without: the command to run.
    #[arg(last = true, value_name = "ARGV")]
    pub argv: Vec<OsString>,
    /// The profile, by name or file, for the command after `--`.
    #[arg(long, value_name = "NAME|FILE")]
    pub profile: Option<PathBuf>,
    /// Options.
    #[command(flatten)]
    pub options: RunOptions,
}

/// `claudebox explain`.
#[derive(Clone, Debug, Default, Args)]
pub struct ExplainArgs {
    /// Print the bwrap command.
    #[arg(long, conflicts_with = "json")]
    pub bwrap: bool,
    /// Print everything as JSON.
    #[arg(long)]
    pub json: bool,
    /// The same as for `run`.
    #[command(flatten)]
    pub run: RunArgs,
}

/// `claudebox ls`.
#[derive(Clone, Debug, Default, Args)]
pub struct LsArgs {
    /// Sessions of every project.
    #[arg(short, long)]
    pub all: bool,
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// Names one session.
#[derive(Clone, Debug, Default, Args)]
pub struct SessionArg {
    /// A session's id or an unambiguous beginning of it; the project's latest if absent.
    pub session: Option<String>,
}

/// `claudebox sync`.
#[derive(Clone, Debug, Default, Args)]
pub struct SyncArgs {
    /// A session's id or an unambiguous beginning of it; the project's latest if absent.
    pub session: Option<String>,
    /// When the session is over: make its commits anew, signed with your key.
    #[arg(long)]
    pub sign: bool,
}

/// `claudebox worktree`.
#[derive(Clone, Debug, Subcommand)]
pub enum WorktreeCommand {
    /// List the project's worktrees, and how each stands.
    #[command(visible_alias = "ls")]
    List {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show what was done in one since it began, committed or not.
    Diff {
        /// The worktree.
        name: String,
        /// Options and paths for git-diff(1), such as `--stat` or `-- src`; paths from the repository's root.
        #[arg(value_name = "GIT_DIFF_ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
    /// Merge the commits of one into the branch that is checked out.
    Merge(MergeArgs),
    /// Stage what was done in one, committed or not, in the main work tree; nothing is committed.
    Apply {
        /// The worktree.
        name: String,
    },
    /// Remove one, with its branch.
    Rm {
        /// The worktrees.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Remove also what would be lost by it.
        #[arg(long)]
        force: bool,
    },
    /// Remove all that hold no work which is nowhere else.
    Gc {
        /// Remove also what would be lost by it.
        #[arg(long)]
        force: bool,
        /// Only say what would be removed.
        #[arg(long)]
        dry_run: bool,
    },
}

/// `claudebox worktree merge`.
#[derive(Clone, Debug, Default, Args)]
pub struct MergeArgs {
    /// The worktree.
    pub name: String,
    /// As one commit.
    #[arg(long, conflicts_with = "rebase")]
    pub squash: bool,
    /// Each commit made anew on top of the branch.
    #[arg(long)]
    pub rebase: bool,
    /// Into this branch, which need not be checked out.
    #[arg(long, value_name = "BRANCH")]
    pub into: Option<String>,
    /// Sign the commits that are made with your key.
    #[arg(long)]
    pub sign: bool,
}

/// `claudebox doctor`.
#[derive(Clone, Debug, Default, Args)]
pub struct DoctorArgs {
    /// Attack a sandbox in a scratch project, and say which promises held (0 all, 1 not all).
    #[arg(long)]
    pub attack: bool,
    /// The profile whose sandbox is attacked, by name or file, and whose `assert` is tried.
    #[arg(long, value_name = "NAME|FILE", requires = "attack")]
    pub profile: Option<PathBuf>,
}

/// `claudebox keep`.
#[derive(Clone, Debug, Default, Args)]
pub struct KeepArgs {
    /// A session's id or an unambiguous beginning of it; the project's latest if absent.
    pub session: Option<String>,
    /// What to bring back, as it was listed, with everything below; all of it if absent.
    #[arg(value_name = "PATH")]
    pub paths: Vec<OsString>,
}

/// `claudebox rm`.
#[derive(Clone, Debug, Default, Args)]
pub struct RmArgs {
    /// Sessions' ids, or unambiguous beginnings of them.
    #[arg(value_name = "SESSION", required_unless_present_any = ["older", "homes"])]
    pub sessions: Vec<String>,
    /// All of this project that have been over for so many days (0: all that are over).
    #[arg(long, value_name = "DAYS", conflicts_with = "sessions")]
    pub older: Option<u32>,
    /// Those of every project.
    #[arg(short, long, requires = "older")]
    pub all: bool,
    /// The private homes of projects that are nowhere any more: what agents kept there.
    #[arg(long, conflicts_with_all = ["sessions", "older", "force"])]
    pub homes: bool,
    /// Remove also what would be lost by it: files that were set aside, git work that has not come.
    #[arg(long)]
    pub force: bool,
    /// Only say what would be removed.
    #[arg(long)]
    pub dry_run: bool,
}

/// `claudebox log`.
#[derive(Clone, Debug, Default, Args)]
pub struct LogArgs {
    /// A session's id or an unambiguous beginning of it; the project's latest if absent.
    pub session: Option<String>,
    /// Keep showing what comes.
    #[arg(short, long)]
    pub follow: bool,
    /// The events as they stand in the log, one JSON object a line.
    #[arg(long, conflicts_with_all = ["failed", "tree", "grep", "all"])]
    pub json: bool,
    /// Only commands that failed or died of a signal, and hosts that were refused or not reached.
    #[arg(long)]
    pub failed: bool,
    /// Show every command below the one that started it, those of a shell's line too.
    #[arg(long)]
    pub tree: bool,
    /// Only commands, hosts and other lines that match this regular expression.
    #[arg(long, value_name = "RE")]
    pub grep: Option<String>,
    /// Show everything: helpers, misses along PATH and repeats are not folded.
    #[arg(long)]
    pub all: bool,
}

/// `claudebox allow`.
#[derive(Clone, Debug, Default, Args)]
pub struct AllowArgs {
    /// A name, `*.NAME` for every name below it, an address or a net; port 443 where none is said.
    /// Or `@GROUP`, a group of hosts. Behind it may stand `raw` (at port 443 no TLS is demanded) and
    /// `private` (the name may lead to private addresses). One host at a time.
    #[arg(required = true, value_name = "HOST[:PORT]")]
    pub rule: Vec<String>,
    /// A session's id or an unambiguous beginning of it; the project's latest if absent.
    #[arg(long, value_name = "SESSION")]
    pub session: Option<String>,
    /// In every later session of the same profile, too: it is written into your own profile.
    #[arg(long)]
    pub always: bool,
}

/// `claudebox net`.
#[derive(Clone, Debug, Default, Args)]
pub struct NetArgs {
    /// A session's id or an unambiguous beginning of it; the project's latest if absent.
    pub session: Option<String>,
    /// Name every host of a group.
    #[arg(long, conflicts_with = "json")]
    pub all: bool,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `claudebox verify`.
#[derive(Clone, Debug, Default, Args)]
pub struct VerifyArgs {
    /// A session's id or an unambiguous beginning of it; the project's latest if absent.
    pub session: Option<String>,
    /// Every session; the exit code is that of the worst verdict.
    #[arg(long, conflicts_with = "session")]
    pub all: bool,
}

/// `claudebox profile`.
#[derive(Clone, Debug, Subcommand)]
pub enum ProfileCommand {
    /// List the profiles there are.
    #[command(visible_alias = "ls")]
    List,
    /// Print a profile's file, comments and all.
    Show {
        /// Name or file.
        name: PathBuf,
    },
    /// Check a profile and everything it extends.
    Check {
        /// Names or files; all there are if absent.
        names: Vec<PathBuf>,
    },
    /// Show what differs between two profiles, each with what it extends (0 nothing, 1 something).
    Diff {
        /// Name or file.
        #[arg(value_name = "A")]
        left: PathBuf,
        /// Name or file.
        #[arg(value_name = "B")]
        right: PathBuf,
    },
    /// Write a profile of your own: a commented skeleton, or with a command what one run of it showed.
    New(NewArgs),
    /// Print where a profile's file is.
    Path {
        /// Name; the user's profile directory if absent.
        name: Option<String>,
    },
}

/// `claudebox profile new`.
#[derive(Clone, Debug, Default, Args)]
pub struct NewArgs {
    /// The profile's name: `claudebox run NAME` runs it.
    pub name: String,
    /// Run this command once in this terminal, under the profile `default`, and write what it used; what
    /// it is refused stays refused, and is written as a comment. Words are split as a shell does it.
    #[arg(long, value_name = "CMD")]
    pub from: Option<OsString>,
    /// Replace a profile of yours, or write beside one that is built in.
    #[arg(long)]
    pub force: bool,
    /// The command to run, or more arguments for that of `--from`.
    #[arg(last = true, value_name = "ARGV")]
    pub argv: Vec<OsString>,
}

/// `claudebox trust`.
#[derive(Clone, Debug, Default, Args)]
pub struct TrustArgs {
    /// The file; the project's `.claudebox.toml` and `.worktreeinclude` if absent.
    pub file: Option<PathBuf>,
    /// Do not ask.
    #[arg(short, long)]
    pub yes: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::visible::is_invisible;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_word_of_a_command_line_reaches_the_terminal_raw(
            words in proptest::collection::vec(
                prop_oneof![
                    proptest::sample::select(vec![
                        "run", "log", "explain", "verify", "keep", "--bind", "--network", "--json", "--",
                        "-v", "--project", "profile", "completions", "attach", "allow", "net",
                        "worktree", "diff", "merge", "sync",
                    ]).prop_map(OsString::from),
                    "(?s)-{0,2}.{0,6}".prop_map(OsString::from),
                    proptest::collection::vec(any::<u8>(), 0..6)
                        .prop_map(std::os::unix::ffi::OsStringExt::from_vec),
                ], 0..5),
        ) {
            let args: Vec<OsString> = [OsString::from("claudebox")].into_iter().chain(words).collect();
            if let Err(error) = Cli::try_parse_from(&args) {
                let error = printable(error, &args);
                // The bytes that are printed, colours and all.
                let text = error.render().ansi().to_string();
                let odd = text.chars().find(|ch| *ch != '\n' && *ch != '\x1b' && is_invisible(*ch));
                prop_assert_eq!(odd, None, "{}", text);
                let sequences = text.matches('\x1b').count();
                prop_assert_eq!(text.matches("\x1b[").count(), sequences);
                let line = meant::meant(&args, &error, |_| false).unwrap_or_default();
                prop_assert!(!line.chars().any(is_invisible), "{}", line);
            }
        }
    }
}
