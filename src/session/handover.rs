//! How the front end hands a session to the supervisor in the agent's pane: the plan and the
//! session's locks travel over a socket in the runtime directory, so that environment values
//! never stand in a file, an argv or tmux's environment, and the locks are held without a gap.
//! It must never give the plan to another user's process.

use std::fs::{self, File};
use std::io::{IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::{Locks, Session, lock};
use crate::error::{Error, Result, Tried as _};
use crate::plan::{PLAN_VERSION, Plan};
use crate::visible::visible_path;

/// No plan is larger.
const PLAN_MAX: u64 = 64 << 20;

/// How long the other side may take for what it does at once.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A session on offer: the front end's side.
#[derive(Debug)]
pub struct Offer {
    listener: UnixListener,
    path: PathBuf,
}

impl Offer {
    /// Opens the socket that the supervisor will connect to.
    pub fn open(session: &Session) -> Result<Self> {
        let path = socket_path(session);
        let listener = UnixListener::bind(&path)
            .tried(|| format!("make the socket {}", visible_path(&path)))?;
        Ok(Self { listener, path })
    }

    /// Gives the plan and the locks to the supervisor that has connected (the offer is readable).
    /// From here on the session lives and dies with that process.
    pub fn give(self, plan: &Plan, locks: Locks) -> Result<()> {
        let (stream, _) = self.listener.accept().tried(|| "accept the supervisor")?;
        let _ = fs::remove_file(&self.path);
        check_peer(&stream)?;
        send(&stream, plan, &locks)?;
        drop(locks); // Only these copies: the supervisor has its own.
        Ok(())
    }
}

impl AsFd for Offer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// Takes the session over from the front end, and notes this process in its lock: the supervisor's
/// side. Waits until the front end is ready.
pub fn take(session: &Session) -> Result<(Plan, Locks)> {
    let path = socket_path(session);
    let stream = UnixStream::connect(&path).map_err(|err| not_on_offer(&path, &err))?;
    check_peer(&stream)?;
    let (plan, locks) = receive(&stream)?;
    if plan.version != PLAN_VERSION {
        return Err(Error::launcher("this claudebox is not the one that made the session")
            .hint("it was replaced in the meantime; run it again"));
    }
    let process = std::process::id().to_string();
    lock::note(&locks.session, &process).tried(|| "note the supervisor of this session")?;
    Ok((plan, locks))
}

fn socket_path(session: &Session) -> PathBuf {
    session.runtime.join("plan.sock")
}

fn not_on_offer(path: &Path, err: &std::io::Error) -> Error {
    Error::launcher(format!("cannot take over a session at {}: {err}", visible_path(path)))
        .hint("`claudebox` starts a session; this command is for its own use")
}

/// The directory is closed to other users; this is the second look.
fn check_peer(stream: &UnixStream) -> Result<()> {
    let peer = socket_peercred(stream).tried(|| "look at the other end of the session's socket")?;
    if peer.uid == rustix::process::geteuid() {
        return Ok(());
    }
    Err(Error::launcher(format!("user {} is at the session's socket", peer.uid.as_raw())))
}

fn send(stream: &UnixStream, plan: &Plan, locks: &Locks) -> Result<()> {
    let body = serde_json::to_vec(plan).tried(|| "encode the plan")?;
    let length = (body.len() as u64).to_le_bytes();
    let files = [locks.session.as_fd(), locks.project.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&files));
    let tried = || "hand the session to its supervisor";
    stream.set_write_timeout(Some(TIMEOUT)).tried(tried)?;
    let sent = sendmsg(stream, &[IoSlice::new(&length)], &mut ancillary, SendFlags::NOSIGNAL);
    if sent.tried(tried)? < length.len() {
        return Err(Error::launcher("the session's socket took half a message"));
    }
    let mut stream = stream;
    stream.write_all(&body).tried(tried)
}

