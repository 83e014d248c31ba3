//! What sessions leave behind for programs of the host to execute: who sees to it, and whether there is
//! a person to ask. It must never change the exit code: that is the agent's.

use std::io::{IsTerminal as _, StdinLock};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use rustix::termios::{QueueSelector, tcflush};

use super::interrupted::Told;
use super::say;
use crate::bytes::Bytes;
use crate::dirs::Dirs;
use crate::error::{self, Error, Result};
use crate::git::sync::ending;
use crate::host_files::ask::{Dialogue, Person};
use crate::host_files::screen::{self, Screen};
use crate::host_files::settle::{self, Settled};
use crate::session::inside::{self, Inside};
use crate::session::lookup::Project;
use crate::session::{Found, Session, Sessions};

/// Sees to a session that has just ended in this terminal.
pub(super) fn see_to(session: &Session) {
    // First: what git tracks is not moved. Again: what was moved may have held something.
    let ending = ending::see_to(session);
    host_files(session);
    if let Some(ending) = ending {
        let ending = ending::once_more(session, ending);
        ending::tell(session.id.as_str(), &ending, &mut anstream::stderr());
    }
}

fn host_files(session: &Session) {
    let mut person = person();
    let _told = person.as_ref().and_then(|_| Told::of(session));
    let person = person.as_mut().map(|person| person as &mut dyn Person);
    match settle::conclude(session, person, &mut Screen::stderr(&mut anstream::stderr())) {
        Ok(Settled::Done) => {}
        Ok(Settled::Busy) => say(format_args!(
            "what session {} left behind is not seen to yet; the next claudebox command does it",
            session.id
        )),
        Err(error) => error::report(&error),
    }
}

/// How long a command is kept for what other projects' sessions left behind: no other is begun then.
const OTHERS: Duration = Duration::from_secs(5);

/// Sessions whose supervisor and front end were both killed, as a command sees them: those that it waits
/// for, and the others. An agent of another project must not keep a command of this one waiting.
#[derive(Debug)]
pub struct Pending {
    own: Vec<Session>,
    others: Vec<Session>,
}

impl Pending {
    /// What there is. A command's own are of the project of one of these directories, or begin with what
    /// it names.
    pub fn find(dirs: &Dirs, places: &[PathBuf], named: Option<&str>) -> Self {
        let sessions = Sessions::new(dirs);
        let projects: Vec<Project> =
            places.iter().map(|place| sessions.project_at(place)).collect();
        let is_own = |session: &Session| {
            let of = |found: &Found| projects.iter().any(|project| project.overlaps(found));
            named.is_some_and(|named| session.id.as_str().starts_with(named))
                || sessions.found(&session.id).as_ref().is_some_and(of)
        };
        let (own, others) = sessions.pending().into_iter().partition(is_own);
        Self { own, others }
    }

    /// Sees to the command's own.
    pub fn see_to_own(&self) {
        self.own.iter().for_each(see_to_killed);
    }

    /// Says which others there are, before a command that may last for hours.
    pub fn tell_others(&self) {
        if let Some(session) = self.others.first() {
            let more = match self.others.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            say(format_args!(
                "session {} of another project{more} ended without seeing to what it left behind; \
                 it is seen to after this, or by a claudebox command there",
                session.id
            ));
        }
    }

    /// Sees to the others, as far as there is time. Nobody waits for what does not die.
    pub fn see_to_others(&self) {
        let begun = Instant::now();
        let dies = |session: &&Session| {
            inside::wait(&session.directory, Duration::ZERO) != Inside::Alive
                && session.is_pending()
        };
        let others = self.others.iter().filter(dies);
        others.take_while(|_| begun.elapsed() < OTHERS).for_each(see_to_killed);
    }
}

fn see_to_killed(session: &Session) {
    if inside::wait(&session.directory, Duration::ZERO) != Inside::Never {
        say(format_args!("session {} ended without seeing to what it left behind", session.id));
    }
    see_to(session);
}

/// A session must not begin on what an earlier one left: it would take it for what was there.
pub(super) fn refuse_pending(sessions: Sessions<'_>, project: &Bytes) -> Result<()> {
    let here = |session: &Session| {
        sessions.record(&session.id).is_some_and(|record| record.project == *project)
    };
    let Some(session) = sessions.pending().into_iter().find(here) else { return Ok(()) };
    let id = &session.id;
    Err(Error::launcher(format!(
        "what session {id} left behind in this project for the host to execute is not seen to yet"
    ))
    .hint("answer the question in its terminal, or wait until all of it has ended"))
}

/// Somebody who can read the question and answer it.
fn person() -> Option<Dialogue<StdinLock<'static>, anstream::AutoStream<std::io::Stderr>>> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return None;
    }
    // A tmux client had the terminal, and the signals were for it.
    let ending = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];
    let _ = SigSet::from_iter(ending).thread_unblock();
    // What was typed was typed for the agent, or by the terminal itself.
    let _ = tcflush(std::io::stdin(), QueueSelector::IFlush);
    Some(Dialogue::new(std::io::stdin().lock(), anstream::stderr(), screen::columns()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::session::tests::{dirs, draft};

    #[test]
    fn a_command_waits_for_its_own_project_and_for_what_it_names() {
        let root = tempfile::tempdir().unwrap();
        let dirs = dirs(root.path());
        let sessions = Sessions::new(&dirs);
        let worktree = dirs.worktrees_of(Path::new("/p")).join("fix");
        let projects = ["/p", "/p/sub", "/other", worktree.to_str().unwrap()];
        let ids = projects.map(|project| {
            let (session, locks) = sessions.create(draft(project)).unwrap();
            drop(locks);
            let pending = session.pending_path();
            std::fs::create_dir_all(pending.parent().unwrap()).unwrap();
            std::fs::write(pending, "").unwrap();
            session.id
        });
        let own = |places: &[&str], named: Option<&str>| {
            let places: Vec<PathBuf> = places.iter().map(PathBuf::from).collect();
            let pending = Pending::find(&dirs, &places, named);
            assert_eq!(pending.own.len() + pending.others.len(), projects.len());
            ids.iter().map(|id| pending.own.iter().any(|own| own.id == *id)).collect::<Vec<_>>()
        };
        assert_eq!(own(&["/p"], None), [true, true, false, true]);
        assert_eq!(own(&["/p/sub/a"], None), [true, true, false, true]);
        assert_eq!(own(&["/p/other"], None), [true, false, false, true]);
        assert_eq!(own(&["/p", "/p/other"], None), [true, true, false, true]);
        assert_eq!(own(&["/other/x"], None), [false, false, true, false]);
        assert!(own(&["/elsewhere"], Some(ids[2].as_str()))[2]);
        assert_eq!(own(&["/p-2"], None), [false; 4]);
    }
}
