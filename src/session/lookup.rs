//! Which session is meant. It must never guess: none or several matches is an error that lists
//! what there is.
#![forbid(unsafe_code)]

use std::path::Path;

use super::{Found, State};
use crate::error::{Error, Result};
use crate::visible::{visible, visible_path};

/// How many sessions an error lists.
const LISTED: usize = 8;

/// Chooses among all sessions (the latest first): the one whose id begins with `prefix`, or the
/// latest of the project that `here` is in, one that lives before one that does not.
pub fn choose(all: Vec<Found>, prefix: Option<&str>, here: &Path) -> Result<Found> {
    let Some(prefix) = prefix else { return latest_here(&all, here) };
    let (mut matches, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|found| found.session.id.as_str().starts_with(prefix));
    match matches.len() {
        1 => Ok(matches.swap_remove(0)),
        0 => Err(none(&format!("no session begins with `{}`", visible(prefix)), &others)),
        several => {
            let error = Error::usage(format!(
                "{several} sessions begin with `{}`; which is meant?{}",
                visible(prefix),
                listing(&matches)
            ));
            Err(error.hint("type more of its id"))
        }
    }
}

/// Whether a session belongs to the project that a directory is in.
pub fn is_of(found: &Found, here: &Path) -> bool {
    here.starts_with(found.record.project.as_path())
}

fn latest_here(all: &[Found], here: &Path) -> Result<Found> {
    let lives = |found: &&Found| matches!(found.state, State::Starting | State::Running);
    let mut of_project = all.iter().filter(|found| is_of(found, here));
    let chosen = of_project.clone().find(lives).or_else(|| of_project.next()).cloned();
    chosen.ok_or_else(|| none(&format!("no session in {} yet", visible_path(here)), all))
}

fn none(message: &str, others: &[Found]) -> Error {
    if others.is_empty() {
        return Error::usage(message)
            .hint("`claudebox` starts one; `claudebox ls --all` lists them");
    }
    Error::usage(format!("{message}; there are:{}", listing(others)))
        .hint("name one by its id, or the beginning of it")
}

fn listing(sessions: &[Found]) -> String {
    let mut text = String::new();
    for found in sessions.iter().take(LISTED) {
        text.push_str("\n  ");
        text.push_str(&describe(found));
    }
    if sessions.len() > LISTED {
        text.push_str("\n  ...");
    }
    text
}

/// One session in a few words, for an error that lists several.
fn describe(found: &Found) -> String {
    let Found { session, record, state } = found;
    format!(
        "{}  {}  {} in {}",
        session.id,
        state,
        visible(&record.command),
        visible(&record.project)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Session;
    use crate::session::id::Id;
    use crate::session::record::{Mode, RECORD_VERSION, Record};

    fn session(id: &str, project: &str, state: State) -> Found {
        let id = Id::parse(id).unwrap();
        Found {
            session: Session { id: id.clone(), directory: "/s".into(), runtime: "/r".into() },
            record: Record {
                v: RECORD_VERSION,
                id,
                created: 0,
                rank: 0,
                project: project.into(),
                places: Vec::new(),
                cwd: project.into(),
                profile: "claude".into(),
                network: "host".into(),
                command: "claude".into(),
                mode: Mode::Tmux,
                tmux: None,
                runtime: "/r".into(),
            },
            state,
        }
    }

    fn three() -> Vec<Found> {
        vec![
            session("4k7xq2ab", "/p", State::Crashed),
            session("4kaaaaaa", "/p", State::Running),
            session("9zzzzzzz", "/q", State::Running),
        ]
    }

    #[test]
    fn a_unique_beginning_is_enough() {
        let found = choose(three(), Some("4k7"), Path::new("/")).unwrap();
        assert_eq!(found.session.id.as_str(), "4k7xq2ab");
    }

    #[test]
    fn an_ambiguous_beginning_lists_the_matches() {
        let error = choose(three(), Some("4k"), Path::new("/")).unwrap_err();
        insta::assert_snapshot!(error, @"
        2 sessions begin with `4k`; which is meant?
          4k7xq2ab  crashed  claude in /p
          4kaaaaaa  running  claude in /p
        ");
    }

    #[test]
    fn no_match_lists_what_there_is() {
        let error = choose(three(), Some("7\u{1b}"), Path::new("/")).unwrap_err();
        insta::assert_snapshot!(error, @r"
        no session begins with `7\x1b`; there are:
          4k7xq2ab  crashed  claude in /p
          4kaaaaaa  running  claude in /p
          9zzzzzzz  running  claude in /q
        ");
    }

    #[test]
    fn without_an_id_the_living_session_of_this_project_is_meant() {
        let found = choose(three(), None, Path::new("/p/src")).unwrap();
        assert_eq!(found.session.id.as_str(), "4kaaaaaa");
        assert!(choose(three(), None, Path::new("/px")).is_err());
    }
}
