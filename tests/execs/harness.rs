//! Runs one program under the exec watcher and gives back its log.
#![expect(unsafe_code, reason = "the child is prepared between fork and exec")]

use std::ffi::CString;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use claudebox::filters::notify::{self, Stops};
use claudebox::log::event::{End, Event, Exec, ExecId, Exit, Outcome, Ran};
use claudebox::log::sink::Sink;
use claudebox::supervisor::execs::{self, Execs, Kernel, Limits, Options, Root, Threads};
use claudebox::sys::pidfd::ExitSource;
use claudebox::sys::seccomp;
use nix::mount::MsFlags;
use nix::sched::CloneFlags;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

/// How a run is watched.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) verify: bool,
    pub(crate) exits: ExitSource,
    pub(crate) marker: Option<String>,
    pub(crate) limits: Limits,
    /// Runs in the child before the filter.
    pub(crate) before: fn() -> io::Result<()>,
}

impl Default for Setup {
    fn default() -> Self {
        let exits = kernel().exits;
        Self { verify: true, exits, marker: None, limits: Limits::default(), before: || Ok(()) }
    }
}

/// What this kernel can tell.
pub(crate) fn kernel() -> Kernel {
    static KERNEL: OnceLock<Kernel> = OnceLock::new();
    *KERNEL.get_or_init(|| {
        // As the supervisor does: tests run side by side, and each process needs a descriptor.
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
        execs::probe().unwrap()
    })
}

/// The log of one run.
pub(crate) struct Log {
    pub(crate) events: Vec<Event>,
    pub(crate) output: Output,
    /// Whether the watcher had failed before the end.
    pub(crate) failed: bool,
}

/// Collects events.
#[derive(Clone, Default)]
pub(crate) struct Collect(pub(crate) Arc<Mutex<Vec<Event>>>);

impl Sink for Collect {
    fn write(&mut self, event: &Event) -> io::Result<()> {
        self.0.lock().unwrap().push(event.clone());
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs a command to its end under the watcher.
pub(crate) fn watch(command: &mut Command, setup: &Setup) -> Log {
    let collect = Collect::default();
    let (output, execs) = run(command, setup, Box::new(collect.clone()));
    let failed = execs.failed();
    let end = |execs| End { t: 0, execs, code: 0, ..End::default() };
    let summary = execs.finish(end).unwrap();
    let events = std::mem::take(&mut *collect.0.lock().unwrap());
    let log = Log { events, output, failed };
    assert_eq!(log.execs().count() as u64, summary.execs);
    assert!(matches!(log.events.last(), Some(Event::End(end)) if end.execs == summary.execs));
    log
}

/// Runs a command to its end and leaves the watcher running.
pub(crate) fn run(command: &mut Command, setup: &Setup, sink: Box<dyn Sink>) -> (Output, Execs) {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let verify = setup.verify;
    let kernel = Kernel { exits: setup.exits, ..kernel() };
    let exits = setup.exits == ExitSource::ExitGroup;
    let stops = Stops { starts: verify, exits, sockets: false };
    let program = notify::program(stops);
    let before = setup.before;
    let work = command.get_current_dir().unwrap_or(Path::new("/tmp")).to_owned();
    let socket = theirs.as_raw_fd();
    let prepare = move || {
        read_only_but(&work)?;
        before()?;
        let listener = seccomp::install(&program)?;
        send(socket, listener.fd.as_raw_fd())
    };
    // SAFETY: the child only makes system calls and allocates, which glibc allows after fork.
    unsafe { command.pre_exec(prepare) };
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());

    let options = Options {
        kernel,
        verify,
        limits: setup.limits,
        tool_marker: setup.marker.clone(),
        init_pid: std::process::id().cast_signed(),
    };
    std::thread::scope(|scope| {
        // The child's exec waits for the watcher, and spawn for the child's exec.
        let watching = scope.spawn(move || {
            let (pid, listener) = receive(&ours);
            let root = rustix::fs::open(
                format!("/proc/{pid}/root"),
                rustix::fs::OFlags::PATH,
                rustix::fs::Mode::empty(),
            );
            let root = Root::new(root.unwrap(), pid.cast_signed()).unwrap();
            execs::start(Threads::start().unwrap(), listener, root, options, None, sink).unwrap()
        });
        let child = command.spawn();
        drop(theirs);
        let execs = watching.join().unwrap();
        (child.unwrap().wait_with_output().unwrap(), execs)
    })
}

/// A mount namespace in which only this directory can be written, as in a sandbox.
fn read_only_but(work: &Path) -> io::Result<()> {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let user = if uid.is_root() { CloneFlags::empty() } else { CloneFlags::CLONE_NEWUSER };
    nix::sched::unshare(CloneFlags::CLONE_NEWNS | user)?;
    if !uid.is_root() {
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
        std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))?;
    }
    let none: Option<&str> = None;
    let bind = MsFlags::MS_BIND;
    nix::mount::mount(none, "/", none, MsFlags::MS_PRIVATE | MsFlags::MS_REC, none)?;
    nix::mount::mount(Some(work), work, none, bind, none)?;
    let read_only = libc::MOUNT_ATTR_RDONLY;
    mount_setattr(Path::new("/"), libc::AT_RECURSIVE, read_only, 0)?;
    mount_setattr(work, 0, 0, read_only)?;
    // An attacker writes to /proc/PID/mem.
    mount_setattr(Path::new("/proc"), 0, 0, read_only)?;
    nix::unistd::chdir(work)?;
    Ok(())
}

