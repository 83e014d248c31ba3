//! How a session comes to be: its lock on the project, its directories, its record. Of two sessions
//! that start at once in the same place, or in places that hold one another, one at most begins.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::id::Id;
use super::inside::{self, Inside};
use super::record::{self, Mode, RECORD_VERSION, Record};
use super::{Found, Locks, Session, Sessions, State, directory, ids_in, lock, places};
use crate::bytes::Bytes;
use crate::error::{Error, Result, Tried as _};
use crate::hex::hexadecimal;
use crate::json_file;
use crate::log::clock::now;
use crate::visible::{visible, visible_path};

/// The longest path of a socket, unix(7) `sun_path` without its NUL.
const SOCKET_PATH_MAX: usize = 107;

/// As long as the longest name of a socket in a runtime directory.
const LONGEST_SOCKET: &str = "control.sock";

/// What a session is made from.
#[derive(Clone, Debug)]
pub struct Draft {
    /// See [`Record::project`].
    pub project: Bytes,
    /// See [`Record::places`].
    pub places: Vec<Bytes>,
    /// See [`Record::cwd`].
    pub cwd: Bytes,
    /// See [`Record::profile`].
    pub profile: String,
    /// See [`Record::network`].
    pub network: String,
    /// See [`Record::command`].
    pub command: Bytes,
    /// See [`Record::mode`].
    pub mode: Mode,
    /// See [`Record::tmux`].
    pub tmux: Option<Bytes>,
}

impl Draft {
    /// `before`: the session before it in the project.
    fn into_record(self, session: &Session, before: Option<&Record>) -> Record {
        let created = now();
        let rank = before.map_or(0, |before| before.rank().saturating_add(1));
        Record {
            v: RECORD_VERSION,
            id: session.id.clone(),
            created,
            rank: rank.max(created),
            project: self.project,
            places: self.places,
            cwd: self.cwd,
            profile: self.profile,
            network: self.network,
            command: self.command,
            mode: self.mode,
            tmux: self.tmux,
            runtime: session.runtime.as_path().into(),
        }
    }
}

impl Sessions<'_> {
    /// Makes a session for a project, alive from its first moment on.
    pub fn create(self, draft: Draft) -> Result<(Session, Locks)> {
        directory::make_private(&self.dirs.state)?;
        directory::make_private(&self.dirs.state.join("sessions"))?;
        directory::make_private(&self.dirs.runtime)?;
        let project = self.lock_project(&draft.project)?;
        let before = lock::noted(&self.project_lock(&draft.project));
        let before = Id::parse(&before).and_then(|id| self.record(&id));
        let session = self.make_place()?;
        // In this order: of two that start at once, one at least sees the other.
        let filled = fill(&session, draft, before.as_ref());
        let kept = filled.and_then(|(lock, record)| {
            self.keep_apart(&record)?;
            places::note(&self.dirs.state, &record).map(|()| lock)
        });
        let noted = kept.and_then(|lock| {
            let noted = lock::note(&project, session.id.as_str());
            noted.tried(|| "note the session of this project").map(|()| lock)
        });
        match noted {
            Ok(lock) => Ok((session, Locks { session: lock, project })),
            Err(error) => {
                // Half a session is none.
                let _ = fs::remove_dir_all(&session.directory);
                session.remove_runtime();
                Err(error)
            }
        }
    }

    /// Keeps sessions out of a project for as long as the file is kept; or says which is in it, or in
    /// what it holds or is held by. One whose supervisor was killed is there until all of it is dead.
    pub fn keep_out(self, project: &Bytes) -> Result<File> {
        directory::make_private(&self.dirs.state)?;
        let lock = self.lock_project(project)?;
        lock::note(&lock, "").tried(|| "note that no session may begin")?;
        let dying = |found: &Found| {
            let (ours, theirs) = (project.as_path(), found.record.project.as_path());
            (theirs.starts_with(ours) || ours.starts_with(theirs))
                && found.state == State::Crashed
                && inside::wait(&found.session.directory, Duration::ZERO) == Inside::Alive
        };
        let near = self.near(Ground { project, places: &[] }, None).map(|(_, found)| found);
        match near.or_else(|| self.all().into_iter().find(dying)) {
            None => Ok(lock),
            Some(Found { session, record, .. }) => Err(Error::launcher(format!(
                "session {} is running in {}",
                session.id,
                visible(&record.project)
            ))),
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
            return Error::launcher(format!(
                "another session is starting in {project}, or another claudebox changes its files"
            ))
            .hint("`claudebox ls` lists sessions");
        };
        let id = session.id;
        let error = Error::launcher(format!("session {id} is already running in {project}"));
        match record.mode {
            Mode::Tmux => error
                .hint(format!("`claudebox attach {id}` goes to it; `claudebox ls` lists sessions")),
            Mode::UserTmux | Mode::Terminal => error.hint(format!(
                "it is in another terminal; `claudebox log --follow {id}` shows what it runs"
            )),
        }
    }

    /// Refuses a session of which a living one could write what it mounts in, or the other way round.
    /// The other's agent could put a link in the place of a directory while bwrap mounts there, and bwrap
    /// would follow it: that such a directory is a mount keeps only those from renaming it who are in the
    /// same mount namespace.
    fn keep_apart(self, record: &Record) -> Result<()> {
        match self.near(Ground::of(record), Some(&record.id)) {
            Some((meeting, other)) => Err(too_near(meeting, &other)),
            None => Ok(()),
        }
    }

    /// A living session other than this one that meets this ground.
    fn near(self, ours: Ground<'_>, this: Option<&Id>) -> Option<(Meeting, Found)> {
        let ids = ids_in(&self.dirs.runtime);
        let others = ids.iter().filter(|id| this != Some(*id)).filter_map(|id| self.look_at(id));
        let mut near =
            others.filter_map(|other| Some((meeting(ours, Ground::of(&other.record))?, other)));
        near.find(|(_, other)| other.session.is_alive())
    }

    /// The lock of a project, which notes its latest session.
    fn project_lock(self, project: &Bytes) -> PathBuf {
        self.dirs.state.join("locks").join(hexadecimal(&Sha256::digest(&project.0)[..8]))
    }

    fn lock_project(self, project: &Bytes) -> Result<File> {
        directory::make_private(&self.dirs.state.join("locks"))?;
        let path = self.project_lock(project);
        match lock::try_take(&path).tried(|| format!("lock {}", visible_path(&path)))? {
            Some(file) => Ok(file),
            None => Err(self.second_session(project, &lock::noted(&path))),
        }
    }
}

