//! `claudebox worktree list`, `rm` and `gc`: what would be lost stays and is said, the rest goes.

use std::fs;

use serde_json::json;

use crate::common::must_have_sandbox;
use crate::common::user::users;
use crate::fixture::session;
use crate::worktrees::{Worktrees, until};

const COMMIT: &str = "echo x >>f; git commit -qam work\n";

#[test]
fn what_would_be_lost_stays_and_is_said() {
    must_have_sandbox();
    for user in users() {
        let all = Worktrees::new(user);
        for (name, work) in [
            ("clean", "true"),
            ("new", "echo n >n"),
            ("ignored", "echo n >n.secret"),
            ("changed", "echo n >>f"),
            ("staged", "echo n >>f; git add f"),
            ("committed", COMMIT),
            ("detached", "git checkout -q --detach; echo x >>f; git commit -qam lost"),
            // Of a second commit with the same words in the same second nobody could tell which it is.
            ("merged", "echo m >m; git add m; git commit -qm merged"),
            ("branched", "git checkout -q -b topic; echo y >>g; git commit -qam topic"),
        ] {
            all.agent(name, work);
        }
        all.host("git switch -q other; git merge -q claudebox/merged; git switch -q main");
        let list = all.worktree("list").code(0).stdout;
        assert!(
            list.contains("branched (on topic) ") && list.contains("detached (on no branch)"),
            "{list}"
        );
        all.worktree("merge branched").code(0).complains("git merge topic");
        let dry = all.worktree("gc --dry-run").code(0).stdout;
        let collected = all.worktree("gc").code(0).stdout;
        assert_eq!(dry.replace("would be removed", "removed"), collected);
        assert_eq!(
            collected,
            "branched removed\n\
             changed stays: 1 file not committed\n\
             clean removed\n\
             committed stays: 1 commit on no other branch\n\
             detached stays: 1 commit on no other branch\n\
             ignored removed\n\
             merged removed\n\
             new stays: 1 file not committed\n\
             staged stays: 1 file not committed\n"
        );
        let path = all.path("new");
        let held = all.worktree("rm new").code(2);
        assert!(held.stderr.contains("the worktree new stays"), "{}", held.stderr);
        assert!(held.stderr.contains("claudebox worktree rm --force new"), "{}", held.stderr);
        assert!(path.join("n").exists());
        let gone = all.worktree("rm --force new committed").code(0);
        assert!(gone.stderr.contains("lost with it: 1 file not committed"), "{}", gone.stderr);
        assert!(!path.exists());
        // What was lost can be had back as long as git has it.
        let back = gone.stderr.lines().find_map(|line| line.split('`').nth(1)).unwrap().to_owned();
        all.host(&back);
        assert_eq!(all.host("git log -1 --format=%s claudebox/committed"), "work\n");
        all.worktree("rm nothing").code(2).complains("there are: changed, committed");
        all.worktree("gc --force").code(0);
        assert_eq!(all.host("git branch --format='%(refname:short)'"), "main\nother\ntopic\n");
        assert_eq!(all.host("git worktree list | wc -l"), "1\n");
        assert_eq!(all.worktree("list --json").code(0).stdout, "");
        all.is_sound();
    }
}

/// What was set aside comes back into the worktree, so that is not removed under it.
#[test]
fn what_is_set_aside_holds_its_worktree() {
    must_have_sandbox();
    for user in users() {
        let all = Worktrees::new(user);
        let aside = |plant: &str| {
            let options = ["--host-files", "set-aside", "-w", "w"];
            session(&all.place, &options, plant).run().code(0);
        };
        aside("echo x >>f; git commit -qam work; touch .envrc");
        let merged = all.worktree("merge w").code(0);
        assert!(merged.stderr.contains("not in it: 1 file set aside by"), "{}", merged.stderr);
        let held = all.worktree("rm w").code(2);
        assert!(held.stderr.contains("1 file set aside by session"), "{}", held.stderr);
        let hint = held.stderr.lines().find_map(|line| line.split('`').nth(1)).unwrap();
        let keep: Vec<&str> = hint.split(' ').skip(1).collect();
        all.worktree("gc").code(0).says("w stays: 1 file set aside by session");
        all.place.claudebox(&keep).run().code(0).complains("brought back: .envrc");
        all.host(&format!("rm {}", all.path("w").join(".envrc").display()));
        all.worktree("rm w").code(0).says("w removed");

        // By force it goes, and that is said; what comes later of the same name is another.
        aside("touch .envrc .mcp.json");
        let gone = all.worktree("rm --force w").code(0);
        assert!(gone.stderr.contains("lost with it: 2 files set aside by"), "{}", gone.stderr);
        let id = gone.stderr.split("session ").nth(1).unwrap().trim();
        let keep = all.place.claudebox(["keep", id]).run().code(125);
        assert!(keep.stderr.contains("is gone"), "{}", keep.stderr);
        assert!(keep.stderr.contains("/aside, by the numbers"), "{}", keep.stderr);
        all.agent("w", "true");
        all.worktree("rm w").code(0);
    }
}

