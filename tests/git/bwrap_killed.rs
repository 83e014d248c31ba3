//! Somebody kills a session's bwrap while claudebox's git moves refs in the user's repository: that git
//! finishes. Killed with it, it would leave its locks, which stand in the way of every git after it.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::user::users;
use crate::common::{DEADLINE, must_have_sandbox, program};
use crate::fixture::{FILES, host, inside, prepared};
use crate::worktrees::until;

/// So many branches take git a while, in which each is locked; more do not come at a time.
const BRANCHES: usize = 900;

/// The parent of a process, and its name.
fn parent(pid: i32) -> Option<(i32, String)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, tail) = stat.rsplit_once(") ")?;
    let name = head.split_once('(')?.1.to_owned();
    Some((tail.split(' ').nth(1)?.parse().ok()?, name))
}

/// The bwrap that is a child of this process or of one that this one started.
fn bwrap_of(ancestor: i32) -> Option<i32> {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let descends = |pid: i32| {
        let mut at = pid;
        while let Some((above, _)) = parent(at) {
            if above == ancestor {
                return true;
            }
            at = above;
        }
        false
    };
    let outer = |pid: &i32| {
        let Some((above, name)) = parent(*pid) else { return false };
        name == "bwrap" && parent(above).is_some_and(|(_, name)| name != "bwrap") && descends(*pid)
    };
    pids.into_iter().find(outer)
}

#[test]
fn a_git_that_moves_refs_outlives_a_killed_bwrap() {
    must_have_sandbox();
    assert!(program("bwrap").is_some());
    for user in users() {
        let place = prepared(user, FILES);
        // All at once: a git inside that makes one after the other would be killed with it.
        let make = format!(
            "head=$(git rev-parse HEAD); echo '# pack-refs with: peeled fully-peeled sorted ' >packed
             for i in $(seq {BRANCHES}); do echo $head refs/heads/b$((10000 + i)); done >>packed
             touch ready; while ! test -e go; do sleep 0.05; done; mv packed .git/packed-refs; sleep 600"
        );
        let run = inside(&place, &make).start();
        until("it begins", || place.project().join("ready").exists());
        let bwrap = bwrap_of(run.pid()).expect("there is a bwrap");
        fs::write(place.project().join("go"), "").unwrap();
        let ours = place.project().join(".git/refs/claudebox");
        let locked = || {
            let sessions = fs::read_dir(&ours).into_iter().flatten().flatten();
            let mut heads = sessions.flat_map(|it| fs::read_dir(it.path().join("heads"))).flatten();
            heads.any(|it| it.is_ok_and(|it| it.path().extension().is_some_and(|it| it == "lock")))
        };
        let end = Instant::now() + DEADLINE;
        while !locked() {
            assert!(Instant::now() < end, "no git moved refs within the deadline");
            sleep(Duration::from_micros(200));
        }
        kill(Pid::from_raw(bwrap), Signal::SIGKILL).unwrap();
        let output = run.wait();
        assert_ne!(output.code, 0);
        assert_eq!(host(&place, "find .git -name '*.lock' | head -3"), "", "{}", output.stderr);
        let branches = "git for-each-ref refs/heads | grep -c refs/heads/b";
        assert_eq!(host(&place, branches).trim(), BRANCHES.to_string(), "{}", output.stderr);
        host(&place, "git fsck --no-dangling --no-progress; git pack-refs --all");
    }
}