/// What a session may write.
#[derive(Clone, Copy)]
struct Ground<'a> {
    project: &'a Bytes,
    /// Besides the project.
    places: &'a [Bytes],
}

impl<'a> Ground<'a> {
    fn of(record: &'a Record) -> Self {
        Self { project: &record.project, places: &record.places }
    }
}

/// Where two sessions meet.
enum Meeting {
    /// The project of one holds the other's: ours and theirs.
    Projects(Bytes, Bytes),
    /// What one may write besides its project, and the other's project; or the other way round.
    Place(Bytes, Bytes),
}

/// Two places that both may write do not matter: what is mounted in them is looked at by its own session.
fn meeting(ours: Ground<'_>, theirs: Ground<'_>) -> Option<Meeting> {
    let near = |one: &Bytes, other: &Bytes| {
        let (one, other) = (one.as_path(), other.as_path());
        one.starts_with(other) || other.starts_with(one)
    };
    // Of one project in two sessions, which also wait for each other, its lock tells.
    if ours.project != theirs.project && near(ours.project, theirs.project) {
        return Some(Meeting::Projects(ours.project.clone(), theirs.project.clone()));
    }
    let of_ours = ours.places.iter().map(|place| (place, theirs.project));
    let of_theirs = theirs.places.iter().map(|place| (ours.project, place));
    let mut places = of_ours.chain(of_theirs);
    let (ours, theirs) = places.find(|(one, other)| near(one, other))?;
    Some(Meeting::Place(ours.clone(), theirs.clone()))
}

fn too_near(meeting: Meeting, other: &Found) -> Error {
    const BESIDE: &str = "`claudebox run --worktree NAME` works beside it at the same time, on a branch \
                          of its own; so does a clone elsewhere";
    let id = &other.session.id;
    let (ours, theirs) = match meeting {
        Meeting::Projects(ours, theirs) => (ours, theirs),
        Meeting::Place(ours, theirs) => {
            let [ours, theirs] = [ours, theirs].map(|path| visible(&path));
            return Error::launcher(format!(
                "{ours} and {theirs} of session {id}, which is running, hold one another"
            ))
            .hint("start when that one has ended, or without what one of them may write (`--bind`, `files.read-write`)");
        }
    };
    let within = ours.as_path().starts_with(theirs.as_path());
    let [ours, theirs] = [ours, theirs].map(|path| visible(&path));
    if !within {
        return Error::launcher(format!("{ours} holds {theirs}, where session {id} is running"))
            .hint("start here when that one has ended; a session that is started here first can be for both")
            .hint(BESIDE);
    }
    let error = Error::launcher(format!("{ours} lies in {theirs}, where session {id} is running"));
    let error = match other.record.mode {
        Mode::Tmux => error.hint(format!(
            "two agents can share its sandbox: `claudebox attach {id}`, and in a new window there a \
             shell inside"
        )),
        Mode::UserTmux | Mode::Terminal => error,
    };
    error.hint(BESIDE)
}

