//! tmux: its argv, its configuration, and what it answers. claudebox's own server runs outside of
//! every sandbox, on a socket that is never bound into one: who reaches it can run commands here.
//! Which tmux that is, is settled before the agent runs, and never looked up again.
//! No secret may ever pass through tmux: its argv, its environment and its options can be read
//! from every pane.

pub mod argv;
pub mod config;
pub mod environment;
pub mod process;
pub mod terminfo;
pub mod version;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use self::argv::Words;
use self::version::Support;
use crate::error::{Error, Result, Tried as _};
use crate::host::Host;
use crate::subprocess::{self, Group};
use crate::sys::process::signal_at_our_end;
use crate::visible::visible;

/// How long tmux may take to answer; a user's configuration may run programs of its own.
const LIMIT: Duration = Duration::from_secs(10);

/// The tmux program, probed.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    /// How far it can be used.
    pub support: Support,
}

/// A tmux server, and how to talk to it.
#[derive(Clone, Debug)]
pub struct Server {
    program: PathBuf,
    options: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl Program {
    /// Where tmux is along the caller's PATH, but not in the project; nothing is executed yet.
    pub fn locate(host: &Host) -> Result<PathBuf> {
        host.program("tmux", None).ok_or_else(|| {
            Error::launcher("tmux is not installed, and the log pane needs it").hint(
                "install it (`apt install tmux`, `dnf install tmux`), or run with --no-monitor",
            )
        })
    }

    /// Asks the tmux at this path for its version.
    pub fn at(path: PathBuf) -> Result<Self> {
        let mut ask = Command::new(&path);
        ask.arg("-V").env_clear();
        let answer = subprocess::output(ask, Group::Own, LIMIT).tried(|| "run `tmux -V`")?;
        Ok(Self { support: version::judge(&answer.stdout)?, path })
    }

    /// Where it is, canonical.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Server {
    /// A server of claudebox's own, by this tmux. With `config` it is started by the first command that can.
    pub fn private(
        program: &Path,
        socket: &Path,
        config: Option<&Path>,
        environment: &BTreeMap<OsString, OsString>,
    ) -> Self {
        // `-u`: a client in a C locale would drop everything that is not ASCII.
        let options = [OsStr::new("-u"), OsStr::new("-S"), socket.as_os_str()];
        let mut options: Vec<OsString> = options.map(OsString::from).into();
        options.extend(config.into_iter().flat_map(|config| ["-f".into(), config.into()]));
        let environment = environment::for_tmux(environment);
        Self { program: program.to_owned(), options, environment }
    }

    /// The server that `$TMUX` names.
    pub fn users(program: &Path, environment: &BTreeMap<OsString, OsString>) -> Self {
        let environment = environment.iter().map(|(name, value)| (name.clone(), value.clone()));
        Self {
            program: program.to_owned(),
            options: Vec::new(),
            environment: environment.collect(),
        }
    }

    /// Has tmux carry out commands; answers with what it prints.
    pub fn run(&self, words: &Words) -> Result<String> {
        let Answer { told, complaint } = self.ask(words)?;
        let Some(complaint) = complaint else { return Ok(told) };
        Err(Error::launcher(format!("tmux could not do `{}`: {complaint}", name(words))))
    }

    /// Has tmux read a user's file; answers with what it complains of. A file with an error in it
    /// is used as far as tmux can.
    pub fn read_config(&self, path: &Path) -> Result<Option<String>> {
        Ok(self.ask(&argv::source(path.as_os_str()))?.complaint)
    }

    /// Has tmux carry out commands on the terminal of standard input. The client leaves the
    /// terminal when this thread ends: the shell would otherwise have to share it.
    pub fn open(&self, words: &Words) -> Result<Child> {
        let mut command = self.command(words);
        signal_at_our_end(&mut command, Signal::SIGTERM);
        command.spawn().tried(|| "run tmux")
    }

    /// Starts a tmux command that answers later, without a terminal.
    pub fn start(&self, words: &Words) -> Result<Child> {
        let mut command = self.command(words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().tried(|| "run tmux")
    }

    fn ask(&self, words: &Words) -> Result<Answer> {
        let output = subprocess::output(self.command(words), Group::Own, LIMIT)
            .tried(|| format!("have tmux do `{}`", name(words)))?;
        let told = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        let complaint = match output.status.signal() {
            Some(signal) => Some(format!("it died of signal {signal}")),
            None if output.status.success() => None,
            // Errors in a file come on standard output, all others on standard error.
            None => Some(lines(&[output.stderr, output.stdout].concat())),
        };
        Ok(Answer { told, complaint })
    }

    fn command(&self, words: &Words) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.options).args(words.as_args());
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// What a tmux client said.
struct Answer {
    told: String,
    complaint: Option<String>,
}

/// The command that comes first, for an error.
fn name(words: &Words) -> String {
    words.as_args().first().map(|word| visible(word.as_bytes())).unwrap_or_default()
}

fn lines(text: &[u8]) -> String {
    let text = text.trim_ascii();
    if text.is_empty() {
        return "it does not say why".into();
    }
    text.split(|&byte| byte == b'\n').map(visible).collect::<Vec<_>>().join("\n  ")
}