fn receive(stream: &UnixStream) -> Result<(Plan, Locks)> {
    let gone = || {
        Error::launcher("the claudebox that made this session is gone")
            .hint("run `claudebox` again")
    };
    let mut length = [0; size_of::<u64>()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let buffers = &mut [IoSliceMut::new(&mut length)];
    let got = rustix::io::retry_on_intr(|| {
        recvmsg(stream, buffers, &mut ancillary, RecvFlags::CMSG_CLOEXEC | RecvFlags::WAITALL)
    });
    if got.tried(|| "receive the session")?.bytes < size_of::<u64>() {
        return Err(gone());
    }
    let mut files = ancillary.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => files.map(File::from).collect(),
        _ => Vec::new(),
    });
    let (Some(session), Some(project)) = (files.next(), files.next()) else {
        return Err(Error::launcher("a session came without its locks"));
    };
    let length = u64::from_le_bytes(length);
    if length > PLAN_MAX {
        return Err(Error::launcher(format!("a plan of {length} bytes is no plan")));
    }
    let mut body = Vec::new();
    stream.set_read_timeout(Some(TIMEOUT)).tried(|| "receive the plan")?;
    stream.take(length).read_to_end(&mut body).tried(|| "receive the plan")?;
    if (body.len() as u64) < length {
        return Err(gone());
    }
    let plan = serde_json::from_slice(&body).tried(|| "decode the plan")?;
    Ok((plan, Locks { session, project }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::plan::Network;
    use crate::plan::limits::{Limits, Rlimits};
    use crate::plan::{ErrnoFilter, ExecLog, InnerPlan, Landlock, Summary};
    use crate::session::tests::{dirs, draft};
    use crate::session::{Sessions, State};

    fn plan() -> Plan {
        Plan {
            version: PLAN_VERSION,
            summary: Summary::default(),
            prepare: Vec::new(),
            mirrors: Vec::new(),
            git: None,
            bwrap: "/usr/bin/bwrap".into(),
            args: Vec::new(),
            limits: Limits::default(),
            network: Network::None,
            inner: InnerPlan {
                version: PLAN_VERSION,
                program: "/bin/true".into(),
                argv: vec![vec![0xff].into()],
                env: vec![("TOKEN".into(), "x".repeat(1 << 20).as_str().into())],
                cwd: "/".into(),
                shell: Vec::new(),
                landlock: Landlock::default(),
                rlimits: Rlimits::default(),
                errno_filter: ErrnoFilter::All,
                exec_log: ExecLog::Off,
            },
            exec_log: ExecLog::Off,
            verify: true,
        }
    }

    #[test]
    fn the_session_changes_hands_without_dying() {
        let root = tempfile::tempdir().unwrap();
        let dirs = dirs(root.path());
        let sessions = Sessions::new(&dirs);
        let (session, locks) = sessions.create(draft("/p")).unwrap();
        let offer = Offer::open(&session).unwrap();
        let front = std::thread::spawn(move || offer.give(&plan(), locks));
        let (taken, locks) = take(&session).unwrap();
        front.join().unwrap().unwrap();
        assert_eq!(taken.inner.argv, plan().inner.argv);
        assert_eq!(taken.inner.env, plan().inner.env);
        assert_eq!(sessions.all().remove(0).state, State::Running);
        assert!(sessions.create(draft("/p")).is_err());
        drop(locks);
        assert_eq!(sessions.all().remove(0).state, State::Crashed);
        assert!(!socket_path(&session).exists());
    }

    #[test]
    fn a_front_end_that_dies_first_is_told_of() {
        let root = tempfile::tempdir().unwrap();
        let dirs = dirs(root.path());
        let (session, _locks) = Sessions::new(&dirs).create(draft("/p")).unwrap();
        let offer = Offer::open(&session).unwrap();
        let front = std::thread::spawn(move || drop(offer.listener.accept()));
        let error = take(&session).unwrap_err();
        front.join().unwrap();
        assert!(error.to_string().contains("is gone"), "{error}");
    }
}
