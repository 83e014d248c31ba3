//! The sync at the end of a session, and what is written down of it for whoever tells the user: the
//! supervisor does it when everything inside is dead, or the front end, or the next claudebox after
//! both were killed. It must never run while something inside lives.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Sync;
use super::report::{Item, Line, Told};
use super::rules::Why;
use crate::error::{Error, Kind, Result};
use crate::git::limits::Size;
use crate::git::record;
use crate::json_file;
use crate::session::Session;
use crate::session::inside::{self, Inside};
use crate::visible::visible;

/// How long what was killed may take to be gone.
const DEATH: Duration = Duration::from_secs(10);
/// The most lines that are told.
const MOST: usize = 40;

/// What came of it: `git-told.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// What was done, and was not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<Told>,
    /// Why it could not be done, and what to do; ready for a terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<(String, Vec<String>)>,
}

/// Syncs a session of this directory, nothing of which lives, and writes down what came of it; `None`
/// where its git is not private. `touched`: the agent may have done something in its git directory.
pub fn end(directory: &Path, id: &str, touched: bool) -> Option<Ending> {
    if !record::path(directory).exists() {
        return None;
    }
    let sync = Sync { directory, session: id, running: false, size: Size::default() };
    let synced = if touched { sync.all() } else { sync.let_go() };
    let ending = match synced {
        Ok(told) => Ending { told: told.unwrap_or_default(), failed: None },
        Err(error) => {
            Ending { told: Vec::new(), failed: Some((error.to_string(), error.hints().to_vec())) }
        }
    };
    // Who finds none syncs again, which does no harm.
    let _ = json_file::write(&path(directory), &ending);
    Some(ending)
}

/// Sees to what a session that is over has in its private git directory, if nobody has.
pub fn see_to(session: &Session) -> Option<Ending> {
    if !record::path(&session.directory).exists() {
        return None;
    }
    if let Some(ending) = json_file::read::<Ending>(&path(&session.directory)) {
        return Some(ending);
    }
    match inside::wait(&session.directory, DEATH) {
        Inside::Alive => None,
        Inside::Never | Inside::Dead => end(&session.directory, session.id.as_str(), true),
    }
}

/// Why not all that a session did has come, if so: of one that is over, with a private git directory.
pub fn open(session: &Session) -> Option<String> {
    if !record::path(&session.directory).exists() {
        return None;
    }
    let Some(ending) = json_file::read::<Ending>(&path(&session.directory)) else {
        return Some("nobody has seen to it yet".to_owned());
    };
    if let Some((message, _)) = ending.failed {
        return Some(message);
    }
    // What is in a ref of claudebox's own has come, and what was deleted has nothing to come.
    let nothing = |why: &Why| matches!(why, Why::DeletedInside | Why::CheckedOut | Why::Tag);
    let is_open =
        |item: &&Item| matches!(item, Item::Held { kept: None, why, .. } if !nothing(why));
    let held = ending.told.iter().flat_map(|told| &told.items).find(is_open)?;
    Some(held.line(session.id.as_str()).text)
}

/// Once more where what held something may have been set aside: a repository that the agent put into
/// the work tree.
pub fn once_more(session: &Session, ending: Ending) -> Ending {
    let held = |why: &Why| matches!(why, Why::Gitlink { .. });
    let again =
        ending.told.iter().flat_map(|told| &told.items).filter_map(|item| item.why()).any(held);
    if !again {
        return ending;
    }
    let before = ending.told.clone();
    match end(&session.directory, session.id.as_str(), true) {
        Some(mut after) if after.failed.is_none() => {
            after.told = join(before, after.told);
            after
        }
        _ => ending,
    }
}

/// What the first did, and what the second did and still holds.
fn join(first: Vec<Told>, second: Vec<Told>) -> Vec<Told> {
    let mut joined = first;
    for told in &mut joined {
        told.items.retain(|item| item.why().is_none());
    }
    for after in second {
        match joined.iter_mut().find(|told| told.submodule == after.submodule) {
            Some(told) => told.items.extend(after.items),
            None => joined.push(after),
        }
    }
    joined
}

/// Tells a person what came of it.
pub fn tell(id: &str, ending: &Ending, out: &mut dyn Write) {
    let bold = anstyle::Style::new().bold();
    let red = anstyle::AnsiColor::Red.on_default().bold();
    let cyan = anstyle::AnsiColor::Cyan.on_default().bold();
    // A terminal that is gone is no reason for anything.
    if let Some((message, hints)) = &ending.failed {
        let _ =
            writeln!(out, "{red}claudebox:{red:#} the agent's git work is not all here: {message}");
        for hint in hints {
            let _ = writeln!(out, "{cyan}hint:{cyan:#} {hint}");
        }
        let _ = writeln!(out, "{cyan}hint:{cyan:#} `claudebox sync {id}` tries again");
        return;
    }
    let lines = lines(id, &ending.told);
    let left = lines.len().saturating_sub(MOST);
    for Line { text, hint } in lines.into_iter().take(MOST) {
        let _ = writeln!(out, "{bold}claudebox:{bold:#} git: {text}");
        if let Some(hint) = hint {
            let _ = writeln!(out, "{cyan}hint:{cyan:#} {hint}");
        }
    }
    if left > 0 {
        let _ =
            writeln!(out, "{bold}claudebox:{bold:#} git: and {left} more; `claudebox log {id}`");
    }
}

/// What there is to be said of these repositories.
pub fn lines(id: &str, told: &[Told]) -> Vec<Line> {
    let of = |told: &Told| -> Vec<Line> {
        let place = told.submodule.as_ref().map(|path| format!("{}: ", visible(path)));
        let place = place.unwrap_or_default();
        let line = |line: Line| Line { text: format!("{place}{}", line.text), ..line };
        told.items.iter().map(|item| line(item.line(id))).collect()
    };
    told.iter().flat_map(of).collect()
}

/// The error that a session without a private git directory is.
pub fn not_private(id: &str) -> Error {
    Error::new(Kind::Usage, format!("session {id} has no git directory of its own"))
        .hint("only with `git = \"private\"` in its profile is there something to sync")
}

/// `claudebox sync`: everything, now; `running` says whether something inside lives. Answers with what
/// came of it, which the user was told.
///
/// # Errors
/// When it cannot be done.
pub fn command(session: &Session, running: bool, out: &mut dyn Write) -> Result<Vec<Told>> {
    let id = session.id.as_str();
    let sync = Sync { directory: &session.directory, session: id, running, size: Size::default() };
    let told = sync.all()?.ok_or_else(|| not_private(id))?;
    let ending = Ending { told, failed: None };
    if !running {
        // It may clear what was held before.
        let _ = json_file::write(&path(&session.directory), &ending);
    }
    if ending.told.iter().all(|told| told.items.is_empty()) {
        let _ = writeln!(out, "nothing new");
    }
    tell(id, &ending, out);
    Ok(ending.told)
}

fn path(directory: &Path) -> PathBuf {
    directory.join("git-told.json")
}
