//! Sessions: their ids, directories, records and liveness. A session's directories are 0700, its
//! records hold no environment value, and no path in them is ever visible inside a sandbox.
//!
//! ```text
//! STATE/sessions/ID/   session.json, status.json (status.new until it ends), lock, the log
//! STATE/pending/ID    an empty file until somebody has seen to what the session left behind
//! STATE/locks/HASH     one lock a project, held as long as a session of it lives
//! RUNTIME/ID/          sockets, tmux's configuration; removed at the end
//! ```

pub mod directory;
pub mod handover;
pub mod id;
pub mod inside;
pub mod list;
pub mod lock;
pub mod lookup;
pub mod record;
pub mod verify;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use self::id::Id;
use self::record::{RECORD_VERSION, Record, Status};
use crate::bytes::Bytes;
use crate::error::{Error, Result, Tried as _};
use crate::hex::hexadecimal;
use crate::host::Dirs;
use crate::json_file;
use crate::log::clock::now;
use crate::visible::{visible, visible_path};

/// The longest path of a socket, unix(7) `sun_path` without its NUL.
const SOCKET_PATH_MAX: usize = 107;

/// See [`Session::pending_path`].
const PENDING: &str = "pending";

/// As long as the longest name of a socket in a runtime directory.
const LONGEST_SOCKET: &str = "control.sock";

/// One session: its id and where it keeps things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: Id,
    /// Its log and records.
    pub directory: PathBuf,
    /// Its sockets.
    pub runtime: PathBuf,
}

/// What lives as long as a session does, in whichever process holds it.
#[derive(Debug)]
pub struct Locks {
    /// Says that the session is alive. Its file names the supervisor's process once that runs.
    pub session: File,
    /// Keeps a second session out of the project.
    pub project: File,
}

/// What a session is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The supervisor does not have its plan yet.
    Starting,
    /// The supervisor runs.
    Running,
    /// It is over, and this is how.
    Ended(Box<Status>),
    /// The supervisor is gone without a word: killed, or the machine went down.
    Crashed,
}

/// A session that was found, with what is known about it.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where it keeps things.
    pub session: Session,
    /// What it is.
    pub record: Record,
    /// What it is doing.
    pub state: State,
}

impl Session {
    /// The lock that the supervisor holds.
    pub fn lock_path(&self) -> PathBuf {
        self.directory.join("lock")
    }

    /// `session.json`
    pub fn record_path(&self) -> PathBuf {
        self.directory.join("session.json")
    }

    /// `status.json`
    pub fn status_path(&self) -> PathBuf {
        self.directory.join("status.json")
    }

    /// A file that is there until somebody has seen to the host-executable files that the session
    /// left behind. All are in one directory, so that it costs nothing to ask for them.
    pub fn pending_path(&self) -> PathBuf {
        let state = self.directory.ancestors().nth(2).unwrap_or(Path::new("/"));
        state.join(PENDING).join(self.id.as_str())
    }

    /// Whether nobody has, though the session is over.
    pub fn is_pending(&self) -> bool {
        self.pending_path().exists() && !self.is_alive()
    }

    /// The socket of claudebox's own tmux server.
    pub fn tmux_socket(&self) -> PathBuf {
        self.runtime.join("tmux.sock")
    }

    /// How the session ended; `None` while it has not said so.
    pub fn status(&self) -> Option<Status> {
        json_file::read(&self.status_path())
    }

    /// Whether a supervisor, or the front end before it, holds the session.
    pub fn is_alive(&self) -> bool {
        lock::is_held(&self.lock_path())
    }

    /// Says, for as long as the file is kept, that there is a terminal whose person can be asked about
    /// what the session leaves behind.
    pub fn view(&self) -> Option<File> {
        lock::share(&self.directory.join("viewed")).ok()
    }

    /// Whether there is one.
    pub fn is_viewed(&self) -> bool {
        lock::is_shared(&self.directory.join("viewed"))
    }

    /// Writes how the session ended.
    pub fn write_status(&self, status: &Status) -> Result<()> {
        let path = self.status_path();
        record::write_reserved(&path, status).tried(|| format!("write {}", visible_path(&path)))
    }

    /// Removes the runtime directory. That it is gone already is what was wanted.
    pub fn remove_runtime(&self) {
        let _ = fs::remove_dir_all(&self.runtime);
    }

