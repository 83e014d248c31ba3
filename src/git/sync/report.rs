//! What a sync did and did not do, and the words for it: what a person reads says what to type next.
//! Names are an agent's words: each is made visible.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

use super::rules::{Action, Why};
use crate::bytes::Bytes;
use crate::git::names::{self, HEADS, NOTES, STASH, TAGS};
use crate::git::oid::Oid;
use crate::git::record::Head;
use crate::visible::visible;

/// The name under which `HEAD` and the index are held.
pub const HEAD: &str = "HEAD";
/// The name under which files of git-lfs are held.
pub const LFS: &str = "lfs";

/// One thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Item {
    /// A branch of the agent's came into `refs/claudebox`.
    Imported {
        /// The branch's full name inside.
        name: Bytes,
        /// What it has.
        to: Oid,
        /// Where it is.
        kept: Bytes,
    },
    /// A ref of the host's changed.
    Ref {
        /// Its full name.
        name: Bytes,
        /// How.
        action: Action,
        /// What keeps what it had.
        backup: Option<Bytes>,
    },
    /// Something else is checked out.
    Head {
        /// What.
        to: Head,
    },
    /// What is staged inside is staged.
    Index,
    /// A stash was added.
    Stash {
        /// Its commit.
        oid: Oid,
    },
    /// Files of git-lfs came into the host's store.
    Lfs {
        /// How many.
        files: u64,
        /// Their sizes together.
        bytes: u64,
    },
    /// Something stays as it is.
    Held {
        /// A ref's full name, or `HEAD` for what is checked out, with the index.
        name: Bytes,
        /// Why.
        why: Why,
        /// The ref that has what the agent made of it.
        kept: Option<Bytes>,
    },
}

/// What became of one repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The submodule, relative to the project; absent for the project itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submodule: Option<Bytes>,
    /// All that was done, and was not.
    pub items: Vec<Item>,
}

/// A line for a person, and what to type next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What.
    pub text: String,
    /// What to do, if there is something.
    pub hint: Option<String>,
}

impl Item {
    /// Whether it is about this ref, and held.
    pub fn is_held(&self, of: &Bytes) -> bool {
        matches!(self, Self::Held { name, .. } if name == of)
    }

    /// Why something is held, if it is.
    pub fn why(&self) -> Option<&Why> {
        match self {
            Self::Held { why, .. } => Some(why),
            _ => None,
        }
    }

    /// The words. `session` is its id.
    pub fn line(&self, session: &str) -> Line {
        let plain = |text| Line { text, hint: None };
        match self {
            Self::Imported { name, to, kept } => {
                plain(format!("{} is at {} in {}", shown(name), to.short(), visible(kept)))
            }
            Self::Ref { name, action, backup } => plain(moved(name, action, backup.as_ref())),
            Self::Head { to: Head::Branch(name) } => {
                plain(format!("{} is checked out", shown(name)))
            }
            Self::Head { to: Head::Detached(oid) } => {
                plain(format!("{} is checked out, without a branch", oid.short()))
            }
            Self::Index => plain("what is staged inside is staged here".to_owned()),
            Self::Stash { oid } => plain(format!("stash {} was added to yours", oid.short())),
            Self::Lfs { files: 1, bytes } => {
                plain(format!("a file of git-lfs came ({bytes} bytes)"))
            }
            Self::Lfs { files, bytes } => {
                plain(format!("{files} files of git-lfs came ({bytes} bytes)"))
            }
            Self::Held { name, why, kept } => Line {
                text: format!("{} stays as it is here: {}", shown(name), because(why)),
                hint: Some(next(session, name, why, kept.as_ref())),
            },
        }
    }

    /// What it is, in one word, and of which ref: for the log.
    pub fn word(&self) -> (&'static str, Bytes) {
        match self {
            Self::Imported { name, .. } => ("imported", name.clone()),
            Self::Ref { name, action, .. } => {
                let word = match action {
                    Action::Create { .. } => "created",
                    Action::Forward { .. } => "forwarded",
                    Action::Rewrite { .. } => "rewritten",
                    Action::Delete { .. } => "deleted",
                    Action::Nothing | Action::Held { .. } => "held",
                };
                (word, name.clone())
            }
            Self::Head { .. } => ("checked-out", HEAD.into()),
            Self::Index => ("staged", HEAD.into()),
            Self::Stash { .. } => ("stashed", STASH.into()),
            Self::Lfs { .. } => ("lfs-files", LFS.into()),
            Self::Held { name, .. } => ("held", name.clone()),
        }
    }
}

