//! claudebox is killed while it reads what the agent committed, in the moment in which a bwrap has made its
//! child and not released it: nobody waits for ever.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::must_have;
use crate::common::user::users;
use crate::fixture::{ID, Repository};
use crate::worktrees::until;

/// Whether there is a process with this command line.
fn is_there(words: &[&str]) -> bool {
    let line: String = words.iter().flat_map(|word| [word, "\0"]).collect();
    let mut entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .any(|entry| fs::read(entry.path().join("cmdline")).is_ok_and(|it| it == line.as_bytes()))
}

#[test]
fn promise_d_a_box_of_git_ends_with_claudebox() {
    must_have(&["unshare"]);
    for (number, user) in users().into_iter().enumerate() {
        for (stage, word) in ["for-each-ref", "upload-pack"].into_iter().enumerate() {
            let repository = Repository::new(user, "");
            repository.agent("echo new >new; git add new; git commit -qm new");
            // It stands for what a bwrap is then: its child is the first of a pid namespace, has no death
            // signal, and waits.
            let mark = format!("9{}{number}{stage}", std::process::id());
            let bwrap = repository.place.home_file(
                "bwrap",
                format!(
                    "#!/bin/sh\ncase $* in *{word}*) exec unshare -Urpf -- sleep {mark};; esac\n\
                     exec bwrap \"$@\"\n"
                ),
            );
            fs::set_permissions(&bwrap, fs::Permissions::from_mode(0o755)).unwrap();
            let record = repository.session().join("git.json");
            let mut value: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
            value["bwrap"] = bwrap.to_str().into();
            fs::write(&record, value.to_string()).unwrap();

            let run = repository.place.claudebox(["sync", ID]).start();
            let waits = || is_there(&["sleep", &mark]);
            until("a box is made", waits);
            run.signal(Signal::SIGKILL);
            until("nothing waits", || !waits());
            run.wait();
        }
    }
}
