//! A sync that is killed at any moment: nothing that was told to be there is lost, nothing is left
//! locked, and the next sync ends where one that was not killed ends.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::times;
use crate::common::user::users;
use crate::fixture::{ID, Repository};

#[test]
fn a_sync_that_is_killed_is_gone_on_with() {
    for user in users() {
        let repository = Repository::new(user, "");
        let mut struck = 0;
        let mut step = 0_u64;
        for round in 0..times(10, 300) {
            // Something of everything: forward, rewritten, deleted, HEAD, index, a stash, a tag.
            repository.agent(&format!(
                "echo {round} >>f1; git commit -qam {round}; echo {round} >>f2; git stash push -q -m {round}\n\
                 git checkout -q -B b{odd}; echo {round} >g; git add g; git commit -qm g; git tag t{round}\n\
                 git checkout -q {branch}; git branch -qD b{even} 2>/dev/null || true\n\
                 echo {round} >>e/a; git add e/a; echo {round} >>e/a",
                odd = round % 2,
                even = (round + 1) % 2,
                branch = ["main", "side"][round / 2 % 2],
            ));
            let told =
                repository.agent("git for-each-ref --format='%(objectname)' refs/heads refs/tags");
            step = (step * 7 + 13) % 40;
            let delay = Duration::from_millis(step * 8);
            let run = repository.place.claudebox(["sync", ID]).start();
            std::thread::sleep(delay);
            // It may have ended before.
            let _ = kill(Pid::from_raw(run.pid()), Signal::SIGKILL);
            let output = run.wait();
            struck += usize::from(output.code != 0);
            let fsck = repository.host("git fsck --no-dangling --no-progress 2>&1").stdout;
            assert!(!fsck.contains("error") && !fsck.contains("missing"), "{fsck}");
            repository.sync();
            repository.is_sound();
            repository.is_the_same();
            for oid in told.stdout.lines() {
                repository.host(&format!("git cat-file -e {oid}"));
            }
            // Left staged and changed, what the next round checks out would stand in the way.
            repository.agent("git reset -q --hard");
            repository.sync();
            let stashes = repository.host("git stash list | wc -l").stdout;
            assert_eq!(stashes.trim(), (round + 1).to_string(), "each once");
        }
        assert!(struck > 0, "no sync was killed");
    }
}
