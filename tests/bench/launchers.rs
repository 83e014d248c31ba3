//! The ways to run a command that are compared: bwrap alone, claudebox, the peers and the tracers
//! that are installed. Each gives the same program the same place and environment.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use crate::common::place::Place;
use crate::common::program;
use crate::common::run::Run;

/// A way to run a command in the project.
#[derive(Clone, Debug)]
pub(crate) struct Launcher {
    /// Its name in the table.
    pub(crate) name: String,
    /// What precedes the command.
    prefix: Vec<OsString>,
}

impl Launcher {
    fn new(name: impl Into<String>, prefix: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self { name: name.into(), prefix: prefix.into_iter().map(Into::into).collect() }
    }

    /// The command, to be run this way.
    pub(crate) fn command(&self, place: &Place, command: &[&str]) -> Run {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let words = self.prefix.iter().cloned().chain(command.iter().map(OsString::from));
        let words: Vec<OsString> = words.collect();
        place.command(&words[0]).args(&words[1..]).env("PATH", path)
    }
}

/// claudebox as it ships.
pub(crate) fn claudebox(place: &Place) -> Launcher {
    let words =
        [place.executable().as_os_str(), "run".as_ref(), "--no-monitor".as_ref(), "--".as_ref()];
    Launcher::new("claudebox", words)
}

/// claudebox without the exec log.
pub(crate) fn claudebox_without_log(place: &Place) -> Launcher {
    let executable = place.executable().as_os_str();
    let options = ["run", "--no-monitor", "--no-exec-log", "--"].map(AsRef::as_ref);
    Launcher::new("claudebox --no-exec-log", [&[executable], &options[..]].concat())
}

/// bwrap with the argv that claudebox would give it, but without claudebox's own init.
pub(crate) fn bwrap(place: &Place) -> Launcher {
    let explained = place.claudebox(["explain", "--bwrap", "--", "true"]).run().code(0).stdout;
    let words = shlex::bytes::split(explained.trim().as_bytes()).expect("it is shell syntax");
    // claudebox's init comes behind the first `--`; bwrap's own reaper takes its place here.
    let options = words.into_iter().take_while(|word| word != b"--").map(OsString::from_vec);
    let mut prefix: Vec<OsString> = options.filter(|word| word != "--as-pid-1").collect();
    prefix.push("--".into());
    Launcher { name: "bwrap, same arguments".to_owned(), prefix }
}

/// The peers that are installed, by `tests/bench/peers.sh` or otherwise.
pub(crate) fn peers() -> Vec<Launcher> {
    let all = [
        ("ai-jail", vec!["ai-jail", "--exec", "--no-save-config", "--"]),
        ("nono", vec!["nono", "run", "--silent", "--allow-cwd", "--"]),
        ("srt (sandbox-runtime)", vec!["srt"]),
    ];
    all.into_iter()
        .filter(|(_, words)| program(words[0]).is_some())
        .map(|(name, words)| Launcher::new(name, words))
        .collect()
}

/// Tracers in front of bwrap, where they are installed.
pub(crate) fn tracers(bwrap: &Launcher) -> Vec<Launcher> {
    let strace =
        ["strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=execve,execveat", "-o", "/dev/null"];
    let tracexec = ["tracexec", "log", "--output", "/dev/null", "--"];
    [("strace -f --seccomp-bpf", &strace[..]), ("tracexec log", &tracexec[..])]
        .into_iter()
        .filter(|(_, words)| program(words[0]).is_some())
        .map(|(name, words)| {
            let words = words.iter().map(OsString::from).chain(bwrap.prefix.iter().cloned());
            Launcher { name: format!("{name}, bwrap"), prefix: words.collect() }
        })
        .collect()
}
