//! Sessions: their ids, directories, records and liveness. A session's directories are 0700, its
//! records hold no environment value, and no path in them is ever visible inside a sandbox.
//!
//! ```text
//! STATE/sessions/ID/   session.json, status.json (status.new until it ends), lock, viewed, rules.json,
//!                      the log;
//!                      inside.json, host-files.json and what else host_files keeps there
//! STATE/pending/ID     an empty file until somebody has seen to what the session left behind
//! STATE/locks/HASH     one lock a project, held as long as a session of it lives
//! RUNTIME/ID/          sockets, tmux's configuration; removed at the end
//! ```

mod create;
pub mod directory;
pub mod handover;
pub mod homes;
pub mod id;
pub mod inside;
pub mod lock;
pub mod lookup;
pub mod places;
pub mod record;
mod remove;
pub use remove::remove_begun;

use std::fmt::{self, Display, Formatter};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

pub use self::create::Draft;
use self::id::Id;
use self::lookup::Project;
use self::record::{Record, Status};
use crate::dirs::Dirs;
use crate::error::{Error, Result, Tried as _};
use crate::json_file;
use crate::network::rule::Rules;
use crate::visible::visible_path;

/// See [`Session::pending_path`].
const PENDING: &str = "pending";

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

impl State {
    /// Whether it is not over yet.
    pub fn lives(&self) -> bool {
        matches!(self, Self::Starting | Self::Running)
    }
}

impl Display for State {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => to.write_str("starting"),
            Self::Running => to.write_str("running"),
            Self::Ended(status) => write!(to, "ended {}", status.code),
            Self::Crashed => to.write_str("crashed"),
        }
    }
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

    /// `rules.json`
    fn rules_path(&self) -> PathBuf {
        self.directory.join("rules.json")
    }

    /// Writes down what the network's rules were when the session began.
    pub fn write_rules(&self, rules: &Rules) -> Result<()> {
        let path = self.rules_path();
        json_file::write(&path, rules).tried(|| format!("write {}", visible_path(&path)))
    }

    /// The rules that it began with; `None` where its network had none.
    pub fn rules(&self) -> Option<Rules> {
        json_file::read(&self.rules_path())
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

    /// What is known about one; `None` where it has no record.
    pub fn found(self, id: &Id) -> Option<Found> {
        self.look_at(id)
    }

    /// Every session that has a record, the latest first.
    pub fn all(self) -> Vec<Found> {
        let mut found: Vec<Found> = self.ids().iter().filter_map(|id| self.look_at(id)).collect();
        found.sort_by_key(|found| std::cmp::Reverse(found.record.rank()));
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
        lookup::choose(self.all(), prefix, &self.project_at(here))
    }

    /// What sessions are of the project that `here` (canonical) is in.
    pub fn project_at(self, here: &Path) -> Project {
        Project::of(here, self.dirs)
    }

    /// The latest session of exactly this project: of one that was just run there.
    ///
    /// # Errors
    /// When there is none.
    pub fn latest_of(self, project: &Path) -> Result<Found> {
        let mut all = self.all().into_iter();
        all.find(|found| found.record.project.as_path() == project).ok_or_else(|| {
            Error::launcher(format!("there is no session of {} any more", visible_path(project)))
        })
    }

    /// Sessions that are over, with something pending.
    pub fn pending(self) -> Vec<Session> {
        let ids = ids_in(&self.dirs.state.join(PENDING));
        ids.iter().map(|id| self.place(id)).filter(Session::is_pending).collect()
    }

    /// Runtime directories that a dead session left behind.
    pub fn stale(self) -> Vec<Session> {
        let ids = ids_in(&self.dirs.runtime);
        ids.iter().map(|id| self.place(id)).filter(|session| !session.is_alive()).collect()
    }

    fn ids(self) -> Vec<Id> {
        ids_in(&self.dirs.state.join("sessions"))
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
}

/// The sessions that have a file or directory of their own in this one.
fn ids_in(directory: &Path) -> Vec<Id> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| Id::parse(entry.ok()?.file_name().to_str()?)).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::{Duration, Instant};

    use super::record::RECORD_VERSION;
    use super::*;
    use crate::log::clock::now;

    pub(crate) fn dirs(root: &Path) -> Dirs {
        Dirs { state: root.join("state"), runtime: root.join("run"), ..Dirs::default() }
    }

    pub(crate) fn draft(project: &str) -> Draft {
        Draft {
            project: project.into(),
            places: Vec::new(),
            cwd: project.into(),
            profile: "claude".into(),
            network: "host".into(),
            command: "claude".into(),
            mode: record::Mode::Tmux,
            tmux: None,
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
        // A child that another test is about to start holds them as well until its exec.
        let until = Instant::now() + Duration::from_secs(10);
        while sessions.all().remove(0).state == State::Starting && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(sessions.all().remove(0).state, State::Crashed);
        assert_eq!(sessions.stale(), [session]);
    }
}