    fn state(&self) -> State {
        // The lock first: a session that ends between the two looks is then seen as ended.
        let alive = self.is_alive();
        match self.status() {
            Some(status) => State::Ended(Box::new(status)),
            None if !alive => State::Crashed,
            None if lock::noted(&self.lock_path()).is_empty() => State::Starting,
            None => State::Running,
        }
    }
}

/// All sessions of this user.
#[derive(Clone, Copy, Debug)]
pub struct Sessions<'a> {
    dirs: &'a Dirs,
}

impl<'a> Sessions<'a> {
    /// The sessions kept in these directories.
    pub fn new(dirs: &'a Dirs) -> Self {
        Self { dirs }
    }

    /// Where the session with this id keeps things, if there is one.
    pub fn get(self, id: &Id) -> Option<Session> {
        let session = self.place(id);
        let record: Record = json_file::read(&session.record_path())?;
        // The runtime directory is where it was at the start, whatever the environment says now.
        Some(Session { runtime: record.runtime.into(), ..session })
    }

    /// What is written down about a session's start.
    pub fn record(self, id: &Id) -> Option<Record> {
        json_file::read(&self.place(id).record_path())
    }

    /// Every session that has a record, the latest first.
    pub fn all(self) -> Vec<Found> {
        let mut found: Vec<Found> = self.ids().iter().filter_map(|id| self.look_at(id)).collect();
        found.sort_by_key(|found| std::cmp::Reverse(found.record.created));
        found
    }

    /// Every session whose record is missing or cannot be read.
    pub fn without_record(self) -> Vec<Id> {
        let mut ids = self.ids();
        ids.retain(|id| self.look_at(id).is_none());
        ids.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        ids
    }

    /// The session that is meant by the beginning of an id, or else the latest of the project
    /// that `here` (canonical) is in.
    pub fn find(self, prefix: Option<&str>, here: &Path) -> Result<Found> {
        lookup::choose(self.all(), prefix, here)
    }

    /// Makes a session for a project, alive from its first moment on.
    pub fn create(self, draft: Draft) -> Result<(Session, Locks)> {
        directory::make_private(&self.dirs.state)?;
        directory::make_private(&self.dirs.state.join("sessions"))?;
        directory::make_private(&self.dirs.runtime)?;
        let project = self.lock_project(&draft.project)?;
        let session = self.make_place()?;
        let path = draft.project.clone();
        // In this order: of two that start at once, one at least sees the other.
        match fill(&session, draft).and_then(|lock| self.keep_apart(&session, &path).map(|()| lock))
        {
            Ok(lock) => {
                let noted = lock::note(&project, session.id.as_str());
                noted.tried(|| "note the session of this project")?;
                Ok((session, Locks { session: lock, project }))
            }
            Err(error) => {
                // Half a session is none.
                let _ = fs::remove_dir_all(&session.directory);
                session.remove_runtime();
                Err(error)
            }
        }
    }

    /// Sessions that are over, with something pending.
    pub fn pending(self) -> Vec<Session> {
        let Ok(entries) = fs::read_dir(self.dirs.state.join(PENDING)) else { return Vec::new() };
        let ids = entries.filter_map(|entry| Id::parse(entry.ok()?.file_name().to_str()?));
        ids.map(|id| self.place(&id)).filter(Session::is_pending).collect()
    }

    /// Runtime directories that a dead session left behind.
    pub fn stale(self) -> Vec<Session> {
        let Ok(entries) = fs::read_dir(&self.dirs.runtime) else { return Vec::new() };
        let ids = entries.filter_map(|entry| Id::parse(entry.ok()?.file_name().to_str()?));
        ids.map(|id| self.place(&id)).filter(|session| !session.is_alive()).collect()
    }

    fn ids(self) -> Vec<Id> {
        let Ok(entries) = fs::read_dir(self.dirs.state.join("sessions")) else { return Vec::new() };
        entries.filter_map(|entry| Id::parse(entry.ok()?.file_name().to_str()?)).collect()
    }

    fn look_at(self, id: &Id) -> Option<Found> {
        let mut session = self.place(id);
        let record: Record = json_file::read(&session.record_path())?;
        session.runtime = record.runtime.clone().into();
        Some(Found { state: session.state(), session, record })
    }

