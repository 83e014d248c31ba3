//! git-lfs: what is added inside has its files on the host when the session is over, checked; and what an
//! agent can make of its store.

use std::fs;

use crate::common::place::Place;
use crate::common::{must_have, must_have_sandbox, user::users};
use crate::fixture::{host, inside, prepared};

fn must_have_all() {
    must_have_sandbox();
    must_have(&["git-lfs"]);
}

/// What is said at the end, of a session in which this was done.
fn said_of(place: &Place, script: &str) -> String {
    inside(place, script).run().code(0).stderr
}

const TRACKED: &str =
    "git lfs install --local >/dev/null; git lfs track '*.bin' >/dev/null; echo one >x.bin
    git add .; git commit -qm lfs\n";

#[test]
fn files_that_are_new_inside_are_there_when_their_commits_are() {
    must_have_all();
    for user in users() {
        let place = prepared(user, TRACKED);
        let said = said_of(
            &place,
            "echo two >y.bin; echo one >same.bin; git add .; git commit -qm more; git checkout -q -b side
             echo three >z.bin; git add .; git commit -qm side; git checkout -q main; echo staged >s.bin; git add s.bin",
        );
        assert!(said.contains("git: 3 files of git-lfs came"), "{said}");
        assert_eq!(host(&place, "git status --porcelain"), "A  s.bin\n");
        let objects = "git lfs fsck --objects 2>&1; git lfs fsck --objects side 2>&1";
        assert_eq!(host(&place, objects), "Git LFS fsck OK\nGit LFS fsck OK\n");
        let content =
            "rm y.bin; git checkout y.bin; cat y.bin; git stash -q; git checkout -q side; cat z.bin
            git status --porcelain; git checkout -q main; git stash pop -q; cat s.bin";
        assert_eq!(host(&place, content), "two\nthree\nstaged\n");
        assert_eq!(host(&place, "ls .git/lfs/tmp"), "");
        // They come once.
        assert!(!said_of(&place, "git lfs ls-files").contains("git-lfs came"));
    }
}

#[test]
fn they_come_to_a_repository_that_had_none_to_a_linked_worktree_and_to_another_store() {
    must_have_all();
    for user in users() {
        let place =
            prepared(user, "git commit -q --allow-empty -m one; git worktree add -q ../side");
        let said = said_of(&place, TRACKED);
        assert!(said.contains("git: a file of git-lfs came"), "{said}");
        let shown = host(
            &place,
            "git lfs install --local >/dev/null; rm x.bin; git checkout x.bin; cat x.bin",
        );
        assert_eq!(shown, "one\n");
        let side = place.root().join("side");
        let work = "git merge -q main; echo two >y.bin; git add .; git commit -qm two";
        let run = ["run", "--no-monitor", "--git", "private", "--", "sh", "-ec", work];
        let said = place.claudebox(run).directory(&side).run().code(0).stderr;
        assert!(said.contains("git: a file of git-lfs came"), "{said}");
        assert_eq!(host(&place, "cd ../side; rm y.bin; git checkout y.bin; cat y.bin"), "two\n");
        host(&place, "git config lfs.storage ../../store; mkdir -p ../store/objects");
        said_of(&place, "echo three >z.bin; git add .; git commit -qm three");
        assert!(place.root().join("store/objects").is_dir());
        assert_eq!(host(&place, "rm z.bin; git checkout z.bin; cat z.bin"), "three\n");
    }
}

/// A file under the name of another's content, a link to what is not inside, and what holds up a reader.
#[test]
fn what_is_not_what_its_name_says_does_not_come() {
    must_have_all();
    for user in users() {
        let place = prepared(user, TRACKED);
        let secret = "what is outside\n";
        let outside = place.project_file("../secret", secret);
        let put = format!(
            "put() {{ n=$(printf '%s\\n' \"$1\" | sha256sum | cut -c1-64); d=.git/lfs/objects/$(echo $n | cut -c1-2)/$(echo $n | cut -c3-4)
                mkdir -p $d; at=$d/$n; rm -f $at; }}
             echo good >g.bin; git add .; git commit -qm good
             put forged; echo something else >$at; put fifo; mkfifo $at; put socket; mkdir $at
             put 'what is outside'; ln -s '{}' $at",
            outside.display()
        );
        let said = said_of(&place, &put);
        assert!(said.contains("git: a file of git-lfs came"), "{said}");
        assert!(
            said.contains("what git-lfs has stays as it is here: 4 of its files are not"),
            "{said}"
        );
        let all = host(
            &place,
            "find .git/lfs/objects -type f -exec cat {} +; find .git/lfs ! -type f ! -type d",
        );
        let mut lines: Vec<&str> = all.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["good", "one"], "{said}");
        // Control: whoever copies the store by its names has them all.
        let sessions = place.state().join("sessions");
        let session = fs::read_dir(sessions).unwrap().next().unwrap().unwrap().path();
        let copied = host(
            &place,
            &format!(
                "find {}/git/private/lfs/objects ! -type p ! -type d -exec cat {{}} +",
                session.display()
            ),
        );
        assert!(copied.contains(secret) && copied.contains("something else"), "{copied}");
    }
}
