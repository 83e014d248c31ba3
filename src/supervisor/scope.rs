//! The scope of a session (systemd.scope(5)): made by systemd, which is asked while bwrap makes its
//! mounts, and moves bwrap and its child into it. That is all there is of the sandbox then, and what
//! they start later is born where they are. So nothing foreign may run before [`Joining::check`] has
//! seen the sandbox's pid 1 in it, by what the kernel says and not by systemd's answer.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::refusal;
use crate::bwrap_info::{Heard, Info, Said};
use crate::error::{Error, Result, Tried as _};
use crate::plan::limits::{Group, OOM_POLICY, OutOfMemory};
use crate::sys::fds::Captured;
use crate::sys::pidfd::{self, ends_within};
use crate::visible::visible_path;

/// How long systemd may take to answer.
const ANSWERS: Duration = Duration::from_secs(10);
/// How long it may take then to move two processes.
const MOVES: Duration = Duration::from_secs(3);
/// Nothing tells that a process was moved: `/proc` is asked again after this time.
const PAUSE: Duration = Duration::from_micros(500);

/// A scope that is to be made.
#[derive(Debug)]
pub(super) struct Scope {
    group: Group,
    /// Its name, which no other scope has.
    name: String,
    /// busctl(1).
    program: PathBuf,
    /// `$XDG_RUNTIME_DIR` of the user's manager; `None` for the system's.
    runtime: Option<PathBuf>,
    out_of_memory: OutOfMemory,
}

/// A scope on its way.
#[derive(Debug)]
pub(super) struct Joining {
    scope: Scope,
    bwrap: i32,
    /// When the step that is waited for is given up.
    until: Instant,
    state: State,
}

#[derive(Debug)]
enum State {
    /// bwrap is about to say, here, who its child is. It has said this so far.
    Born(File, Said),
    /// bwrap ended, or said nothing.
    Untold,
    /// systemd is asked to take this child.
    Asking(Asked, i32),
    /// It said yes, and moves them.
    Moving(i32),
    Joined,
}

impl Scope {
    pub(super) fn new(group: Group, name: &str, program: &Path, runtime: Option<&Path>) -> Self {
        let runtime = runtime.map(Path::to_owned);
        let (name, program) = (format!("{name}.scope"), program.to_owned());
        Self { group, name, program, runtime, out_of_memory: OutOfMemory::Continue }
    }

    /// Begins to have `bwrap` moved into it; `info` is where bwrap says who its child is.
    pub(super) fn join(self, bwrap: i32, info: OwnedFd) -> Joining {
        let state = State::Born(info.into(), Said::default());
        Joining { scope: self, bwrap, until: Instant::now() + ANSWERS, state }
    }

    fn ask(&self, members: [i32; 2]) -> Result<Asked> {
        let args = self.group.start_transient_unit(
            &self.name,
            self.runtime.is_some(),
            self.out_of_memory,
            members,
        );
        let mut command = Command::new(&self.program);
        command.args(args).env_clear().current_dir("/");
        if let Some(runtime) = &self.runtime {
            let mut bus = OsString::from("unix:path=");
            bus.push(runtime.join("bus"));
            command.env("XDG_RUNTIME_DIR", runtime).env("DBUS_SESSION_BUS_ADDRESS", bus);
        }
        Asked::start(command).tried(|| format!("execute {}", visible_path(&self.program)))
    }

    fn refused(&self, why: &str) -> Error {
        let user = if self.runtime.is_some() { "--user " } else { "" };
        Error::launcher(format!("systemd could not make a scope for the limits: {why}"))
            .hint(format!("does `systemd-run {user}--scope true` work?"))
            .hint("with `limits.enforce = \"best-effort\"` the session starts without them")
    }
}

