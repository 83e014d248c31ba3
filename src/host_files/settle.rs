//! From the start of a session to the moment when nothing of it is open: the record, the look at the
//! end, and what becomes of each finding. Whoever comes first does it: the supervisor, the front end,
//! or the next claudebox after both were killed. It must never look while something inside lives.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::aside::{self, Aside};
use super::ask::Person;
use super::conclusion::Conclusion;
use super::found::{Case, Fate, Found, Writing};
use super::known::Known;
use super::look::{look, open};
use super::record::{Record, booted};
use super::screen::Screen;
use super::tell;
use crate::error::{Error, Result, Tried as _};
use crate::log::quote;
use crate::profile::schema::HostFiles;
use crate::session::inside::{self, Inside};
use crate::session::{Session, directory, lock};
use crate::visible::visible_path;

/// How long what was killed may take to be gone.
const DEATH: Duration = Duration::from_secs(10);

/// Writes down what there is, before the agent starts.
pub fn begin(session: &Session, project: &Path, mode: HostFiles, known: Known) -> Result<()> {
    let tried = || "note the host-executable files of the project";
    let record = Record::take(project, mode, known).tried(tried)?;
    record.write(&session.directory).tried(tried)?;
    let pending = session.pending_path();
    if let Some(parent) = pending.parent() {
        directory::make_private(parent)?;
    }
    File::create(&pending).tried(tried)?;
    Ok(())
}

/// Whether there is nothing to look at any more: the project has gone, or is another directory.
fn is_for_good(err: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, Other};
    matches!(err.kind(), NotADirectory | NotFound | Other)
}

/// How a session's findings stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Nothing is open.
    Done,
    /// Somebody else is at it, or something inside still lives.
    Busy,
}

/// Sees to what a session left behind; tells `out` about it. Without a person, what may be moved is
/// set aside, unless the session only reports.
///
/// # Errors
/// When what became of it cannot be written down; it stays open then.
pub fn conclude(
    session: &Session,
    person: Option<&mut dyn Person>,
    screen: &mut Screen<'_>,
) -> Result<Settled> {
    if is_gone(&session.directory) {
        return forget(session, screen.out);
    }
    let path = lock_path(session);
    let lock = lock::try_take(&path).tried(|| format!("lock {}", visible_path(&path)))?;
    let Some(_lock) = lock else { return Ok(Settled::Busy) };
    if !session.pending_path().exists() {
        return Ok(Settled::Done);
    }
    match inside::wait(&session.directory, DEATH) {
        Inside::Alive => return Ok(Settled::Busy),
        Inside::Never => return close(session),
        Inside::Dead => {}
    }
    let id = &session.id;
    let Some(record) = Record::read(&session.directory) else {
        let text = format!(
            "what session {id} left behind for the host to execute was not looked at: its record cannot be read"
        );
        tell::line(screen.out, &text);
        return close(session);
    };
    let project = visible_path(record.project.as_path());
    let found = match look(&session.directory) {
        Ok(found) => found.unwrap_or_default(),
        Err(err) if is_for_good(&err) => {
            let text = format!(
                "what session {id} left in {project} for the host to execute was not looked at: {err}"
            );
            tell::line(screen.out, &text);
            return close(session);
        }
        Err(err) => {
            return Err(err)
                .tried(|| {
                    format!("look at what session {id} left in {project} for the host to execute")
                })
                .map_err(|error| {
                    error
                        .hint("the next claudebox command looks again")
                        .hint(format!("or give it up: claudebox rm --force {id}"))
                });
        }
    };
    if !found.is_empty() {
        Conclusion::new(session, &record, found).all(person, screen)?;
    }
    close(session)
}

fn is_gone(directory: &Path) -> bool {
    let found = fs::symlink_metadata(directory);
    found.is_err_and(|err| err.kind() == io::ErrorKind::NotFound)
}

/// The record was removed with the session's directory. That is said once, and not by each command.
fn forget(session: &Session, out: &mut dyn Write) -> Result<Settled> {
    if session.pending_path().exists() {
        let (id, directory) = (&session.id, visible_path(&session.directory));
        tell::line(
            out,
            &format!(
                "what session {id} left behind for the host to execute was not looked at: \
                 {directory} was removed"
            ),
        );
    }
    close(session)
}

/// Nothing is open any more.
fn close(session: &Session) -> Result<Settled> {
    let path = session.pending_path();
    match fs::remove_file(&path) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => {
            Err(err).tried(|| format!("remove {}", visible_path(&path)))
        }
        _ => Ok(Settled::Done),
    }
}

