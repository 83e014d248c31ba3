//! The ways to run a command that are compared: bwrap alone, claudebox, the peers and the tracers
//! that are installed. Each gives the same program the same place and environment.

use std::ffi::OsString;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use rustix::fs::{Mode, OFlags};

use crate::common::place::Place;
use crate::common::program;
use crate::common::run::Run;
use crate::report::{Row, Target};
use crate::workbench::succeeded;

/// A user's on Debian. How many directories are searched in vain before a program is found decides
/// how many execs a build makes, and every machine has others. The peers' own is behind it: they
/// start programs of their own by name.
fn path() -> OsString {
    let mut path = OsString::from("/usr/local/bin:/usr/bin:/bin:");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}

/// Begins a word that stands for the number of a descriptor on a file.
const FILE: &[u8] = b"<file: ";

/// A way to run a command in the project.
#[derive(Clone, Debug)]
pub(crate) struct Launcher {
    /// Its name in the table.
    pub(crate) name: String,
    /// What precedes the command.
    prefix: Vec<OsString>,
}

impl Launcher {
    pub(crate) fn new(
        name: impl Into<String>,
        prefix: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        Self { name: name.into(), prefix: prefix.into_iter().map(Into::into).collect() }
    }

    /// The same under another name.
    pub(crate) fn named(&self, name: &str) -> Self {
        Self { name: name.to_owned(), prefix: self.prefix.clone() }
    }

    /// The same, started by what other words start.
    pub(crate) fn behind(&self, mut words: Vec<OsString>) -> Self {
        words.extend(self.prefix.iter().cloned());
        Self { name: self.name.clone(), prefix: words }
    }

    /// The command, to be run this way.
    pub(crate) fn run(&self, place: &Place, command: &[&str]) -> Run {
        let mut run = place.command(&self.prefix[0]).env("PATH", path());
        for word in &self.prefix[1..] {
            match word.as_bytes().strip_prefix(FILE) {
                Some(file) => {
                    // Open across the exec. For each run anew: bwrap reads it to its end.
                    // (One that is gone lets bwrap fail, which is reported.)
                    let Ok(fd) = rustix::fs::open(file, OFlags::RDONLY, Mode::empty()) else {
                        run = run.args(["missing"]);
                        continue;
                    };
                    run = run.args([fd.as_raw_fd().to_string()]).keep(fd);
                }
                None => run = run.args([word]),
            }
        }
        run.args(command)
    }
}

/// The host's network and the project's own git directory, which bwrap and the peers give too. What the
/// allow-list and a private git directory cost is measured by itself ([`crate::network`], [`crate::git`]).
const AS_OTHERS: [&str; 4] = ["--network", "host", "--git", "shared"];

/// claudebox as it ships, but for its network and git.
pub(crate) fn claudebox(place: &Place) -> Launcher {
    claudebox_with("claudebox", place, &AS_OTHERS)
}

/// claudebox with the log, but argv taken as the caller showed it; see [`crate::unverified`].
pub(crate) fn claudebox_unverified(place: &Place) -> Result<Launcher, String> {
    let itself = std::env::current_exe().map_err(|err| err.to_string())?;
    let words = [itself.into_os_string(), "unverified".into(), place.executable().into()];
    Ok(Launcher::new("claudebox, argv not confirmed", words))
}

/// claudebox without the log.
pub(crate) fn claudebox_without_log(place: &Place) -> Launcher {
    let options = [&AS_OTHERS[..], &["--no-exec-log"]].concat();
    claudebox_with("claudebox `--no-exec-log`", place, &options)
}

/// claudebox with more options.
pub(crate) fn claudebox_with(name: &str, place: &Place, options: &[&str]) -> Launcher {
    let mut words = vec![place.executable().as_os_str().to_owned()];
    words.extend(["run", "--no-monitor"].map(OsString::from));
    words.extend(options.iter().map(OsString::from));
    words.push("--".into());
    Launcher::new(name, words)
}