impl Joining {
    /// Readable when there is a step to go.
    pub(super) fn event(&self) -> Option<BorrowedFd<'_>> {
        match &self.state {
            State::Born(info, _) => Some(info.as_fd()),
            State::Asking(asked, _) => Some(asked.pidfd.as_fd()),
            State::Untold | State::Moving(_) | State::Joined => None,
        }
    }

    /// When there is a step to go at the latest.
    pub(super) fn pause(&self) -> Option<Duration> {
        match self.state {
            State::Born(..) | State::Asking(..) => {
                Some(self.until.saturating_duration_since(Instant::now()))
            }
            State::Moving(_) => Some(PAUSE),
            State::Untold | State::Joined => None,
        }
    }

    /// Whether nothing more is to come.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Untold | State::Joined)
    }

    /// Goes on as far as that is possible without waiting.
    pub(super) fn step(&mut self) -> Result<()> {
        if Instant::now() > self.until {
            return Err(self.scope.refused("it took too long"));
        }
        match &mut self.state {
            State::Born(info, said) => match hear(info, said).tried(|| "read what bwrap says")? {
                Heard::Ended | Heard::TooMuch => self.state = State::Untold,
                Heard::Part => {}
                // bwrap's number is its own until we reap it. Its child's is free if that dies now; the
                // kernel gives numbers out in turn, and has not come round when systemd looks.
                Heard::Info(Info { child_pid, .. }) => {
                    let asked = self.scope.ask([self.bwrap, child_pid])?;
                    self.state = State::Asking(asked, child_pid);
                }
            },
            State::Asking(asked, child) => {
                let child = *child;
                match asked.answer().tried(|| "wait for systemd's answer")? {
                    None => {}
                    Some(Ok(())) => {
                        self.until = Instant::now() + MOVES;
                        self.state = State::Moving(child);
                        self.look(child);
                    }
                    // A manager that does not know it refuses all, and says its name.
                    Some(Err(why))
                        if self.scope.out_of_memory == OutOfMemory::Continue
                            && why.contains(OOM_POLICY) =>
                    {
                        self.scope.out_of_memory = OutOfMemory::Unsaid;
                        let asked = self.scope.ask([self.bwrap, child])?;
                        self.state = State::Asking(asked, child);
                    }
                    Some(Err(why)) => return Err(self.scope.refused(&why)),
                }
            }
            State::Moving(child) => {
                let child = *child;
                self.look(child);
            }
            State::Untold | State::Joined => {}
        }
        Ok(())
    }

    fn look(&mut self, child: i32) {
        if [self.bwrap, child].into_iter().all(|pid| is_member(pid, &self.scope.name)) {
            self.state = State::Joined;
        }
    }

    /// Whether the sandbox's pid 1, which has this number here, is in the scope.
    pub(super) fn check(&self, init: Option<i32>) -> Result<()> {
        match self.state {
            State::Untold => Err(self.scope.refused("bwrap did not say who its child is")),
            _ if init.is_some_and(|init| is_member(init, &self.scope.name)) => Ok(()),
            _ => Err(self.scope.refused("the sandbox is not in it")),
        }
    }
}

/// Hears on.
fn hear(info: &mut File, said: &mut Said) -> io::Result<Heard> {
    let mut bytes = [0; 4096];
    let count = info.read(&mut bytes)?;
    Ok(said.hear(&bytes[..count]))
}

fn is_member(pid: i32, scope: &str) -> bool {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    is_in(&groups, scope)
}

/// Whether `/proc/PID/cgroup` names the scope in the hierarchy of version 2, which has number 0.
fn is_in(groups: &str, scope: &str) -> bool {
    let mut paths = groups.lines().filter_map(|line| line.strip_prefix("0::"));
    paths.any(|path| Path::new(path).file_name() == Some(scope.as_ref()))
}

/// A busctl(1) that was started. Dropping it kills it.
#[derive(Debug)]
struct Asked {
    child: Child,
    pidfd: OwnedFd,
    stderr: Captured,
}

impl Asked {
    fn start(mut command: Command) -> io::Result<Self> {
        let stderr = Captured::new()?;
        let theirs = stderr.as_fd().try_clone_to_owned()?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(theirs);
        let mut child = command.spawn()?;
        match pidfd::open(child.id().cast_signed()) {
            Ok(pidfd) => Ok(Self { child, pidfd, stderr }),
            Err(err) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(err.into())
            }
        }
    }

    /// What it said, once it has ended; `Err` is why not.
    fn answer(&mut self) -> io::Result<Option<Result<(), String>>> {
        if !ends_within(self.pidfd.as_fd(), Duration::ZERO)? {
            return Ok(None);
        }
        let status = self.child.wait()?;
        Ok(Some(if status.success() {
            Ok(())
        } else {
            let words = refusal::words(&self.stderr.text());
            Err(if words.is_empty() { format!("busctl ended with {status}") } else { words })
        }))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use rustix::pipe::pipe;

    use super::*;

    #[test]
    fn a_scope_is_known_by_the_last_name_in_version_2() {
        let is_in = |groups| is_in(groups, "claudebox-1-2.scope");
        assert!(is_in("4:memory:/x\n0::/user.slice/app.slice/claudebox-1-2.scope\n"));
        // As it looks to somebody in a group beside it (`cgroup_namespaces(7)`).
        assert!(is_in("0::/../claudebox-1-2.scope\n"));
        for other in [
            "",
            "0::/\n",
            "0::/claudebox-1-2.scope/x\n",
            "0::/x-claudebox-1-2.scope\n",
            "1:name=systemd:/claudebox-1-2.scope\n0::/\n",
            "4:a\n0::b:/claudebox-1-2.scopes\n",
        ] {
            assert!(!is_in(other), "{other}");
        }
    }

    #[test]
    fn bwraps_child_is_read_in_parts() {
        let (reading, writing) = pipe().unwrap();
        let (mut info, mut writing) = (File::from(reading), File::from(writing));
        let mut said = Said::default();
        writing.write_all(b"{\n    \"child-pid\": 12").unwrap();
        assert_eq!(hear(&mut info, &mut said).unwrap(), Heard::Part);
        writing.write_all(b"34,\n    \"pid-namespace\": 5\n}\n").unwrap();
        let child = Info { child_pid: 1234, net_namespace: None };
        assert_eq!(hear(&mut info, &mut said).unwrap(), Heard::Info(child));
        drop(writing);
        assert_eq!(hear(&mut info, &mut Said::default()).unwrap(), Heard::Ended);
    }
}
