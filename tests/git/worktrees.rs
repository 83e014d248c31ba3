//! What the tests of `claudebox worktree` share: a project, an agent in one of its worktrees, and what
//! the user types.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::DEADLINE;
use crate::common::place::Place;
use crate::common::run::{Output, Run};
use crate::common::user::User;
use crate::fixture::{host, prepared, session};

/// A repository of the user's, with two files and a commit.
pub(crate) struct Worktrees {
    pub(crate) place: Place,
}

impl Worktrees {
    pub(crate) fn new(user: User) -> Self {
        let files =
            "printf '1\\n2\\n3\\n4\\n5\\n' >f; echo g >g; echo '*.secret' >.gitignore; git add .
            git commit -qm base; git branch other";
        Self { place: prepared(user, files) }
    }

    /// A session in the worktree of this name, that does this.
    pub(crate) fn session(&self, name: &str, script: &str) -> Run {
        let script = format!("set -e\n{script}");
        session(&self.place, &["--host-files", "report", "-w", name], &script)
    }

    /// What an agent does in the worktree of this name, to its end.
    pub(crate) fn agent(&self, name: &str, script: &str) -> Output {
        self.session(name, script).run().code(0)
    }

    /// Something the user does, which must succeed; what it printed.
    pub(crate) fn host(&self, script: &str) -> String {
        host(&self.place, script)
    }

    /// `claudebox worktree ...`
    pub(crate) fn worktree(&self, words: &str) -> Output {
        self.place.claudebox(["worktree"]).args(words.split_whitespace()).run()
    }

    /// Where the worktree of this name is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let list = self.worktree("list --json").code(0).stdout;
        let lines =
            list.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let found = lines.into_iter().find(|line| line["name"] == name);
        PathBuf::from(found.unwrap()["path"].as_str().unwrap())
    }

    /// All that a merge could change of what the user has.
    pub(crate) fn state(&self) -> String {
        self.host(
            "git symbolic-ref -q HEAD || :; git rev-parse HEAD; git status --porcelain --ignored; git stash list
             find . -path ./.git -prune -o -type f -print | sort | xargs cat; ls -A .git",
        )
    }

    /// That git finds nothing wrong, and no lock was left.
    pub(crate) fn is_sound(&self) {
        self.host("git fsck --no-dangling --no-progress");
        assert_eq!(self.host("find .git -name '*.lock'"), "");
    }
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < end, "not within the deadline: {what}");
        sleep(Duration::from_millis(50));
    }
}
