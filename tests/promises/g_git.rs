//! G: git works inside, and hooks, config and info cannot be changed from inside.

use std::fs;

use crate::common::place::Place;
use crate::common::{must_have, must_have_sandbox, user::users};
use crate::outside::tree;
use crate::script;

#[test]
fn promise_g_the_daily_work_of_git_works() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        let place = Place::new(user);
        place.git(&["config", "user.name", "Someone"]);
        place.git(&["config", "user.email", "someone@example.invalid"]);
        let work = "set -e; echo 1 > a; git add a; git commit -qm one; git checkout -qb topic
            echo 2 > a; git stash -q; git stash pop -q; git commit -qam two; git tag v1
            git checkout -q -; git merge -q topic; git rebase -q topic; git log --oneline | wc -l
            git status --porcelain; git branch -D topic; git gc -q; git fsck";
        script(&place, &[], work).run().code(0).says("2\n");
        assert_eq!(place.git(&["log", "--format=%s"]), "two\none\n");
        assert_eq!(place.git(&["status", "--porcelain"]), "");
    }
}

#[test]
fn promise_g_what_git_executes_cannot_be_changed() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        fs::create_dir_all(place.project().join(".git/hooks")).unwrap();
        fs::create_dir_all(place.project().join(".git/info")).unwrap();
        let parts = ["hooks", "config", "info"];
        let guarded = || -> Vec<_> {
            let git = place.project().join(".git");
            let config = fs::read(git.join("config")).unwrap();
            vec![
                format!("{:?}", tree(&git.join("hooks"))),
                format!("{:?}", tree(&git.join("info"))),
                config.escape_ascii().to_string(),
            ]
        };
        let before = guarded();
        let attack = "cd .git; echo '[core] fsmonitor = touch /tmp/x' >> config
            git config core.hooksPath /tmp; printf '#!/bin/sh\\n' > hooks/pre-commit
            echo '* filter=x' > info/attributes; mv hooks hooks.old; mkdir hooks; mv config c
            rm -rf hooks info config; ln -sf /tmp/evil config; cd ..; mv .git .git.old
            cp -r .git.old .git; umount .git/config .git/hooks; true";
        script(&place, &[], attack).run().code(0);
        assert_eq!(guarded(), before, "{parts:?}");
        assert!(place.project().join(".git").is_dir());
        assert!(!place.project().join(".git.old").exists(), ".git itself cannot be moved away");

        // Control: without the sandbox the same script changes all of it.
        place.command("sh").args(["-c", attack]).run();
        assert!(place.project().join(".git.old").exists());
    }
}