    fn place(self, id: &Id) -> Session {
        Session {
            id: id.clone(),
            directory: self.dirs.state.join("sessions").join(id.as_str()),
            runtime: self.dirs.runtime.join(id.as_str()),
        }
    }

    fn make_place(self) -> Result<Session> {
        loop {
            let id = Id::random().tried(|| "get random bytes for a session id")?;
            let session = self.place(&id);
            check_socket_length(&session.runtime)?;
            if directory::make_new(&session.directory)? {
                return Ok(session);
            }
        }
    }

    /// Two agents in one directory would undo each other's work, and one log would tell half of it.
    fn second_session(self, project: &Bytes, holder: &str) -> Error {
        let project = visible(project);
        let Some(Found { session, record, .. }) =
            Id::parse(holder).and_then(|id| self.look_at(&id))
        else {
            return Error::launcher(format!("another session is starting in {project}"))
                .hint("`claudebox ls` lists sessions");
        };
        let id = session.id;
        let error = Error::launcher(format!("session {id} is already running in {project}"));
        match record.mode {
            record::Mode::Tmux => error
                .hint(format!("`claudebox attach {id}` goes to it; `claudebox ls` lists sessions")),
            record::Mode::UserTmux | record::Mode::Terminal => error.hint(format!(
                "it is in another terminal; `claudebox log --follow {id}` shows what it runs"
            )),
        }
    }

    /// Refuses a project that holds, or is held by, that of a living session. Its agent could put a
    /// link in the place of a directory while bwrap mounts there, and bwrap would follow it.
    fn keep_apart(self, session: &Session, project: &Bytes) -> Result<()> {
        let Ok(entries) = fs::read_dir(&self.dirs.runtime) else { return Ok(()) };
        let ids = entries.filter_map(|entry| Id::parse(entry.ok()?.file_name().to_str()?));
        let others = ids.filter(|id| *id != session.id).filter_map(|id| self.look_at(&id));
        let project = project.as_path();
        let near = |other: &Found| {
            let theirs = other.record.project.as_path();
            theirs != project && (theirs.starts_with(project) || project.starts_with(theirs))
        };
        match others.filter(near).find(|other| other.session.is_alive()) {
            Some(other) => {
                Err(self.second_session(&other.record.project, other.session.id.as_str()))
            }
            None => Ok(()),
        }
    }

    fn lock_project(self, project: &Bytes) -> Result<File> {
        let directory = self.dirs.state.join("locks");
        directory::make_private(&directory)?;
        let path = directory.join(hexadecimal(&Sha256::digest(&project.0)[..8]));
        match lock::try_take(&path).tried(|| format!("lock {}", visible_path(&path)))? {
            Some(file) => Ok(file),
            None => Err(self.second_session(project, &lock::noted(&path))),
        }
    }
}

/// Puts into a session's new directory what it begins with; answers with its lock.
fn fill(session: &Session, draft: Draft) -> Result<File> {
    let path = session.lock_path();
    let lock = lock::take(&path).tried(|| format!("lock {}", visible_path(&path)))?;
    directory::make_private(&session.runtime)?;
    let record = draft.into_record(session);
    let path = session.status_path();
    record::reserve(&path, record.mode == record::Mode::Tmux)
        .tried(|| format!("reserve room for {}", visible_path(&path)))?;
    let path = session.record_path();
    json_file::write(&path, &record).tried(|| format!("write {}", visible_path(&path)))?;
    Ok(lock)
}

/// What a session is made from.
#[derive(Clone, Debug)]
pub struct Draft {
    /// See [`Record::project`].
    pub project: Bytes,
    /// See [`Record::cwd`].
    pub cwd: Bytes,
    /// See [`Record::profile`].
    pub profile: String,
    /// See [`Record::network`].
    pub network: String,
    /// See [`Record::command`].
    pub command: Bytes,
    /// See [`Record::mode`].
    pub mode: record::Mode,
}

impl Draft {
    fn into_record(self, session: &Session) -> Record {
        Record {
            v: RECORD_VERSION,
            id: session.id.clone(),
            created: now(),
            project: self.project,
            cwd: self.cwd,
            profile: self.profile,
            network: self.network,
            command: self.command,
            mode: self.mode,
            runtime: session.runtime.as_path().into(),
        }
    }
}

