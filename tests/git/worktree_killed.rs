//! `worktree merge` and `worktree apply` that are killed at any moment: nothing is lost, no lock stays, and
//! the same command again ends where one that was not killed ends.

use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::user::{User, users};
use crate::common::{must_have_sandbox, times};
use crate::worktrees::{Worktrees, until};

/// So many files change each time: writing them takes git a while.
const FILES: usize = 300;

/// Runs it, and kills it after a while; whether it was still at it.
fn killed(all: &Worktrees, words: &str, delay: Duration) -> bool {
    let words = words.split_whitespace();
    let run = all.place.claudebox(["worktree"]).args(words).start();
    sleep(delay);
    // It may have ended before.
    let _ = kill(Pid::from_raw(run.pid()), Signal::SIGKILL);
    let code = run.wait().code;
    assert!(matches!(code, 0 | 137), "{code}");
    code != 0
}

/// A git that outlives it finishes; a lock that stays until the deadline is stale.
fn no_lock_stays(all: &Worktrees) {
    until("no lock is there", || all.host("find .git -name '*.lock'").is_empty());
    all.host("git fsck --no-dangling --no-progress");
}

/// What the agent commits in this round, and the user meanwhile.
fn prepare(all: &Worktrees, round: usize) {
    let path = all.path("w");
    let (path, project) = (path.display(), all.place.project());
    let project = project.display();
    all.host(&format!(
        "git commit -q --allow-empty -m before-{round}; cd {path}; git reset -q --hard main
         for i in $(seq {FILES}); do echo {round} >many/$i; done; git add many; git commit -qm a{round}
         echo {round} >g; git commit -qam b{round}; cd {project}
         echo mine-{round} >untracked; echo mine-{round} >x.secret; git commit -q --allow-empty -m ours-{round}"
    ));
}

/// A repository with many files, and the worktree `w`.
fn with_many(user: User) -> Worktrees {
    let all = Worktrees::new(user);
    all.host(&format!("mkdir many; for i in $(seq {FILES}); do echo >many/$i; done; git add many; git commit -qm many"));
    all.agent("w", "true");
    all
}

#[test]
fn a_merge_that_is_killed_is_gone_on_with() {
    must_have_sandbox();
    for user in users() {
        let all = with_many(user);
        let (mut struck, mut step) = (0, 0_u64);
        for round in 0..times(6, 300) {
            prepare(&all, round);
            let (how, commits) = [("", 3), ("--squash", 1), ("--rebase", 2)][round % 3];
            let words = format!("merge w {how}");
            let before = all.host("git rev-parse HEAD claudebox/w");
            let (old, tip) = before.trim().split_once('\n').unwrap();
            step = (step * 7 + 13) % 40;
            struck += usize::from(killed(&all, &words, Duration::from_millis(step * 9)));
            no_lock_stays(&all);
            let again = all.worktree(&words);
            let done = again.code == 0 || again.stderr.contains(" already");
            assert!(done, "round {round}, {words}: {again:#?}");
            no_lock_stays(&all);
            let count =
                all.host(&format!("git rev-list --count {old}..main; git rev-parse claudebox/w"));
            assert_eq!(
                count,
                format!("{commits}\n{tip}\n"),
                "round {round}, {words}: {}",
                all.host("git log --graph --oneline -8")
            );
            assert_eq!(
                all.host("cat g; sort -u many/*; cat untracked x.secret; git status --porcelain"),
                format!("{round}\n{round}\nmine-{round}\nmine-{round}\n?? untracked\n"),
                "round {round}, {words}"
            );
            // All that it has is elsewhere: it is not held.
            all.worktree("gc --dry-run").code(0).says("w");
        }
        assert!(struck > 0, "none was killed");
        all.worktree("rm w").code(0);
    }
}

#[test]
fn an_apply_that_is_killed_is_gone_on_with() {
    must_have_sandbox();
    for user in users() {
        let all = with_many(user);
        let (mut struck, mut step) = (0, 0_u64);
        for round in 0..times(4, 200) {
            prepare(&all, round);
            let new = all.path("w").join("new");
            std::fs::write(new, format!("{round}\n")).unwrap();
            all.host("echo staged >>f; git add f; echo changed >>f");
            let before = all.host("git rev-parse HEAD; git diff f; git diff --cached f; cat f");
            step = (step * 7 + 13) % 40;
            struck += usize::from(killed(&all, "apply w", Duration::from_millis(step * 9)));
            no_lock_stays(&all);
            all.worktree("apply w").code(0);
            no_lock_stays(&all);
            assert_eq!(
                all.host("git rev-parse HEAD; git diff f; git diff --cached f; cat f"),
                before
            );
            assert_eq!(
                all.host("git show :g :new; cat g new; sort -u many/*; cat untracked; git diff --name-only"),
                format!("{round}\n{round}\n{round}\n{round}\n{round}\nmine-{round}\nf\n"),
                "round {round}"
            );
            all.host("git commit -qm staged; git checkout -q f");
        }
        assert!(struck > 0, "none was killed");
    }
}