/// bwrap with the argv that claudebox gives it; the command stands where its inner stage would.
/// Descriptors, which only the supervisor can open, are given as the paths they are opened on.
pub(crate) fn bwrap(place: &Place) -> Result<Launcher, String> {
    let explained =
        place.claudebox(["explain", "--bwrap"]).args(AS_OTHERS).args(["--", "true"]).run();
    // A continued line begins an empty word with shlex; with a shell it does not.
    let line = succeeded(explained)?.stdout.replace("\\\n", "");
    let words = shlex::bytes::split(line.trim().as_bytes()).ok_or("explain: not shell syntax")?;
    let empty = place.home_file("empty", "");
    let mut prefix: Vec<OsString> = Vec::new();
    for word in words.into_iter().take_while(|word| word != b"--") {
        let Some(opened) = word.strip_prefix(b"<fd: ").and_then(|rest| rest.strip_suffix(b">"))
        else {
            prefix.push(OsString::from_vec(word));
            continue;
        };
        let (option, path) = match prefix.pop().ok_or("explain: no option")?.as_bytes() {
            b"--bind-fd" => ("--bind", opened.to_vec()),
            b"--ro-bind-fd" => ("--ro-bind", opened.to_vec()),
            b"--file" => ("--file", [FILE, opened].concat()),
            b"--ro-bind-data" => ("--ro-bind", empty.clone().into_os_string().into_vec()),
            other => return Err(format!("explain: {} with a descriptor", other.escape_ascii())),
        };
        // It belongs to the file that bwrap makes itself.
        if option != "--file" && option_before_last(&prefix) == Some(b"--perms") {
            prefix.truncate(prefix.len() - 2);
        }
        prefix.extend([option.into(), OsString::from_vec(path)]);
    }
    prefix.push("--".into());
    Ok(Launcher { name: "bwrap".to_owned(), prefix })
}

fn option_before_last(words: &[OsString]) -> Option<&[u8]> {
    words.get(words.len().checked_sub(2)?).map(|word| word.as_bytes())
}

/// The peers, installed by `tests/bench/peers.sh` or otherwise; a row that says so for each that
/// is not.
pub(crate) fn peers(place: &Place) -> Vec<Result<Launcher, Row>> {
    // srt reads its settings from the home; without any it answers only after a warning.
    place.home_file(
        ".srt-settings.json",
        r#"{"network":{"allowedDomains":[],"deniedDomains":[]},
            "filesystem":{"denyRead":[],"allowWrite":["."],"denyWrite":[]}}"#,
    );
    let all: [(&str, &[&str]); 3] = [
        ("ai-jail", &["ai-jail", "--exec", "--no-save-config", "--"]),
        ("nono", &["nono", "run", "--silent", "--allow-cwd", "--"]),
        ("sandbox-runtime", &["srt"]),
    ];
    all.into_iter().map(|(name, words)| installed(name, words)).collect()
}

/// The peer that lets through what goes to a host by its name, by a proxy.
pub(crate) fn peer_that_allows(place: &Place, host: &str) -> Result<Launcher, Row> {
    let settings = format!(
        r#"{{"network":{{"allowedDomains":["{host}"],"deniedDomains":[]}},
            "filesystem":{{"denyRead":[],"allowWrite":["."],"denyWrite":[]}}}}"#
    );
    let settings = place.home_file("srt-network.json", settings);
    let mut peer = installed("sandbox-runtime", &["srt"])?;
    peer.prefix.extend(["--settings".into(), settings.into_os_string()]);
    Ok(peer)
}

/// Tracers in front of bwrap: they follow everything inside, from outside.
pub(crate) fn tracers(bwrap: &Launcher) -> Vec<Result<Launcher, Row>> {
    let strace: &[&str] =
        &["strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=execve,execveat", "-o", "/dev/null"];
    let tracexec: &[&str] = &["tracexec", "log", "--output", "/dev/null", "--"];
    [("`strace -f --seccomp-bpf`", strace), ("`tracexec log`", tracexec)]
        .into_iter()
        .map(|(name, words)| {
            let mut tracer = installed(name, words)?;
            tracer.prefix.extend(without_files(&bwrap.prefix));
            Ok(tracer)
        })
        .collect()
}

/// With a mount in the place of each file that bwrap copies: a tracer may close what is open.
fn without_files(bwrap: &[OsString]) -> Vec<OsString> {
    let mut words: Vec<OsString> = Vec::new();
    for word in bwrap {
        match word.as_bytes().strip_prefix(FILE) {
            Some(file) => {
                // Over `--perms MODE --file`.
                words.truncate(words.len().saturating_sub(3));
                words.extend(["--ro-bind".into(), OsString::from_vec(file.to_owned())]);
            }
            None => words.push(word.clone()),
        }
    }
    words
}

/// With the version that answers, where it is there.
fn installed(name: &str, words: &[&str]) -> Result<Launcher, Row> {
    let Some(path) = program(words[0]) else {
        return Err(Row {
            name: name.to_owned(),
            beside: "bwrap".to_owned(),
            pairs: Err("not installed".to_owned()),
            target: Target::None,
        });
    };
    let version = crate::machine::version(&path).unwrap_or_default();
    let words = words.iter().map(OsString::from);
    Ok(Launcher::new(format!("{name} {version}").trim_end(), words))
}
