//! G: for an object that a repository does not have, no git of claudebox's asks the program that a
//! stranger's configuration names (`remote.*.uploadpack`). The git here is one that knows no
//! `GIT_NO_LAZY_FETCH`, as all before 2.44; the controls are that git by itself.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::common::place::Place;
use crate::common::run::Run;
use crate::common::{must_have, must_have_sandbox, user::users};
use crate::g_private::program;
use crate::script;

const BASE: &str = "set -e
    git config user.name Someone; git config user.email someone@example.invalid
    mkdir d; echo a >a; echo b >d/b; git add a d; git commit -qm base
";

/// A repository that lacks an object, and where its configuration says to get it from.
struct Partial {
    place: Place,
    lacks: &'static str,
    mark: PathBuf,
}

impl Partial {
    fn new(place: Place, lacks: &'static str) -> Self {
        let marks = place.root().join("marks");
        fs::create_dir(&marks).unwrap();
        place.user().own(&marks);
        let program = program(&place, "upload", &marks);
        let change = format!(
            "set -e
            git config core.repositoryformatversion 1; git config extensions.partialClone evil
            git config remote.evil.promisor true; git config remote.evil.url /
            git config remote.evil.uploadpack {}",
            program.display()
        );
        place.command("sh").args(["-c", &change]).run().code(0);
        let partial = Self { place, lacks, mark: marks.join("upload") };
        partial.lack();
        partial
    }

    /// Takes the object away: a git that has the file makes it again.
    fn lack(&self) {
        let remove = format!(
            "set -e; oid=$(git rev-parse {}); rest=${{oid#??}}; rm -f .git/objects/${{oid%$rest}}/$rest",
            self.lacks
        );
        self.place.command("sh").args(["-c", &remove]).run().code(0);
    }

    fn is_asked(&self) -> bool {
        self.mark.exists()
    }

    /// The control: the user's git does this, and asks.
    fn would_be_asked(&self, git: &str) {
        self.lack();
        old(&self.place, self.place.command("sh").args(["-c", git])).run();
        assert!(self.is_asked(), "control: {git}");
    }
}

/// With a git that may fetch at any time, as far as it is not told what it may fetch from.
fn old(place: &Place, run: Run) -> Run {
    let text = "#!/bin/sh\nunset GIT_NO_LAZY_FETCH\nexec /usr/bin/git \"$@\"\n";
    let git = place.home_file("old/git", text);
    fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).unwrap();
    let before = git.parent().map(Path::display).unwrap();
    run.env("PATH", format!("{before}:/usr/sbin:/usr/bin:/sbin:/bin"))
}

#[test]
fn promise_g_what_a_repository_lacks_is_asked_of_nobody_at_the_start() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        let place = Place::new(user);
        let sparse = format!("{BASE} git sparse-checkout set --cone --sparse-index e");
        place.command("sh").args(["-c", &sparse]).run().code(0);
        // To know of submodules, git would have to look into the directory that is not checked out.
        let partial = Partial::new(place, "HEAD:d");
        let run = old(&partial.place, script(&partial.place, &["--git", "private"], "echo ran"));
        assert!(run.run().code(2).complains("is a partial clone").stdout.is_empty());
        assert!(!partial.is_asked());
        partial.would_be_asked("git ls-files --stage");
    }
}

#[test]
fn promise_g_what_a_repository_lacks_is_asked_of_nobody_for_a_worktree() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        let place = Place::new(user);
        place.command("sh").args(["-c", BASE]).run().code(0);
        let work = "echo new >new; git add new; git commit -qm new";
        script(&place, &["-w", "w"], work).run().code(0);
        let partial = Partial::new(place, "HEAD:a");
        let place = &partial.place;
        // A new one is not made, and to look at one that is there does not ask either.
        let refused = old(place, script(place, &["-w", "x"], "echo ran")).run().code(2);
        refused.complains("is a partial clone");
        for words in ["list", "diff w", "merge w", "apply w"] {
            partial.lack();
            let words = words.split(' ');
            let run = place.claudebox(["worktree"]).args(words);
            old(place, run).run();
        }
        assert!(!partial.is_asked());
        partial.would_be_asked("git cat-file blob HEAD:a");
    }
}