/// A ref as a person calls it.
fn shown(name: &Bytes) -> String {
    let kinds = [(HEADS, "branch"), (TAGS, "tag"), (NOTES, "notes")];
    let of = |(prefix, kind): &(&str, &str)| {
        Some((names::behind(name, prefix)?, *kind))
            .map(|(short, kind)| format!("{kind} {}", visible(short)))
    };
    match kinds.iter().find_map(of) {
        Some(text) => text,
        None if name.0 == HEAD.as_bytes() => "what is checked out, with the index,".to_owned(),
        None if name.0 == STASH.as_bytes() => "a stash".to_owned(),
        None if name.0 == LFS.as_bytes() => "what git-lfs has".to_owned(),
        None => visible(name),
    }
}

fn moved(name: &Bytes, action: &Action, backup: Option<&Bytes>) -> String {
    let name = shown(name);
    let kept = backup.map(|backup| format!("; what it had is in {}", visible(backup)));
    let kept = kept.unwrap_or_default();
    match action {
        Action::Create { to } => format!("{name} is new, at {}", to.short()),
        Action::Forward { from, to } => format!("{name} moved {}..{}", from.short(), to.short()),
        Action::Rewrite { to, .. } => format!("{name} was rewritten, to {}{kept}", to.short()),
        Action::Delete { .. } => format!("{name} was deleted{kept}"),
        Action::Nothing | Action::Held { .. } => name,
    }
}

fn because(why: &Why) -> String {
    match why {
        Why::BothMoved => "you and the agent have both moved it".into(),
        Why::DeletedInside => "the agent deleted it, and you moved it".into(),
        Why::DeletedOutside => "you deleted it, and the agent moved it".into(),
        Why::CheckedOut => "the agent deleted it, and it is checked out".into(),
        Why::Elsewhere => "another worktree has it checked out".into(),
        Why::Symbolic => "it is a symbolic ref".into(),
        Why::Name { because } => because.clone(),
        Why::InTheWay => "its name is in the way of one that you have".into(),
        Why::Tag => "the agent moved or deleted it, and a tag is never moved".into(),
        Why::Objects { words } => format!("git refuses the agent's objects: {words}"),
        Why::TooMany => "the agent made more refs than come at once".into(),
        Why::Gitlink { path, running: true } => {
            format!("it brings a new submodule, {path}, and the session still runs")
        }
        Why::Gitlink { path, running: false } => {
            format!(
                "it brings a new submodule, {path}, where the agent put a repository of its own"
            )
        }
        Why::Switched => "you have checked out something else meanwhile".into(),
        Why::Staged => "you have staged something meanwhile".into(),
        Why::UnfinishedInside { what } => format!("{what} is not finished inside"),
        Why::UnfinishedOutside { what } => format!("you are in the middle of {what}"),
        Why::Unmerged => "the agent's index has conflicts in it, or cannot be read".into(),
        Why::Locked => "the index is locked: another git is at work, or was killed".into(),
        Why::Git { words } => format!("git says: {words}"),
        Why::Lfs { words } => words.clone(),
    }
}

