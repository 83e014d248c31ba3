//! Which session is meant. It must never guess: none or several matches is an error that lists
//! what there is.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use super::Found;
use crate::dirs::Dirs;
use crate::error::{Error, Result};
use crate::visible::{visible, visible_path};

/// How many sessions an error lists.
const LISTED: usize = 8;
const NAME_ONE: &str = "name one by its id, or the beginning of it";

/// A directory, and what sessions are of the project that it is in.
#[derive(Clone, Debug)]
pub struct Project {
    here: PathBuf,
    /// Where claudebox makes the worktrees of a repository whose main work tree is here or above.
    worktrees: Vec<PathBuf>,
}

impl Project {
    /// The one of `here`, which is canonical.
    pub fn of(here: &Path, dirs: &Dirs) -> Self {
        let worktrees = here.ancestors().map(|root| dirs.worktrees_of(root)).collect();
        Self { here: here.to_owned(), worktrees }
    }

    /// Whether a session works in the project, or in a worktree that `run --worktree` made of it.
    pub fn has(&self, found: &Found) -> bool {
        let project = found.record.project.as_path();
        self.here.starts_with(project)
            || self.worktrees.iter().any(|worktrees| project.starts_with(worktrees))
    }

    /// Whether a session works in the project, or in a directory below this one: what it left there would
    /// be taken for what was there.
    pub fn overlaps(&self, found: &Found) -> bool {
        self.has(found) || found.record.project.as_path().starts_with(&self.here)
    }
}

/// Chooses among all sessions (the latest first): the one whose id begins with `prefix`, or the
/// latest of the project that we are in, one that lives before one that does not.
pub fn choose(all: Vec<Found>, prefix: Option<&str>, project: &Project) -> Result<Found> {
    let Some(prefix) = prefix else { return latest(&all, project) };
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

fn latest(all: &[Found], project: &Project) -> Result<Found> {
    let (living, over): (Vec<Found>, Vec<Found>) = all
        .iter()
        .filter(|found| project.has(found))
        .cloned()
        .partition(|found| found.state.lives());
    // One in the checkout and one in each of its worktrees can run at once.
    if living.len() > 1 {
        let (several, here) = (living.len(), visible_path(&project.here));
        let listing = listing(&living);
        return Err(Error::usage(format!(
            "{several} sessions run in {here} and its worktrees; which is meant?{listing}"
        ))
        .hint(NAME_ONE));
    }
    let chosen = living.into_iter().chain(over).next();
    chosen.ok_or_else(|| none(&format!("no session in {} yet", visible_path(&project.here)), all))
}

fn none(message: &str, others: &[Found]) -> Error {
    if others.is_empty() {
        return Error::usage(message)
            .hint("`claudebox` starts one; `claudebox ls --all` lists them");
    }
    Error::usage(format!("{message}; there are:{}", listing(others))).hint(NAME_ONE)
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
    use crate::session::id::Id;
    use crate::session::record::{Mode, RECORD_VERSION, Record};
    use crate::session::{Session, State};

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

    fn at(here: &str) -> Project {
        Project::of(Path::new(here), &dirs())
    }

    fn dirs() -> Dirs {
        Dirs { state: "/state/claudebox".into(), ..Dirs::default() }
    }

    fn in_worktree(id: &str, of: &str, state: State) -> Found {
        let path = dirs().worktrees_of(Path::new(of)).join("fix");
        session(id, path.to_str().unwrap(), state)
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
        let found = choose(three(), Some("4k7"), &at("/")).unwrap();
        assert_eq!(found.session.id.as_str(), "4k7xq2ab");
    }

    #[test]
    fn an_ambiguous_beginning_lists_the_matches() {
        let error = choose(three(), Some("4k"), &at("/")).unwrap_err();
        insta::assert_snapshot!(error, @"
        2 sessions begin with `4k`; which is meant?
          4k7xq2ab  crashed  claude in /p
          4kaaaaaa  running  claude in /p
        ");
    }

    #[test]
    fn no_match_lists_what_there_is() {
        let error = choose(three(), Some("7\u{1b}"), &at("/")).unwrap_err();
        insta::assert_snapshot!(error, @r"
        no session begins with `7\x1b`; there are:
          4k7xq2ab  crashed  claude in /p
          4kaaaaaa  running  claude in /p
          9zzzzzzz  running  claude in /q
        ");
    }

    #[test]
    fn without_an_id_the_living_session_of_this_project_is_meant() {
        let found = choose(three(), None, &at("/p/src")).unwrap();
        assert_eq!(found.session.id.as_str(), "4kaaaaaa");
        assert!(choose(three(), None, &at("/px")).is_err());
    }

    #[test]
    fn sessions_in_a_worktree_are_those_of_its_checkout_too() {
        let all = vec![
            session("4kaaaaaa", "/p", State::Crashed),
            in_worktree("7wwwwwww", "/p", State::Running),
            in_worktree("9wwwwwww", "/q/p", State::Running),
        ];
        let chosen = |all: &[Found], here: &str| {
            choose(all.to_vec(), None, &at(here)).map(|found| found.session.id.to_string())
        };
        assert_eq!(chosen(&all, "/p/src").unwrap(), "7wwwwwww");
        let worktree = all[1].record.project.as_path().to_owned();
        assert_eq!(chosen(&all, worktree.to_str().unwrap()).unwrap(), "7wwwwwww");
        assert_eq!(chosen(&all, "/q/p").unwrap(), "9wwwwwww");
        assert!(chosen(&all, "/q").is_err());
        // In the worktree those of the checkout are none of its own.
        assert!(chosen(&all[..1], worktree.to_str().unwrap()).is_err());
    }

    #[test]
    fn of_several_that_live_none_is_guessed() {
        let all = vec![
            in_worktree("7wwwwwww", "/p", State::Running),
            session("4kaaaaaa", "/p", State::Starting),
            session("4k7xq2ab", "/p", State::Crashed),
        ];
        let error = choose(all, None, &at("/p")).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("2 sessions run in /p and its worktrees; which is meant?"),
            "{text}"
        );
        assert!(text.contains("\n  7wwwwwww  running") && text.contains("\n  4kaaaaaa  starting"));
        assert!(!text.contains("4k7xq2ab"), "{text}");
    }
}