/// Who holds it is seeing to what the session left behind.
fn lock_path(session: &Session) -> PathBuf {
    session.directory.join("host-files.lock")
}

/// How many are set aside and can come back: where the project is another directory by now, or none,
/// there is nothing to bring them back into.
///
/// # Errors
/// When that cannot be told.
pub fn waiting(session: &Session) -> io::Result<usize> {
    let mut aside = Found::read(&session.directory)?.map_or(0, |found| found.aside());
    if session.pending_path().exists() {
        // Who moved may have been killed before that was written down.
        aside = aside.max(aside::count(&session.directory)?);
    }
    let record = Record::read(&session.directory).filter(|_| aside > 0);
    let Some(record) = record else { return Ok(aside) };
    match fs::symlink_metadata(record.project.as_path()) {
        Ok(found) if record.is_of(found.dev(), found.ino(), booted()) => Ok(aside),
        Ok(_) => Ok(0),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(err) => Err(err),
    }
}

/// Brings back what was set aside: everything, or what `wanted` says yes to.
///
/// # Errors
/// When nothing is meant, or something cannot be brought back; the rest has been then.
pub fn keep(
    session: &Session,
    wanted: &dyn Fn(&[u8]) -> bool,
    screen: &mut Screen<'_>,
) -> Result<()> {
    let id = &session.id;
    let path = lock_path(session);
    // Not waited for: who holds it may be waiting for an answer, for hours.
    let lock = lock::try_take(&path).tried(|| format!("lock {}", visible_path(&path)))?;
    let Some(_lock) = lock else {
        return Err(Error::launcher(format!(
            "another terminal is seeing to what session {id} left behind"
        ))
        .hint(format!("answer the question there, then run `claudebox keep {id}` again")));
    };
    let record = Record::read(&session.directory);
    let found = Found::read(&session.directory).tried(|| "find what was set aside")?;
    let (Some(record), Some(mut found)) = (record, found) else {
        return Err(Error::usage(format!("nothing of session {id} was set aside")));
    };
    let names = tell::aside(&found);
    if names.is_empty() {
        return Err(Error::usage(format!("nothing of session {id} is set aside")));
    }
    let names = tell::some(&names);
    let mut project = open(&record).map_err(|err| nowhere(session, &record, &err))?;
    let aside = Aside::open(&session.directory).tried(|| "open what was set aside")?;
    let tried = || "write down what was brought back";
    let (mut back, mut failed) = (Vec::new(), Vec::new());
    let mut writing = Writing::default();
    for at in 0..found.cases.len() {
        let Case { finding, fate: Some(Fate::Aside { number, part }) } = &found.cases[at] else {
            continue;
        };
        if !wanted(&finding.path.0) {
            continue;
        }
        let path = finding.path.clone();
        match aside.give_once(&mut project, &part.as_ref().unwrap_or(&finding.path).0, *number) {
            Ok(()) => {
                back.push(path);
                found.cases[at].fate = Some(Fate::Kept);
                writing.sometimes(&found, &session.directory).tried(tried)?;
            }
            Err(err) => failed.push(format!("{}: {err}", quote::word(&path.0))),
        }
    }
    writing.rest(&found, &session.directory).tried(tried)?;
    if !back.is_empty() {
        let back: Vec<&[u8]> = back.iter().map(|path| path.0.as_slice()).collect();
        tell::names(screen, "brought back", &back);
    }
    if let Some(first) = failed.first() {
        return Err(Error::launcher(format!("cannot bring back {first}"))
            .hint(format!("move away what is there, then run `claudebox keep {id}` again")));
    }
    if back.is_empty() {
        return Err(Error::usage(format!(
            "session {id} set aside nothing of that name; there is: {names}"
        ))
        .hint("name it as it is listed, or from here: ./NAME"));
    }
    Ok(())
}

/// The error where the project is not there any more. What was set aside is not lost by that.
fn nowhere(session: &Session, record: &Record, err: &io::Error) -> Error {
    let (id, project) = (&session.id, visible_path(record.project.as_path()));
    let message = if err.kind() == io::ErrorKind::NotFound {
        format!("{project} is gone, to which what session {id} left would be brought back")
    } else {
        format!("cannot open {project} to bring back what session {id} left: {err}")
    };
    let aside = visible_path(&session.directory.join("aside"));
    Error::launcher(message)
        .hint(format!("copy it from {aside}, by the numbers in host-files-found.json beside it"))
}