/// Puts into a session's new directory what it begins with; answers with its lock, and its record.
fn fill(session: &Session, draft: Draft, before: Option<&Record>) -> Result<(File, Record)> {
    let path = session.lock_path();
    let lock = lock::take(&path).tried(|| format!("lock {}", visible_path(&path)))?;
    directory::make_private(&session.runtime)?;
    let record = draft.into_record(session, before);
    let path = session.status_path();
    record::reserve(&path, record.mode == Mode::Tmux)
        .tried(|| format!("reserve room for {}", visible_path(&path)))?;
    let path = session.record_path();
    json_file::write(&path, &record).tried(|| format!("write {}", visible_path(&path)))?;
    Ok((lock, record))
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
mod tests {
    use super::*;
    use crate::session::tests::{dirs, draft};

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

    /// The device stands for a disk without room.
    #[test]
    fn of_a_session_that_cannot_be_noted_nothing_stays() {
        use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
        let root = tempfile::tempdir().unwrap();
        let dirs = dirs(root.path());
        let sessions = Sessions::new(&dirs);
        directory::make_private(&dirs.state).unwrap();
        directory::make_private(&dirs.state.join("locks")).unwrap();
        let path = sessions.project_lock(&"/p".into());
        let (mode, full) = (Mode::RUSR | Mode::WUSR, makedev(1, 7));
        // Only root can make one, and not in every container.
        if mknodat(CWD, &path, FileType::CharacterDevice, mode, full).is_err()
            || lock::try_take(&path).is_err()
        {
            return;
        }
        let error = sessions.create(draft("/p")).unwrap_err().to_string();
        assert!(error.starts_with("cannot note the session of this project"), "{error}");
        let left = |dir: &Path| fs::read_dir(dir).unwrap().count();
        assert_eq!((left(&dirs.state.join("sessions")), left(&dirs.runtime)), (0, 0));
    }

    /// A clock that was wrong by years once must not hide all that comes after.
    #[test]
    fn the_latest_session_is_the_first_whatever_the_clock_says() {
        let root = tempfile::tempdir().unwrap();
        let dirs = dirs(root.path());
        let sessions = Sessions::new(&dirs);
        let create = || sessions.create(draft("/p")).unwrap().0;
        let before = create();
        let mut record = sessions.record(&before.id).unwrap();
        record.created = now() + 1_000_000_000_000;
        json_file::write(&before.record_path(), &record).unwrap();
        let (second, third) = (create(), create());
        let found = sessions.all();
        let ids: Vec<&Id> = found.iter().map(|found| &found.session.id).collect();
        assert_eq!(ids, [&third.id, &second.id, &before.id]);
        assert!(found[0].record.created <= now(), "when it began is what the clock said");
    }

    #[test]
    fn a_project_in_that_of_a_living_session_waits_for_its_end() {
        let root = tempfile::tempdir().unwrap();
        let dirs = dirs(root.path());
        let sessions = Sessions::new(&dirs);
        let (first, locks) = sessions.create(draft("/p/q")).unwrap();
        let id = &first.id;
        for (near, said) in [("/p", "/p holds /p/q"), ("/p/q/r", "/p/q/r lies in /p/q")] {
            let error = sessions.create(draft(near)).unwrap_err();
            assert_eq!(error.to_string(), format!("{said}, where session {id} is running"));
            assert!(!error.hints().is_empty());
        }
        assert_eq!(sessions.all().len(), 1, "half a session is none");
        sessions.create(draft("/p/qq")).unwrap();
        drop(locks);
        sessions.create(draft("/p")).unwrap();
    }

    #[test]
    fn what_a_living_session_may_write_is_no_place_for_another() {
        let root = tempfile::tempdir().unwrap();
        let dirs = dirs(root.path());
        let sessions = Sessions::new(&dirs);
        let with =
            |project: &str, place: &str| Draft { places: vec![place.into()], ..draft(project) };
        let (first, locks) = sessions.create(with("/p", "/shared/x")).unwrap();
        for near in [draft("/shared"), draft("/shared/x"), draft("/shared/x/y"), with("/q", "/p/z")]
        {
            let said = sessions.create(near).unwrap_err().to_string();
            assert!(said.contains(&format!("session {}, which is running", first.id)), "{said}");
        }
        let (_, other) = sessions.create(with("/q", "/shared/x")).unwrap();
        let (_, beside) = sessions.create(draft("/shared/xx")).unwrap();
        drop((locks, other, beside));
        sessions.create(draft("/shared/x")).unwrap();
    }

    #[test]
    fn a_runtime_directory_too_long_for_sockets_is_refused() {
        let error =
            check_socket_length(Path::new(&format!("/run/{}", "x".repeat(90)))).unwrap_err();
        assert!(error.to_string().contains("would need 108 bytes"), "{error}");
        check_socket_length(Path::new(&format!("/run/{}", "x".repeat(89)))).unwrap();
    }
}