/// A socket's path has little room, and a long runtime directory must be told of in plain words.
fn check_socket_length(runtime: &Path) -> Result<()> {
    let length = runtime.join(LONGEST_SOCKET).as_os_str().len();
    if length <= SOCKET_PATH_MAX {
        return Ok(());
    }
    Err(Error::launcher(format!(
        "the directory for sockets is too long: {} would need {length} bytes, and {SOCKET_PATH_MAX} are the most",
        visible_path(&runtime.join(LONGEST_SOCKET)),
    ))
    .hint("set XDG_RUNTIME_DIR to a shorter directory of yours, as /run/user/UID is"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn dirs(root: &Path) -> Dirs {
        Dirs { state: root.join("state"), runtime: root.join("run"), ..Dirs::default() }
    }

    pub(crate) fn draft(project: &str) -> Draft {
        Draft {
            project: project.into(),
            cwd: project.into(),
            profile: "claude".into(),
            network: "host".into(),
            command: "claude".into(),
            mode: record::Mode::Tmux,
        }
    }

    fn ended(code: u8) -> Status {
        Status {
            v: RECORD_VERSION,
            code,
            reason: "agent-exited".into(),
            ended: now(),
            execs: 3,
            events: 9,
            head: None,
            message: None,
            hints: Vec::new(),
            last_words: Vec::new(),
        }
    }

    #[test]
    fn a_session_starts_runs_and_ends() {
        let root = tempfile::tempdir().unwrap();
        let dirs = dirs(root.path());
        let sessions = Sessions::new(&dirs);
        let (session, locks) = sessions.create(draft("/p")).unwrap();
        let state = || sessions.all().remove(0).state;
        assert_eq!(state(), State::Starting);
        lock::note(&locks.session, "4711").unwrap();
        assert_eq!(state(), State::Running);
        session.write_status(&ended(3)).unwrap();
        drop(locks);
        assert!(matches!(state(), State::Ended(status) if status.code == 3));
    }

    #[test]
    fn a_supervisor_that_vanishes_leaves_a_crashed_session_and_a_stale_directory() {
        let root = tempfile::tempdir().unwrap();
        let dirs = dirs(root.path());
        let sessions = Sessions::new(&dirs);
        let (session, locks) = sessions.create(draft("/p")).unwrap();
        assert_eq!(sessions.stale(), []);
        drop(locks);
        assert_eq!(sessions.all().remove(0).state, State::Crashed);
        assert_eq!(sessions.stale(), [session]);
    }

    #[test]
    fn a_project_has_one_session_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let dirs = dirs(root.path());
        let sessions = Sessions::new(&dirs);
        let (first, locks) = sessions.create(draft("/p")).unwrap();
        let error = sessions.create(draft("/p")).unwrap_err();
        assert_eq!(error.to_string(), format!("session {} is already running in /p", first.id));
        assert!(error.hints()[0].contains(&format!("claudebox attach {}", first.id)));
        let (other, _other_locks) = sessions.create(draft("/q")).unwrap();
        assert_ne!(other.id, first.id);
        drop(locks);
        sessions.create(draft("/p")).unwrap();
    }

    #[test]
    fn a_project_in_that_of_a_living_session_waits_for_its_end() {
        let root = tempfile::tempdir().unwrap();
        let dirs = dirs(root.path());
        let sessions = Sessions::new(&dirs);
        let (_first, locks) = sessions.create(draft("/p/q")).unwrap();
        for near in ["/p", "/p/q/r"] {
            let error = sessions.create(draft(near)).unwrap_err();
            assert!(error.to_string().ends_with("is already running in /p/q"), "{error}");
        }
        assert_eq!(sessions.all().len(), 1, "half a session is none");
        sessions.create(draft("/p/qq")).unwrap();
        drop(locks);
        sessions.create(draft("/p")).unwrap();
    }

    #[test]
    fn a_runtime_directory_too_long_for_sockets_is_refused() {
        let error =
            check_socket_length(Path::new(&format!("/run/{}", "x".repeat(90)))).unwrap_err();
        assert!(error.to_string().contains("would need 108 bytes"), "{error}");
        check_socket_length(Path::new(&format!("/run/{}", "x".repeat(89)))).unwrap();
    }
}