/// Of two that hold the same work one is kept.
#[test]
fn the_last_that_holds_a_commit_stays() {
    must_have_sandbox();
    for user in users() {
        let all = Worktrees::new(user);
        all.agent("one", COMMIT);
        all.host("git branch claudebox/two claudebox/one");
        let collected = all.worktree("gc").code(0).stdout;
        assert_eq!(collected, "one removed\ntwo stays: 1 commit on no other branch\n");
        assert_eq!(all.host("git log -1 --format=%s claudebox/two"), "work\n");
        let list = all.worktree("list").code(0).stdout;
        assert!(list.contains("(gone, its branch is left)"), "{list}");
        all.worktree("rm --force two").code(0);
        assert_eq!(all.host("git branch --list 'claudebox/*'"), "");
    }
}

#[test]
fn while_a_session_works_in_it_no_force_helps() {
    must_have_sandbox();
    for user in users() {
        let all = Worktrees::new(user);
        let run =
            all.session("busy", "touch begun; while ! test -e go; do sleep 0.05; done").start();
        until("it begins", || {
            let list = all.worktree("list").code(0).stdout;
            list.contains("running") && all.path("busy").join("begun").exists()
        });
        let path = all.path("busy");
        for words in ["rm --force busy", "merge busy", "apply busy"] {
            all.worktree(words).code(2).complains("works in");
        }
        let collected = all.worktree("gc --force").code(0).stdout;
        assert!(collected.starts_with("busy stays: session "), "{collected}");
        all.worktree("diff busy --name-only").code(0).says("begun\n").complains("works in it");
        fs::write(path.join("go"), "").unwrap();
        run.wait().code(0);
        all.worktree("rm --force busy").code(0);
        assert!(!path.exists());
    }
}

/// Git keeps the repository of a submodule with the worktree that it is in.
#[test]
fn what_is_in_a_submodule_goes_with_no_worktree() {
    must_have_sandbox();
    for user in users() {
        let all = Worktrees::new(user);
        all.host(
            "git init -q -b main ../far; git -C ../far commit -q --allow-empty -m far
             git -c protocol.file.allow=always submodule --quiet add $PWD/../far sub; git commit -qm sub",
        );
        all.agent("w", "true");
        let path = all.path("w");
        let work = "git -c protocol.file.allow=always submodule --quiet update --init; git -C sub commit -q --allow-empty -m work";
        all.host(&format!(
            "cd {}; {work}; git -C sub rev-parse HEAD >../head; git -C sub reset -q --hard HEAD~",
            path.display()
        ));
        all.worktree("rm w").code(2).complains("its submodules have repositories of their own");
        all.worktree("gc").code(0).says("w stays");
        all.host(&format!(
            "git -C {}/sub cat-file -e $(cat {}/../head)",
            path.display(),
            path.display()
        ));
        all.worktree("rm --force w").code(0);
        assert!(!path.exists());
        all.is_sound();
    }
}

#[test]
fn what_has_not_come_holds_its_worktree() {
    must_have_sandbox();
    for user in users() {
        let all = Worktrees::new(user);
        all.agent("half", "true");
        let sessions = all.place.state().join("sessions");
        let session = fs::read_dir(&sessions).unwrap().next().unwrap().unwrap().path();
        let id = session.file_name().unwrap().to_str().unwrap().to_owned();
        let told = json!({ "failed": ["no room on the disk", []] }).to_string();
        all.place
            .home_file(session.join("git-told.json").strip_prefix(all.place.home()).unwrap(), told);
        let list = all.worktree("list").code(0).stdout;
        assert!(list.contains(&format!("{id} not all here")), "{list}");
        let held = all.worktree("rm half").code(2);
        held.complains("no room on the disk").complains(&format!("claudebox sync {id}"));
        all.place.claudebox(["sync", &id]).run().code(0);
        all.worktree("rm half").code(0);
    }
}

/// A tree that an agent made to be in the way of its removal, and a way out of it.
#[test]
fn an_agents_tree_is_removed_and_nothing_beside_it() {
    must_have_sandbox();
    for user in users() {
        let all = Worktrees::new(user);
        let outside = all.place.project_file("../outside/kept", "1");
        let outside = outside.parent().unwrap().to_owned();
        all.agent(
            "odd",
            &format!(
                "mkdir -p closed/a; ln -s {0} link; ln -s {0} closed/link; mkfifo fifo; chmod 0 closed/a closed
                 i=0; while test $i -lt 200; do mkdir d; cd d; i=$((i+1)); done",
                outside.display()
            ),
        );
        let path = all.path("odd");
        all.worktree("rm odd").code(2);
        all.worktree("rm --force odd").code(0);
        assert!(!path.exists() && outside.join("kept").exists());
        assert_eq!(all.host("git branch --list 'claudebox/*'"), "");
    }
}

#[test]
fn the_user_may_have_taken_a_worktree_away_by_hand() {
    must_have_sandbox();
    for user in users() {
        let all = Worktrees::new(user);
        all.agent("one", "true");
        let path = all.path("one");
        fs::remove_dir_all(&path).unwrap();
        let list = all.worktree("list").code(0).stdout;
        assert!(list.contains("(gone, its branch is left)"), "{list}");
        all.worktree("diff one").code(2).complains("claudebox worktree rm one");
        all.worktree("gc").code(0).says("one removed");
        assert_eq!(all.host("git worktree list | wc -l; git branch --list 'claudebox/*'"), "1\n");
    }
}
