//! `claudebox doctor`: what this machine can do, and what to do where it cannot. What counts is
//! tried, not looked up: a sandbox is started as a session would start it, because hand-made
//! checks pass where the real start fails. It must never leave anything behind.

use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::error::{Error, Result, Tried as _, exit, printed};
use crate::git::version::{MERGE, PRIVATE, Version};
use crate::host::Host;
use crate::log::event::{Confined, Event, ExecLogStatus, Limit};
use crate::log::reader::{Entry, Reader};
use crate::network::gateway;
use crate::plan::limits::{FILE_SIZE, NOT_ENFORCED, OPEN_FILES};
use crate::policy::limits::remedy;
use crate::subprocess::{self, Group};
use crate::tmux;
use crate::visible::{visible, visible_path};

/// How long the sandbox that is tried may take: far longer than any start.
const LIMIT: Duration = Duration::from_secs(60);

/// One thing that was looked at.
struct Finding {
    level: Level,
    what: &'static str,
    says: String,
    hints: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Fine,
    Weak,
    Missing,
}

impl Finding {
    fn new(level: Level, what: &'static str, says: impl Into<String>) -> Self {
        Self { level, what, says: says.into(), hints: Vec::new() }
    }

    fn of_error(what: &'static str, error: &Error) -> Self {
        let hints = error.hints().to_vec();
        Self { hints, ..Self::new(Level::Missing, what, error.to_string()) }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

/// Looks at everything and says so. Answers with 0 where a session can run, else with 125.
///
/// # Errors
/// When `out` cannot be written.
pub fn doctor(host: &Host, out: &mut dyn Write) -> Result<u8> {
    let mut findings = vec![bwrap(host), git(host), kernel(host), landlock(host)];
    findings.extend(sandbox(host));
    findings.push(terminal(host));
    printed(write(&findings, out))?;
    let works = findings.iter().all(|finding| finding.level != Level::Missing);
    Ok(if works { 0 } else { exit::LAUNCHER })
}

fn bwrap(host: &Host) -> Finding {
    let install =
        "install it: apt install bubblewrap, dnf install bubblewrap, pacman -S bubblewrap";
    let Some(bwrap) = &host.bwrap else {
        return Finding::new(Level::Missing, "bubblewrap", "is not installed").hint(install);
    };
    let path = visible_path(&bwrap.path);
    if bwrap.setuid {
        return Finding::new(Level::Missing, "bubblewrap", format!("{path} is setuid root"))
            .hint("claudebox needs user namespaces instead; chmod u-s takes the bit away");
    }
    let wanted = ["--disable-userns", "--size", "--bind-fd", "--ro-bind-fd"];
    let lacks: Vec<&str> = wanted.into_iter().filter(|option| !bwrap.has(option)).collect();
    if lacks.is_empty() {
        return Finding::new(Level::Fine, "bubblewrap", path);
    }
    Finding::new(Level::Weak, "bubblewrap", format!("{path} has no {}", lacks.join(", ")))
        .hint("a newer bubblewrap has them; what is missing is shown as weakened")
}

/// The git that makes the private git directory, which is what most profiles want.
fn git(host: &Host) -> Finding {
    let Some(program) = host.program("git", None) else {
        return Finding::new(Level::Missing, "git", "is not installed")
            .hint("install it: apt install git, dnf install git, pacman -S git")
            .hint("or go without git inside: --git none");
    };
    match Version::of(&program) {
        Ok(version) => git_of(version, &visible_path(&program)),
        Err(error) => Finding::of_error("git", &error),
    }
}

fn git_of(version: Version, path: &str) -> Finding {
    let is = format!("{path} is {version}");
    if version < PRIVATE {
        return Finding::new(Level::Missing, "git", is)
            .hint(format!("install a git that is {PRIVATE} or newer, first on your PATH"))
            .hint("or go without it inside: --git none");
    }
    if version < MERGE {
        return Finding::new(Level::Weak, "git", is)
            .hint(format!("`claudebox worktree merge` and `apply` need {MERGE} or newer"));
    }
    Finding::new(Level::Fine, "git", is)
}

fn kernel(host: &Host) -> Finding {
    let release = visible(&host.kernel);
    match host.kernel_version() {
        Some(version) if version < (5, 19) => Finding::new(Level::Weak, "kernel", release)
            .hint("before 5.19 signals repeat notifications; the log stays right, and grows"),
        Some(version) if version < (6, 15) => {
            Finding::new(Level::Fine, "kernel", format!("{release}; exit codes by exit_group"))
        }
        _ => Finding::new(Level::Fine, "kernel", release),
    }
}

fn landlock(host: &Host) -> Finding {
    match host.landlock_abi {
        0 => {
            Finding::new(Level::Weak, "Landlock", "is not there: no second layer behind the mounts")
                .hint("boot with lsm=landlock,... (Linux 5.13 and later)")
        }
        abi @ 1..=5 => Finding::new(Level::Fine, "Landlock", format!("ABI {abi}, without scopes")),
        abi => Finding::new(Level::Fine, "Landlock", format!("ABI {abi}")),
    }
}

fn terminal(host: &Host) -> Finding {
    match tmux::Program::locate(host).and_then(tmux::Program::at) {
        Ok(tmux) if tmux.support == tmux::version::Support::Full => {
            Finding::new(Level::Fine, "tmux", "shows the log beside the agent")
        }
        Ok(_) => Finding::new(Level::Weak, "tmux", "is 3.2: programs can write past it")
            .hint("3.3 and later keep the agent's escape sequences from your terminal"),
        Err(error) => Finding { level: Level::Weak, ..Finding::of_error("tmux", &error) },
    }
}

/// What the sandbox that was tried says of itself.
struct Found {
    confined: Confined,
    /// What its network lacks.
    lesser_network: Option<String>,
    /// Its network has IPv6.
    ipv6: bool,
}

/// Starts something small in a sandbox, in a project and a state directory that go away again; without a
/// network, too, where it is that which cannot be had.
fn sandbox(host: &Host) -> Vec<Finding> {
    if host.bwrap.is_none() {
        return Vec::new();
    }
    match try_sandbox(host, "allow") {
        Err(error) if error.brief().contains(gateway::CANNOT_SET_UP) => {
            let mut findings = findings(try_sandbox(host, "none"), host);
            findings.push(Finding::of_error("network", &error));
            findings
        }
        Ok(Some(tried)) => {
            let network = network(tried.lesser_network.as_deref(), tried.ipv6);
            let mut findings = findings(Ok(Some(tried)), host);
            findings.push(network);
            findings
        }
        other => findings(other, host),
    }
}

fn findings(tried: Result<Option<Found>>, host: &Host) -> Vec<Finding> {
    match tried {
        Ok(Some(tried)) => enforced(&tried.confined, host),
        Ok(None) => vec![Finding::new(Level::Missing, "sandbox", "it ran, and left no log")],
        Err(error) => vec![Finding::of_error("sandbox", &error)],
    }
}

/// How what is inside comes to what is allowed.
fn network(lesser: Option<&str>, ipv6: bool) -> Finding {
    match lesser {
        None => {
            // Names are reached all the same: which family leads to them is decided outside.
            let without =
                if ipv6 { "" } else { "; without IPv6, so rules for its addresses lead nowhere" };
            let says = format!("reaches what is allowed, by a gateway{without}");
            Finding::new(Level::Fine, "network", says)
        }
        Some(lacks) => Finding::new(Level::Weak, "network", visible(lacks))
            .hint("where veth is a module of the kernel, `sudo modprobe veth` loads it")
            .hint("where namespaces are few: `sudo sysctl user.max_net_namespaces=15000`"),
    }
}

fn try_sandbox(host: &Host, network: &str) -> Result<Option<Found>> {
    let scratch = tempfile::Builder::new()
        .prefix("claudebox-doctor-")
        .tempdir_in(if host.dirs.state.is_dir() { &host.dirs.state } else { Path::new("/var/tmp") })
        .or_else(|_| tempfile::tempdir())
        .tried(|| "make a directory to try the sandbox in")?;
    let project = tempfile::Builder::new()
        .prefix("claudebox-doctor-")
        .tempdir()
        .tried(|| "make a project to try the sandbox in")?;
    let mut command = own_command(host);
    command
        .args(["run", "--no-monitor", "--network", network, "--project"])
        .arg(project.path())
        .args(["--", "sh", "-c", "cat /proc/net/if_inet6 2>/dev/null; true"])
        .env("XDG_STATE_HOME", scratch.path())
        .env("XDG_CONFIG_HOME", scratch.path());
    // In our group: it may look at the terminal, and Ctrl-C is meant for it, too.
    let output = subprocess::output(command, Group::Ours, LIMIT)
        .tried(|| format!("execute {}", visible_path(&host.executable)))?;
    if !output.status.success() {
        return Err(failure(&output.stderr));
    }
    let sessions = scratch.path().join("claudebox/sessions");
    let session = std::fs::read_dir(&sessions)
        .and_then(|mut entries| entries.next().transpose())
        .tried(|| format!("read {}", visible_path(&sessions)))?;
    session.map_or(Ok(None), |entry| {
        confinement(&entry.path(), has_ipv6(&output.stdout))
            .tried(|| "read the log of the sandbox that was tried")
    })
}

/// claudebox itself, for words that are read: they are without colours, whatever the caller wants of his.
pub(crate) fn own_command(host: &Host) -> Command {
    let mut command = Command::new(&host.executable);
    command.env("NO_COLOR", "1").env_remove("CLICOLOR_FORCE");
    command
}

/// What the run itself said, with its hints.
pub(crate) fn failure(stderr: &[u8]) -> Error {
    let text = String::from_utf8_lossy(stderr);
    let (hints, says): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.starts_with("hint: "));
    let says: Vec<String> =
        says.iter().map(|line| visible(line.trim_start_matches("claudebox: "))).collect();
    hints.iter().fold(Error::launcher(says.join("\n")), |error, hint| {
        error.hint(visible(hint.trim_start_matches("hint: ")))
    })
}

/// Whether there is an address beside the loopback's in the kernel's list, `/proc/net/if_inet6`.
fn has_ipv6(list: &[u8]) -> bool {
    let mut addresses = list.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    addresses.any(|line| !line.starts_with(b"00000000000000000000000000000001"))
}

fn confinement(session: &Path, ipv6: bool) -> io::Result<Option<Found>> {
    let mut reader = Reader::open(session)?;
    let mut lesser_network = None;
    while let Some(entry) = reader.next_entry()? {
        let Entry::Event(event, _) = entry else { continue };
        match *event {
            Event::Notice(notice) if notice.kind == gateway::LESSER => {
                lesser_network = Some(notice.text);
            }
            Event::Confined(confined) => return Ok(Some(Found { confined, lesser_network, ipv6 })),
            _ => {}
        }
    }
    Ok(None)
}

fn enforced(confined: &Confined, host: &Host) -> Vec<Finding> {
    let sandbox = match confined.landlock.as_str() {
        "fully" => Finding::new(Level::Fine, "sandbox", "starts; Landlock is fully enforced"),
        status => Finding::new(Level::Weak, "sandbox", format!("starts; Landlock: {status}")),
    };
    let log = match &confined.exec_log {
        ExecLogStatus::On { exit_source, verifies: true, .. } => {
            let says = format!("every exec is seen and verified; exit codes by {exit_source}");
            Finding::new(Level::Fine, "exec log", says)
        }
        ExecLogStatus::On { .. } => {
            Finding::new(Level::Weak, "exec log", "every exec is seen; argv cannot be verified")
        }
        ExecLogStatus::Unavailable { reason } => {
            Finding::new(Level::Missing, "exec log", visible(reason))
        }
        ExecLogStatus::Off => Finding::new(Level::Missing, "exec log", "is off"),
    };
    vec![sandbox, log, limits(&confined.limits, host)]
}

/// What holds everything inside together.
fn limits(limits: &[Limit], host: &Host) -> Finding {
    let held = limits.iter().filter(|limit| !LIMITS_OF_EACH.contains(&&*limit.of));
    let (lacking, held): (Vec<&Limit>, Vec<&Limit>) =
        held.partition(|limit| limit.by == NOT_ENFORCED);
    let list = |limits: &[&Limit], text: fn(&Limit) -> String| {
        limits.iter().map(|limit| text(limit)).collect::<Vec<_>>().join(", ")
    };
    let held = list(&held, |limit| format!("{} by {}", visible(&limit.of), visible(&limit.by)));
    if lacking.is_empty() {
        return Finding::new(Level::Fine, "limits", held);
    }
    let lacking = list(&lacking, |limit| visible(&limit.of));
    let held = if held.is_empty() { String::new() } else { format!("; {held}") };
    Finding::new(Level::Weak, "limits", format!("cannot limit {lacking}{held}")).hint(remedy(host))
}

/// Every machine enforces these.
const LIMITS_OF_EACH: [&str; 2] = [OPEN_FILES, FILE_SIZE];

fn write(findings: &[Finding], out: &mut dyn Write) -> io::Result<()> {
    use anstyle::AnsiColor::{Green, Red, Yellow};
    for finding in findings {
        let (color, word) = match finding.level {
            Level::Fine => (Green, "ok  "),
            Level::Weak => (Yellow, "weak"),
            Level::Missing => (Red, "FAIL"),
        };
        let style = color.on_default();
        let mut lines = finding.says.lines();
        let first = lines.next().unwrap_or_default();
        writeln!(out, "{style}{word}{style:#}  {:<11} {first}", finding.what)?;
        for line in lines {
            writeln!(out, "{:17} {line}", "")?;
        }
        for hint in &finding.hints {
            writeln!(out, "{:17} -> {hint}", "")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_run_are_read_without_colours() {
        let command = own_command(&Host::default());
        let environment: Vec<_> = command.get_envs().collect();
        let expected = [("CLICOLOR_FORCE", None), ("NO_COLOR", Some("1"))]
            .map(|(name, value)| (std::ffi::OsStr::new(name), value.map(std::ffi::OsStr::new)));
        assert_eq!(environment, expected);
    }

    #[test]
    fn a_failed_run_keeps_its_hints() {
        let error = failure(b"claudebox: cannot start bwrap: no\nhint: do this\nhint: or that\n");
        assert_eq!(error.to_string(), "cannot start bwrap: no");
        assert_eq!(error.hints(), ["do this", "or that"]);
    }

    #[test]
    fn a_lesser_network_is_weak_and_says_why() {
        assert!(network(None, true).level == Level::Fine);
        assert!(network(None, false).says.contains("without IPv6"));
        let weak = network(Some("there is no gateway of its own: \x1b[2J"), true);
        assert!(weak.level == Level::Weak && !weak.hints.is_empty());
        assert!(!weak.says.contains('\x1b'), "{}", weak.says);
    }

    #[test]
    fn the_loopbacks_own_address_is_no_ipv6() {
        let lo = "00000000000000000000000000000001 01 80 10 80       lo\n";
        let eth0 = "fd636c61756400000000000000000002 02 80 00 80     eth0\n";
        assert!(!has_ipv6(b"") && !has_ipv6(lo.as_bytes()));
        assert!(has_ipv6(format!("{lo}{eth0}").as_bytes()));
    }

    #[test]
    fn a_git_that_is_too_old_is_found_out() {
        assert!(git(&Host::default()).level == Level::Missing, "there is none without a PATH");
        for (version, level) in [
            (Version(2, 30), Level::Missing),
            (Version(2, 31), Level::Weak),
            (Version(2, 37), Level::Weak),
            (Version(2, 38), Level::Fine),
        ] {
            let finding = git_of(version, "/usr/bin/git");
            assert!(finding.level == level, "{version}");
            assert_eq!(finding.hints.is_empty(), level == Level::Fine);
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        assert_eq!(doctor(&Host::default(), &mut Gone).unwrap(), exit::LAUNCHER);
    }

    #[test]
    fn a_machine_without_bwrap_cannot_run_a_session() {
        let mut out = Vec::new();
        let code = doctor(&Host::default(), &mut out).unwrap();
        assert_eq!(code, exit::LAUNCHER);
        assert!(String::from_utf8(out).unwrap().contains("apt install bubblewrap"));
    }
}
