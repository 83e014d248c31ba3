//! `claudebox rm`: which sessions are removed, and why others stay; and the private homes of projects that
//! have gone. It must never remove what is nowhere else, unless it is told to.

use std::io::Write;
use std::path::Path;

use crate::cli::RmArgs;
use crate::error::{Error, Result, printed};
use crate::git::sync::ending;
use crate::host::Host;
use crate::host_files;
use crate::log::clock::now;
use crate::log::event::Micros;
use crate::session::homes::{self, Home};
use crate::session::inside::{self, Inside};
use crate::session::lookup::Project;
use crate::session::{Found, Sessions, State, remove_begun};
use crate::visible::visible_path;

/// Microseconds.
const DAY: Micros = 24 * 60 * 60 * 1_000_000;

/// Why a session stays.
struct Hold {
    why: String,
    hint: Option<String>,
    /// Not even `--force` removes it.
    firm: bool,
}

/// Removes those that are named, or all that are over long enough.
pub(super) fn rm(args: &RmArgs, host: &Host, out: &mut dyn Write) -> Result<()> {
    let sessions = Sessions::new(&host.dirs);
    if args.homes {
        return left_homes(args.dry_run, sessions, &host.dirs.state, out);
    }
    remove_begun(&host.dirs.state.join("sessions"));
    let Some(days) = args.older else {
        for prefix in &args.sessions {
            let found = sessions.find(Some(prefix), &host.here())?;
            if let Some(hold) = hold(&found).filter(|hold| hold.firm || !args.force) {
                return Err(refused(&found, hold));
            }
            one(&found, args.dry_run, out)?;
        }
        return Ok(());
    };
    let (project, now) = (Project::of(&host.here(), &host.dirs), now());
    let age = |found: &Found| now.saturating_sub(ended(found));
    let is_meant = |found: &Found| {
        !found.state.lives()
            && (args.all || project.has(found))
            && age(found) >= DAY.saturating_mul(days.into())
    };
    for found in sessions.all().into_iter().filter(is_meant) {
        match hold(&found).filter(|hold| hold.firm || !args.force) {
            Some(Hold { why, .. }) => say(out, &format!("{} stays: {why}", found.session.id))?,
            None => one(&found, args.dry_run, out)?,
        }
    }
    Ok(())
}

fn one(found: &Found, dry: bool, out: &mut dyn Write) -> Result<()> {
    let id = &found.session.id;
    if dry {
        return say(out, &format!("{id} would be removed"));
    }
    found.session.remove()?;
    say(out, &format!("{id} removed"))
}

/// A session that lives keeps its home, whatever became of its project.
fn left_homes(dry: bool, sessions: Sessions<'_>, state: &Path, out: &mut dyn Write) -> Result<()> {
    homes::remove_begun(state);
    let living: Vec<Found> = sessions.all().into_iter().filter(|it| it.state.lives()).collect();
    let is_used = |home: &Home| living.iter().any(|it| it.record.project.as_path() == home.project);
    for home in homes::all(state).iter().filter(|home| home.is_left() && !is_used(home)) {
        let whose = visible_path(&home.project);
        if dry {
            say(out, &format!("a home of {whose} would be removed"))?;
        } else {
            home.remove()?;
            say(out, &format!("a home of {whose} removed"))?;
        }
    }
    Ok(())
}

fn ended(found: &Found) -> Micros {
    match &found.state {
        State::Ended(status) => status.ended,
        // Nobody wrote down when.
        _ => found.record.created,
    }
}

fn hold(found: &Found) -> Option<Hold> {
    let Found { session, state, .. } = found;
    let id = &session.id;
    if state.lives() || inside::wait(&session.directory, std::time::Duration::ZERO) == Inside::Alive
    {
        let hint = format!("end it first: `claudebox attach {id}`");
        return Some(Hold { why: "it still runs".into(), hint: Some(hint), firm: true });
    }
    let held = |why: String, hint: String| Some(Hold { why, hint: Some(hint), firm: false });
    if session.is_pending() {
        let why = "nobody has looked yet at what it left for programs of the host".to_owned();
        return held(why, "`claudebox log` does it first".to_owned());
    }
    match host_files::found::Found::read(&session.directory)
        .map(|found| found.map_or(0, |found| found.aside()))
    {
        Ok(0) => {}
        Ok(aside) => {
            let why = format!("{aside} of its files are set aside, and nowhere else");
            return held(why, format!("`claudebox keep {id}` brings them back"));
        }
        Err(err) => {
            return held(err.to_string(), "whether files are set aside is not known".into());
        }
    }
    let why = ending::open(session)?;
    held(format!("not all of its git work has come: {why}"), format!("`claudebox sync {id}`"))
}

fn refused(found: &Found, Hold { why, hint, firm }: Hold) -> Error {
    let error = Error::usage(format!("session {} stays: {why}", found.session.id));
    let error = hint.into_iter().fold(error, Error::hint);
    if firm { error } else { error.hint("`--force` removes it all the same") }
}

fn say(out: &mut dyn Write, line: &str) -> Result<()> {
    printed(writeln!(out, "{line}"))
}