/// What to do next. A ref of claudebox's own holds what can be typed.
fn next(session: &str, name: &Bytes, why: &Why, kept: Option<&Bytes>) -> String {
    let sync = format!("`claudebox sync {session}`");
    let kept = kept.map(visible);
    let is_tag = names::behind(name, TAGS).is_some();
    let command = if is_tag { "git tag NAME" } else { "git branch NAME" };
    match (why, kept) {
        (Why::BothMoved, Some(kept)) if names::behind(name, HEADS).is_some() => {
            format!("on that branch: `git merge {kept}`")
        }
        (Why::BothMoved, Some(kept)) => format!("the agent's is {kept}"),
        (Why::BothMoved, None) => {
            format!("`git stash`, merge what is in refs/claudebox/{session}/heads, `git stash pop`")
        }
        (Why::Elsewhere, Some(kept)) => format!("there: `git merge {kept}`"),
        (Why::Tag, Some(kept)) => {
            format!(
                "`git tag -f {} {kept}` moves it",
                visible(names::behind(name, TAGS).unwrap_or_default())
            )
        }
        (Why::DeletedOutside | Why::Name { .. } | Why::InTheWay, Some(kept)) => {
            format!("`{command} {kept}` makes it, under a name of yours")
        }
        (Why::DeletedInside | Why::Tag, None) => "delete it yourself if that is right".into(),
        (Why::TooMany, _) => format!("{sync} brings more of them"),
        (Why::CheckedOut, _) => format!("check out another, then {sync}"),
        (Why::Gitlink { running: true, .. }, _) => "it comes when the session is over".into(),
        (Why::Gitlink { path, running: false }, _) => {
            format!("look at {path}/.git, take it away, then {sync}")
        }
        (Why::Switched, _) => format!("check out what was checked out at the start, then {sync}"),
        (Why::Staged, _) => format!("commit it or `git stash` it, then {sync}"),
        (Why::UnfinishedInside { .. } | Why::Unmerged, _) => format!(
            "have it finished or aborted inside, then {sync}; commits are in refs/claudebox/{session}"
        ),
        (Why::UnfinishedOutside { .. }, _) => format!("finish or abort it, then {sync}"),
        (Why::Locked, _) => format!("if no git runs, remove index.lock, then {sync}"),
        (Why::Objects { .. } | Why::Symbolic | Why::Name { .. }, None) => {
            format!("have it made anew inside, then {sync}")
        }
        (_, Some(kept)) => format!("the agent's is {kept}; {sync} tries again"),
        (_, None) => format!("{sync} tries again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oid(digit: &str) -> Oid {
        Oid::parse(digit.repeat(40).as_bytes()).unwrap()
    }

    #[test]
    fn each_line_says_what_to_type() {
        let held = |name: &str, why: Why, kept: Option<&str>| {
            let item = Item::Held { name: name.into(), why, kept: kept.map(Bytes::from) };
            let Line { text, hint } = item.line("4k7x");
            format!("{text}\n  {}", hint.unwrap())
        };
        let text = [
            held("refs/heads/main", Why::BothMoved, Some("refs/claudebox/4k7x/heads/main")),
            held("refs/heads/a\x1b", Why::Name { because: "no".into() }, None),
            held("HEAD", Why::Staged, None),
            held("refs/tags/v1", Why::Tag, Some("refs/claudebox/4k7x/tags/v1")),
            held("refs/heads/s", Why::Gitlink { path: "s".into(), running: false }, None),
        ]
        .join("\n");
        insta::assert_snapshot!(text, @r"
        branch main stays as it is here: you and the agent have both moved it
          on that branch: `git merge refs/claudebox/4k7x/heads/main`
        branch a\x1b stays as it is here: no
          have it made anew inside, then `claudebox sync 4k7x`
        what is checked out, with the index, stays as it is here: you have staged something meanwhile
          commit it or `git stash` it, then `claudebox sync 4k7x`
        tag v1 stays as it is here: the agent moved or deleted it, and a tag is never moved
          `git tag -f v1 refs/claudebox/4k7x/tags/v1` moves it
        branch s stays as it is here: it brings a new submodule, s, where the agent put a repository of its own
          look at s/.git, take it away, then `claudebox sync 4k7x`
        ");
        let (from, to) = (oid("1"), oid("2"));
        let item = Item::Ref {
            name: "refs/heads/main".into(),
            action: Action::Rewrite { from, to },
            backup: Some("refs/claudebox/4k7x/backup/main@1111111111".into()),
        };
        insta::assert_snapshot!(item.line("4k7x").text, @"branch main was rewritten, to 2222222222; what it had is in refs/claudebox/4k7x/backup/main@1111111111");
    }
}