fn mount_setattr(path: &Path, flags: i32, set: u64, clear: u64) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_encoded_bytes())?;
    let attr = [set, clear, 0, 0];
    // SAFETY: `attr` has the layout and the size of `struct mount_attr`.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            attr.as_ptr(),
            size_of_val(&attr),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn send(socket: RawFd, fd: RawFd) -> io::Result<()> {
    let pid = std::process::id().to_le_bytes();
    let rights = [fd];
    let message = [ControlMessage::ScmRights(&rights)];
    sendmsg::<()>(socket, &[IoSlice::new(&pid)], &message, MsgFlags::empty(), None)?;
    Ok(())
}

fn receive(socket: &UnixDatagram) -> (u32, OwnedFd) {
    let mut pid = [0; 4];
    let mut iov = [IoSliceMut::new(&mut pid)];
    let mut space = nix::cmsg_space!(RawFd);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut iov, Some(&mut space), flags).unwrap();
    let Some(ControlMessageOwned::ScmRights(fds)) = message.cmsgs().unwrap().next() else {
        panic!("no listener came");
    };
    // SAFETY: the descriptor was just received and is nobody else's.
    let listener = unsafe { OwnedFd::from_raw_fd(fds[0]) };
    (u32::from_le_bytes(pid), listener)
}

impl Log {
    pub(crate) fn execs(&self) -> impl Iterator<Item = &Exec> {
        self.events.iter().filter_map(|event| match event {
            Event::Exec(exec) => Some(&**exec),
            _ => None,
        })
    }

    pub(crate) fn ran(&self, id: ExecId) -> &Ran {
        let mut all = self.events.iter().filter_map(|event| match event {
            Event::Ran(ran) if ran.id == id => Some(ran),
            _ => None,
        });
        let ran = all.next().unwrap_or_else(|| panic!("exec {id} has no outcome"));
        assert!(all.next().is_none(), "exec {id} has two outcomes");
        ran
    }

    pub(crate) fn outcome(&self, exec: &Exec) -> Outcome {
        self.ran(exec.id).outcome
    }

    pub(crate) fn exit(&self, id: ExecId) -> Option<&Exit> {
        let mut all = self.events.iter().filter_map(|event| match event {
            Event::Exit(exit) if exit.id == id => Some(exit),
            _ => None,
        });
        let exit = all.next();
        assert!(all.next().is_none(), "exec {id} ends twice");
        exit
    }

    /// The execs one of whose arguments is this one.
    pub(crate) fn with(&self, argument: &str) -> Vec<&Exec> {
        let argument = argument.as_bytes();
        self.execs().filter(|exec| exec.argv.iter().any(|arg| arg.as_ref() == argument)).collect()
    }

    /// The only one.
    pub(crate) fn only(&self, argument: &str) -> &Exec {
        let all = self.with(argument);
        assert_eq!(all.len(), 1, "{argument}: {all:#?}");
        all[0]
    }

    pub(crate) fn stdout(&self) -> String {
        assert!(self.output.status.success(), "{:?}", self.output);
        String::from_utf8(self.output.stdout.clone()).unwrap()
    }
}

/// A directory the watched program can write.
pub(crate) fn work() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    dir
}

/// Compiles a program of `tests/programs` into a directory the watched programs cannot write.
pub(crate) fn compile(source: &str, name: &str, flags: &[&str]) -> PathBuf {
    static LOCK: Mutex<()> = Mutex::new(());
    static BUILT: OnceLock<tempfile::TempDir> = OnceLock::new();
    let _lock = LOCK.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let target = BUILT.get_or_init(work).path().join(name);
    if target.exists() {
        return target;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(source);
    let output = Command::new("cc")
        .args(["-O1", "-Wall", "-Werror", "-pthread", "-o"])
        .arg(&target)
        .arg(source)
        .args(flags)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target
}

/// The program that executes another one `count` times, in one of its ways.
pub(crate) fn storm(mode: &str, count: usize) -> Command {
    let mut storm = Command::new(compile("storm.c", "storm", &[]));
    storm.args([mode, &count.to_string()]).arg(compile("leaf.c", "leaf", &[]));
    storm
}
