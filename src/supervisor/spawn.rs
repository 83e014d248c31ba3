//! Starts bwrap: hands its arguments over in a memory file (argv is world-readable) and keeps the other
//! end of everything. bwrap gets no environment and only the descriptors meant for it.
//!
//! When the supervisor is killed, everything goes, by two ways that do not depend on each other.
//! The inner stage sees its socket closed and exits, and with pid 1 the namespace. And once the
//! sandbox is up, the kernel kills bwrap, whose death is the inner stage's by its death signal.
//! Not earlier, and so not by `--die-with-parent` or a death signal set before bwrap's start:
//! bwrap clones its child and then releases it, and a bwrap killed in between leaves a child that
//! waits for ever. A bwrap that lives to release its child leads to an inner stage that finds its
//! socket closed.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FileType, fstat};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, pidfd_send_signal};

use super::arguments::Arguments;
use super::cgroup::{Cgroup, Making};
use super::scope::Joining;
use crate::error::{Error, Result, Tried as _};
use crate::network::plan::Network;
use crate::plan::Plan;
use crate::sandbox::inner;
use crate::sandbox::inner::handshake::{Mounted, Orders};
use crate::sys::bare::{Bare, Child};
use crate::sys::channel::{self, Channel};
use crate::sys::fds::{self, Captured};
use crate::sys::pidfd::{self, ends_within};
use crate::sys::process;
use crate::visible::visible_path;

/// A running bwrap. Dropping it kills it, and everything inside with it.
#[derive(Debug)]
pub(super) struct Sandbox {
    /// To the inner stage.
    pub(super) inner: Channel,
    child: Child,
    pidfd: OwnedFd,
    life: Life,
    stderr: Captured,
    info: Option<OwnedFd>,
    /// Goes when everything inside has gone.
    _cgroup: Cgroup,
}

/// A pipe into which nobody writes. The kernel closes our end when we die; the inner stage keeps
/// the other one open.
#[derive(Debug)]
struct Life {
    reading: OwnedFd,
    _writing: OwnedFd,
}

/// A pipe on which bwrap says who its child is. bwrap gets both ends: if we die, it must still be able
/// to say it, or it ends and leaves its child.
#[derive(Debug)]
struct InfoPipe {
    reading: OwnedFd,
    writing: OwnedFd,
}

impl InfoPipe {
    /// Asks for it, by this option among bwrap's words.
    fn asked(option: &str, words: &mut Vec<u8>) -> Result<Self> {
        let (reading, writing) = pipe_with(PipeFlags::CLOEXEC).tried(|| "make a pipe")?;
        words.extend_from_slice(format!("{option}\0{}\0", fds::number(&writing)).as_bytes());
        Ok(Self { reading, writing })
    }

    fn ends(&self) -> [BorrowedFd<'_>; 2] {
        [self.reading.as_fd(), self.writing.as_fd()]
    }
}

impl Sandbox {
    /// Spawns bwrap for the session of this directory, in the group that is being made for it, and begins
    /// to have it moved into its scope if it has one. The caller's process must have no other child when
    /// it is reaped: it adopts what bwrap leaves. `foreground`: see [`Orders::foreground`].
    pub(super) fn start(
        plan: &Plan,
        session: &Path,
        group: Option<Making<'_>>,
        foreground: bool,
    ) -> Result<(Self, Option<Joining>)> {
        no_directory("standard input", &io::stdin())?;
        no_directory("standard output", &io::stdout())?;
        no_directory("standard error", &io::stderr())?;
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .tried(|| "adopt orphans")?;
        let (inner, theirs) = channel::pair().tried(|| "make a socket")?;
        let inner = inner.with_credentials().tried(|| "make a socket")?;
        let stderr = Captured::new().tried(|| "make a memory file")?;
        let agents_stderr =
            io::stderr().as_fd().try_clone_to_owned().tried(|| "duplicate standard error")?;
        let (reading, writing) = pipe_with(PipeFlags::CLOEXEC).tried(|| "make a pipe")?;
        let Arguments { mut words, opened, mounts } = Arguments::open(&plan.args, session)?;
        let orders = orders(plan, foreground, &agents_stderr, &reading, mounts)?;
        let gateway = matches!(plan.network, Network::Allow(_));
        let info = gateway.then(|| InfoPipe::asked("--info-fd", &mut words)).transpose()?;
        let mut cgroup = group.map(Making::made).transpose()?.unwrap_or_default();
        // The same as by --info-fd, which bwrap takes once. Its child closes it before it executes
        // anything; bwrap keeps it, and says there how its child ended.
        let status = cgroup.scope.is_some();
        let status = status.then(|| InfoPipe::asked("--json-status-fd", &mut words)).transpose()?;
        let words = fds::sealed("bwrap-args", &words).tried(|| "make a memory file")?;

        let args: [OsString; 7] = [
            "--args".into(),
            fds::number(&words).into(),
            "--".into(),
            inner::PROGRAM.into(),
            inner::WORD.into(),
            fds::number(&theirs).into(),
            fds::number(&orders).into(),
        ];
        let handed = [&agents_stderr, &orders, &reading, &words].map(AsFd::as_fd);
        let inherit: Vec<BorrowedFd<'_>> = handed
            .into_iter()
            .chain([theirs.as_fd()])
            .chain(opened.iter().map(AsFd::as_fd))
            .chain(info.iter().chain(&status).flat_map(InfoPipe::ends))
            .collect();
        let mut child = spawn(plan.bwrap.as_path(), &args, &cgroup, &inherit, stderr.as_fd())?;
        let pidfd = match pidfd::open(child.pid().as_raw()) {
            Ok(pidfd) => pidfd,
            Err(err) => {
                let _ = child.kill();
                let _ = child.wait().and_then(|_| end_orphans());
                return Err(Error::launcher(format!("cannot watch bwrap: {err}")));
            }
        };
        let joining = cgroup.scope.take().zip(status);
        let joining =
            joining.map(|(scope, status)| scope.join(child.pid().as_raw(), status.reading));
        let life = Life { reading, _writing: writing };
        let info = info.map(|info| info.reading);
        let sandbox = Self { inner, child, pidfd, life, stderr, info, _cgroup: cgroup };
        Ok((sandbox, joining))
    }

