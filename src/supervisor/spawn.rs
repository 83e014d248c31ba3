//! Starts bwrap: opens what its arguments name, hands the arguments over in a memory file (argv is
//! world-readable) and keeps the other end of everything. bwrap gets no environment and only
//! the descriptors meant for it.
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
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::cgroup::Cgroup;
use crate::bytes::Bytes;
use crate::error::{Error, Result, Tried as _};
use crate::sandbox::inner;
use crate::sandbox::inner::handshake::{Mounted, Orders};
use crate::sandbox::plan::{Arg, FdSource, Plan};
use crate::sys::bare::{Bare, Child};
use crate::sys::channel::{self, Channel};
use crate::sys::fds::{self, Captured};
use crate::sys::process;
use crate::visible::{visible, visible_path};

/// A running bwrap. Dropping it kills it, and everything inside with it.
#[derive(Debug)]
pub(super) struct Sandbox {
    /// To the inner stage.
    pub(super) inner: Channel,
    child: Child,
    pidfd: OwnedFd,
    life: Life,
    stderr: Captured,
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

impl Sandbox {
    /// Spawns bwrap. The caller's process must have no other child: it adopts what bwrap leaves.
    /// `foreground`: see [`Orders::foreground`].
    pub(super) fn start(plan: &Plan, cgroup: Cgroup, foreground: bool) -> Result<Self> {
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
        let Arguments { words, opened, mounts } = arguments(&plan.args)?;
        let orders = orders(plan, foreground, &agents_stderr, &reading, mounts)?;
        let words = fds::sealed("bwrap-args", &words).tried(|| "make a memory file")?;

        let program = ["--", inner::PROGRAM, "__inner"].map(OsString::from);
        let numbers = [fds::number(&theirs), fds::number(&orders)].map(OsString::from);
        let words_number = ["--args".into(), fds::number(&words).into()];
        let args = words_number.into_iter().chain(program).chain(numbers);
        let (program, args) = match &cgroup.through {
            None => (plan.bwrap.as_path(), args.collect()),
            Some((program, before)) => {
                let bwrap = [plan.bwrap.as_path().into()];
                (&**program, before.iter().cloned().chain(bwrap).chain(args).collect::<Vec<_>>())
            }
        };
        let handed = [&agents_stderr, &orders, &reading, &words].map(AsFd::as_fd);
        let inherit: Vec<BorrowedFd<'_>> = handed
            .into_iter()
            .chain([theirs.as_fd()])
            .chain(opened.iter().map(AsFd::as_fd))
            .collect();
        let bare = Bare {
            program,
            name: if cgroup.through.is_none() { "bwrap" } else { "systemd-run" },
            args: &args,
            env: &cgroup.env,
            enter: &cgroup.enter,
            inherit: &inherit,
            stderr: stderr.as_fd(),
        };
        let child = bare.spawn().map_err(|err| cannot_start(&visible_path(program), &err))?;
        let pidfd = Pid::from_raw(child.pid().as_raw())
            .ok_or(rustix::io::Errno::SRCH)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
        let pidfd = match pidfd {
            Ok(pidfd) => pidfd,
            Err(err) => {
                let _ = child.kill();
                return Err(Error::launcher(format!("cannot watch bwrap: {err}")));
            }
        };
        let life = Life { reading, _writing: writing };
        Ok(Self { inner, child, pidfd, life, stderr, _cgroup: cgroup })
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
            for orphan in process::children()? {
                let _ = nix::sys::signal::kill(orphan, nix::sys::signal::Signal::SIGKILL);
                let _ = nix::sys::wait::waitpid(orphan, None);
            }
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

/// Whether the process of a pidfd ends within this time.
pub(super) fn ends_within(pidfd: BorrowedFd<'_>, patience: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)], Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other? > 0),
        }
    }
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

/// What becomes of a plan's arguments.
#[derive(Default)]
struct Arguments {
    /// As `--args` reads them, each ended by NUL.
    words: Vec<u8>,
    /// The descriptors they name.
    opened: Vec<OwnedFd>,
    /// What is mounted by descriptor, and covered by nothing that comes later.
    mounts: Vec<Mounted>,
}

fn arguments(args: &[Arg]) -> Result<Arguments> {
    let Arguments { mut words, mut opened, mut mounts } = Arguments::default();
    for (index, arg) in args.iter().enumerate() {
        if let Some(destination) = destination(&args[index..]) {
            mounts.retain(|earlier: &Mounted| {
                !earlier.destination.as_path().starts_with(destination.as_path())
            });
        }
        match arg {
            Arg::Literal(word) if word.0.contains(&0) => {
                let shown = visible(word);
                return Err(Error::launcher(format!("a NUL byte in the bwrap argument {shown}")));
            }
            Arg::Literal(word) => words.extend_from_slice(word.as_ref()),
            Arg::Fd(source) => {
                let fd = open(source)?;
                words.extend_from_slice(fds::number(&fd).as_bytes());
                if let Some(before) = index.checked_sub(1) {
                    mounts.extend(mounted(&args[before..], &fd)?);
                }
                opened.push(fd);
            }
        }
        words.push(0);
    }
    Ok(Arguments { words, opened, mounts })
}

/// Where the operation that begins here mounts something.
fn destination(args: &[Arg]) -> Option<&Bytes> {
    let Arg::Literal(option) = args.first()? else { return None };
    let at = match option.as_ref() {
        b"--tmpfs" | b"--dev" | b"--proc" => 1,
        b"--bind" | b"--ro-bind" | b"--bind-fd" | b"--ro-bind-fd" | b"--ro-bind-data" => 2,
        _ => return None,
    };
    match args.get(at)? {
        Arg::Literal(destination) => Some(destination),
        Arg::Fd(_) => None,
    }
}

/// What the operation that begins here mounts, if it does so by this descriptor.
fn mounted(args: &[Arg], fd: &OwnedFd) -> Result<Option<Mounted>> {
    let [Arg::Literal(option), Arg::Fd(FdSource::Path { .. }), Arg::Literal(destination), ..] =
        args
    else {
        return Ok(None);
    };
    let stat = fstat(fd).tried(|| format!("examine what is to be {}", visible(destination)))?;
    Ok(Some(Mounted {
        destination: destination.clone(),
        device: stat.st_dev,
        inode: stat.st_ino,
        read_only: option.as_ref() == b"--ro-bind-fd",
    }))
}

fn open(source: &FdSource) -> Result<OwnedFd> {
    match source {
        FdSource::Data(bytes) => {
            fds::sealed("bwrap-data", bytes.as_ref()).tried(|| "make a memory file")
        }
        FdSource::Content(path) => {
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            openat(CWD, path.as_path(), flags, Mode::empty())
                .map_err(|errno| not_opened(&visible(path), errno))
        }
        FdSource::Path { beneath, path } => {
            let shown = visible_path(&beneath.as_path().join(path.as_path()));
            let root = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            let empty = path.as_ref().is_empty();
            let path = if empty { Path::new(".") } else { path.as_path() };
            openat(CWD, beneath.as_path(), root, Mode::empty())
                .and_then(|beneath| {
                    // Not with O_NOFOLLOW: together they open a final link itself, not refuse it.
                    let flags = OFlags::PATH | OFlags::CLOEXEC;
                    openat2(beneath, path, flags, Mode::empty(), resolve)
                })
                .map_err(|errno| not_opened(&shown, errno))
        }
    }
}

fn not_opened(shown: &str, errno: rustix::io::Errno) -> Error {
    let error = Error::launcher(format!("cannot open {shown}: {errno}"));
    match errno {
        rustix::io::Errno::LOOP => error.hint(
            "a component of it is a symbolic link: the project could point it anywhere, so it is \
             not followed",
        ),
        rustix::io::Errno::NOSYS => error.hint(
            "the kernel has no openat2(2) (Linux 5.6), or a container around this one forbids it: \
             without it links would be followed",
        ),
        _ => error,
    }
}

fn cannot_start(shown: &str, err: &io::Error) -> Error {
    let error = Error::launcher(format!("cannot execute {shown}: {err}"));
    match err.kind() {
        io::ErrorKind::NotFound => error.hint("install bubblewrap"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn arguments_are_ended_by_nul_and_name_their_descriptors() {
        let data = Arg::Fd(FdSource::Data(Bytes::from("x")));
        let file = Arg::Literal(Bytes(b"a \n\xff".to_vec()));
        let Arguments { words, opened, mounts } =
            arguments(&[Arg::Literal("--file".into()), data, file]).unwrap();
        assert_eq!(mounts, []);
        let number = fds::number(&opened[0]);
        assert_eq!(words, [b"--file\0", number.as_bytes(), b"\0a \n\xff\0"].concat());
    }

    #[test]
    fn what_is_covered_later_is_not_expected() {
        let dir = tempfile::tempdir().unwrap();
        let word = |word: &str| Arg::Literal(word.into());
        let fd = || Arg::Fd(FdSource::Path { beneath: dir.path().into(), path: "".into() });
        let mut args = vec![word("--bind-fd"), fd(), word("/a"), word("--ro-bind-fd"), fd()];
        args.extend([word("/a/b"), word("--tmpfs"), word("/a/b"), word("--ro-bind-fd"), fd()]);
        args.push(word("/c"));
        let mounts = arguments(&args).unwrap().mounts;
        let shown = |mounted: &Mounted| (mounted.destination.clone(), mounted.read_only);
        let shown: Vec<(Bytes, bool)> = mounts.iter().map(shown).collect();
        assert_eq!(shown, [("/a".into(), false), ("/c".into(), true)]);
    }

    #[test]
    fn an_argument_cannot_smuggle_in_another() {
        assert!(arguments(&[Arg::Literal(Bytes(b"/x\0--bind\0/".to_vec()))]).is_err());
    }

    #[test]
    fn a_link_that_the_project_planted_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/etc", dir.path().join("link")).unwrap();
        let at =
            |path: &str| FdSource::Path { beneath: Bytes::from(dir.path()), path: path.into() };
        for path in ["link", "link/passwd", "../x", "/etc"] {
            assert!(open(&at(path)).is_err(), "{path}");
        }
        std::fs::create_dir(dir.path().join("real")).unwrap();
        assert!(open(&at("real")).is_ok());
    }
}