    /// Where bwrap says which sandbox it made; there for a network that needs to know, and once.
    pub(super) fn take_info(&mut self) -> Option<OwnedFd> {
        self.info.take()
    }

    /// From now on the kernel kills bwrap when we die. To be called when the inner stage is up.
    pub(super) fn bind_to_our_life(&self) -> io::Result<()> {
        let bwrap = self.child.pid();
        process::kill_at_hang_up(self.life.reading.as_fd(), bwrap)
    }

    /// Readable once bwrap has ended.
    pub(super) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Kills bwrap and with it, by the death signal and the closed socket, all that is inside.
    pub(super) fn kill(&self) {
        let _ = rustix::net::shutdown(&self.inner, rustix::net::Shutdown::Both);
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Waits until bwrap has ended, by force after a while, and reaps it and what it left behind:
    /// who kills bwrap itself, early, leaves a child that waits for its release, and which is ours
    /// then (see [`Sandbox::start`]).
    pub(super) fn reap(&mut self, patience: Duration) -> io::Result<()> {
        if !ends_within(self.pidfd.as_fd(), patience)? {
            self.kill();
        }
        if self.child.wait()?.signal().is_some() {
            end_orphans()?;
        }
        Ok(())
    }

    /// What bwrap and the inner stage said before the agent's standard error was in place.
    pub(super) fn words(&self) -> Vec<u8> {
        self.stderr.text()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.kill();
        let _ = self.reap(Duration::ZERO);
    }
}

/// Ends what a killed bwrap left, which is ours now and in its group. A git of ours, which leads its own,
/// finishes what it is at: killed while it changes refs, it would leave its locks in the user's repository.
fn end_orphans() -> io::Result<()> {
    let leads = |pid: &nix::unistd::Pid| nix::unistd::getpgid(Some(*pid)) == Ok(*pid);
    for orphan in process::children()?.into_iter().filter(|pid| !leads(pid)) {
        let _ = nix::sys::signal::kill(orphan, nix::sys::signal::Signal::SIGKILL);
        let _ = nix::sys::wait::waitpid(orphan, None);
    }
    Ok(())
}

/// Executes bwrap, in its group.
fn spawn(
    program: &Path,
    args: &[OsString],
    cgroup: &Cgroup,
    inherit: &[BorrowedFd<'_>],
    stderr: BorrowedFd<'_>,
) -> Result<Child> {
    let (into, enter) = (cgroup.into.as_ref().map(AsFd::as_fd), &*cgroup.enter);
    let bare = Bare { program, name: "bwrap", args, into, enter, inherit, stderr };
    bare.spawn().map_err(|err| cannot_start(&visible_path(program), &err))
}

/// The agent gets these three. From a directory of the host it could walk on (CVE-2024-21626).
fn no_directory(name: &str, stream: &impl AsFd) -> Result<()> {
    // What is closed is nothing to walk from.
    let directory =
        fstat(stream).is_ok_and(|found| FileType::from_raw_mode(found.st_mode).is_dir());
    if !directory {
        return Ok(());
    }
    Err(Error::launcher(format!("{name} is a directory, which would lead out of the sandbox"))
        .hint("redirect it from or to a file, or use --ro-bind to show a directory inside"))
}

fn orders(
    plan: &Plan,
    foreground: bool,
    stderr: &OwnedFd,
    life: &OwnedFd,
    mounts: Vec<Mounted>,
) -> Result<OwnedFd> {
    let orders = Orders {
        mounts,
        plan: plan.inner.clone(),
        stderr: stderr.as_raw_fd(),
        life: life.as_raw_fd(),
        foreground,
    };
    let bytes = serde_json::to_vec(&orders).tried(|| "write the inner plan")?;
    fds::sealed("inner-plan", &bytes).tried(|| "make a memory file")
}

fn cannot_start(shown: &str, err: &io::Error) -> Error {
    let error = Error::launcher(format!("cannot execute {shown}: {err}"));
    match err.kind() {
        io::ErrorKind::NotFound => error.hint("install bubblewrap"),
        _ => error,
    }
}
