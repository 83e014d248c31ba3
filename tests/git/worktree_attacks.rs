//! What an agent can leave in its worktree for the user's git to run, or for the user's terminal to obey,
//! when its work is looked at, merged, staged and removed. Each attack has a control.

use std::fs;

use crate::common::must_have_sandbox;
use crate::common::pty::{Pty, contains};
use crate::common::user::users;
use crate::worktrees::Worktrees;

/// Programs of the user's own configuration that stand in the tree, as careless people have them. What is
/// in the tree the agent writes.
const CONFIGURED: &str = "
    git config --global core.hooksPath .hooks
    git config --global filter.evil.clean 'sh ./evil.sh'
    git config --global filter.evil.smudge 'sh ./evil.sh'
    git config --global diff.evil.textconv 'sh ./evil.sh <'
    git config --global diff.evil.command 'sh ./evil.sh'
    git config --global merge.evil.driver 'sh ./evil.sh'
    git config --global merge.renormalize true
    git config --global diff.submodule diff
    git config --global core.fsmonitor 'sh ./evil.sh'";

const HOOKS: &str =
    "post-checkout post-merge pre-merge-commit prepare-commit-msg commit-msg post-commit
    reference-transaction post-index-change post-rewrite pre-rebase pre-auto-gc update";

/// The agent's part: a program, hooks, attributes that name what is configured.
fn planted(ran: &str) -> String {
    format!(
        "git config --unset-all filter.evil.required || :
         printf '#!/bin/sh\\n: >{ran}\\ncat \"$@\"\\n' >evil.sh; mkdir .hooks
         for hook in {hooks}; do cp evil.sh .hooks/$hook; chmod +x .hooks/$hook; done
         hooks=$(git rev-parse --git-dir)/hooks; mkdir -p $hooks; cp .hooks/* $hooks/
         echo x >>f; git -c core.hooksPath=/dev/null add .; git -c core.hooksPath=/dev/null commit -q -m planted
         echo '* filter=evil diff=evil merge=evil' >.gitattributes
         git -c core.hooksPath=/dev/null add .gitattributes; git -c core.hooksPath=/dev/null commit -q -m attributes
         echo y >>f; echo z >new",
        hooks = HOOKS.replace('\n', " "),
    )
}

#[test]
fn nothing_that_an_agent_planted_is_run() {
    must_have_sandbox();
    for user in users() {
        let all = Worktrees::new(user);
        let ran = all.place.root().join("ran");
        let shown = ran.display().to_string();
        all.host(CONFIGURED);
        all.agent("w", &planted(&shown));
        let silent = |what: &str| assert!(!ran.exists(), "{what}");
        silent("the session");
        let path = all.path("w");
        for words in ["list", "diff w", "diff w --stat -p", "diff w --cc", "gc", "rm w"] {
            let output = all.worktree(words);
            assert!(output.code == 0 || words == "rm w", "{words}: {output:?}");
            silent(words);
        }
        let said = all.worktree("diff w").code(0).stdout;
        assert!(said.contains("+z") && said.contains("+* filter=evil"), "{said}");
        // What a filter would write is not written without it.
        for words in ["merge w", "merge w --squash", "apply w"] {
            all.worktree(words).code(2).complains("by the filter evil");
            silent(words);
        }
        assert_eq!(
            all.host("git -c core.fsmonitor=false -c core.hooksPath=/dev/null status --porcelain"),
            ""
        );
        // A branch that is not checked out moves without its files.
        all.host("git -c core.hooksPath=/dev/null branch one; git -c core.hooksPath=/dev/null branch two");
        for words in
            ["merge w --into other", "merge w --squash --into one", "merge w --rebase --into two"]
        {
            all.worktree(words).code(0);
            silent(words);
        }

        // The control: the user's own git runs them, in each of these ways.
        let by_hand = |script: &str| {
            let _ = fs::remove_file(&ran);
            let script = format!("{script} >/dev/null 2>&1 || :");
            all.place.command("sh").args(["-c", &script]).run();
            assert!(ran.exists(), "{script}");
        };
        let there = path.display();
        by_hand(&format!(
            "git -C {there} -c core.fsmonitor=false -c core.hooksPath=/dev/null diff"
        ));
        by_hand(&format!("git -C {there} -c core.hooksPath=/dev/null status"));
        by_hand(&format!("cd {there}; git -c core.fsmonitor=false checkout -q ."));
        by_hand(
            "git -c core.fsmonitor=false -c core.hooksPath=/dev/null merge --no-edit claudebox/w",
        );
        let _ = fs::remove_file(&ran);
        all.worktree("rm --force w").code(0);
        silent("rm --force w");
        assert!(!path.exists());
    }
}

/// What comes with a merge, and is executed by another name than the table's: hooks that the configuration
/// has elsewhere, and what links lead to. It is written past the read-only file, into a commit.
#[test]
fn what_the_host_executes_by_another_name_is_said() {
    must_have_sandbox();
    for user in users() {
        let of_files: &[&str] = &["tools/hooks", "conf/envrc", "build/hooks"];
        for (command, marks) in [("merge w", of_files), ("merge v", &[]), ("merge l", &["hk"])] {
            let all = Worktrees::new(user);
            all.host(
                "mkdir -p tools/hooks conf; echo : >tools/hooks/pre-commit; echo : >conf/envrc
                 ln -s conf/envrc .envrc; ln -s build/hooks .husky; ln -s tools/hooks hk; git add .
                 git commit -qm links; git config core.hooksPath hk",
            );
            let evil = "blob=$(echo evil | git hash-object -w --stdin)
                for path in tools/hooks/pre-commit conf/envrc build/hooks/pre-push; do
                    git update-index --add --cacheinfo 100755,$blob,$path
                done
                git -c core.hooksPath=/dev/null commit -qm evil";
            all.agent("w", evil);
            all.agent("v", "echo x >plain; git add plain; git commit -qm plain");
            // Hooks are elsewhere then.
            let turned = "link=$(printf elsewhere | git hash-object -w --stdin)
                git update-index --cacheinfo 120000,$link,hk
                git -c core.hooksPath=/dev/null commit -qm link";
            all.agent("l", turned);
            let said = all.worktree(command).code(0).stderr;
            for path in ["tools/hooks", "conf/envrc", "build/hooks", "hk"] {
                let line = format!("executed without being asked for: {path}");
                assert_eq!(
                    said.contains(&line),
                    marks.contains(&path),
                    "{command}, {path}: {said}"
                );
            }
        }
    }
}

/// The user's own attributes name a driver that stands in the tree; the agent has written that.
#[test]
fn a_merge_driver_in_the_tree_is_a_conflict() {
    must_have_sandbox();
    for user in users() {
        let all = Worktrees::new(user);
        let ran = all.place.root().join("ran");
        all.host(
            "git config --global merge.tool.driver 'sh ./tool.sh %A'; echo 'f merge=tool' >.gitattributes; echo : >tool.sh
             git add .; git commit -qm attributes",
        );
        // What stands there is read-only inside, in the work tree and not in what is committed.
        all.agent(
            "w",
            &format!(
                "sed -i 's/5/five/' f; git add f; blob=$(echo ': >{}' | git hash-object -w --stdin)
                 git update-index --cacheinfo 100644,$blob,tool.sh; git commit -qm five",
                ran.display()
            ),
        );
        all.host("sed -i 's/1/one/' f; git commit -qam one");
        let before = all.state();
        for words in
            ["merge w", "merge w --squash", "merge w --rebase", "merge w --into other", "apply w"]
        {
            let output = all.worktree(words);
            if words.contains("other") {
                // There nothing has the attribute yet.
                assert_eq!(output.code, 0, "{output:?}");
            } else {
                assert!(
                    output.code == 2 && output.stderr.contains(": f; nothing has changed"),
                    "{output:?}"
                );
            }
            assert!(!ran.exists(), "{words}");
        }
        assert_eq!(all.state(), before);
        all.host("git checkout -q claudebox/w -- tool.sh; git commit -qm tool; git merge -q --no-edit claudebox/w || :");
        assert!(ran.exists(), "the control");
    }
}

/// Where git is shared, an agent can write below `.git/worktrees`: a git directory with another
/// configuration behind it.
#[test]
fn a_worktree_of_the_agents_own_making_is_none() {
    must_have_sandbox();
    for user in users() {
        let all = Worktrees::new(user);
        let ran = all.place.root().join("ran");
        all.agent("w", "echo x >x");
        let path = all.path("w");
        all.host(&format!(
            "cp -r .git ../evil; git --git-dir ../evil config core.fsmonitor 'echo >{}; false'; cp -r .git/worktrees/w .git/worktrees/evil
             echo $PWD/../evil >.git/worktrees/evil/commondir; rm -r .git/worktrees/w",
            ran.display()
        ));
        let list = all.worktree("list").code(0).stdout;
        assert!(list.contains("? changed"), "{list}");
        for words in ["diff w", "apply w", "rm w"] {
            all.worktree(words).code(2);
        }
        all.worktree("gc").code(0).says("w stays: git does not know what stands there");
        assert!(!ran.exists() && path.join("x").exists());
        // The control.
        all.host(&format!(
            "git --git-dir .git/worktrees/evil --work-tree {} status >/dev/null 2>&1 || :",
            path.display()
        ));
        assert!(ran.exists());
    }
}

/// A commit that brings a submodule, and a repository of another agent's where it belongs.
#[test]
fn a_submodule_is_not_merged_onto_a_repository_that_stands_there() {
    must_have_sandbox();
    for user in users() {
        let all = Worktrees::new(user);
        let ran = all.place.root().join("ran");
        all.agent("w", "git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),sub; git commit -qm sub");
        all.host(&format!(
            "git init -q sub; git -C sub -c user.name=a -c user.email=a commit -q --allow-empty -m a
             git -C sub config core.fsmonitor 'echo >{}; false'; echo sub/ >>.git/info/exclude",
            ran.display()
        ));
        for words in ["merge w", "merge w --squash --into other", "apply w"] {
            let refused = all.worktree(words).code(2);
            assert!(refused.stderr.contains("sub would be a new submodule"), "{}", refused.stderr);
        }
        assert!(!ran.exists());
        // The control.
        all.host("git merge -q claudebox/w; git status >/dev/null");
        assert!(ran.exists());
        all.host("git reset -q --hard HEAD~; rm -rf sub");
        all.worktree("merge w").code(0);
        assert_eq!(all.host("git ls-files sub; git status --porcelain"), "sub\n");
    }
}

/// Names of files and branches, and what is in a file, reach a terminal as text.
#[test]
fn no_escape_sequence_of_an_agents_reaches_the_terminal() {
    must_have_sandbox();
    for user in users() {
        let all = Worktrees::new(user);
        all.host("git config --global core.quotePath false");
        all.agent(
            "w",
            r#"evil=$(printf '\033]0;owned\007\033[31mred\302\2332J')
               echo "$evil" >>f; echo x >"$evil"; mkdir "$evil.d"; echo x >"$evil.d/.envrc"; git add .; git commit -qm "$evil"
               echo y >"$evil.new"; git init -q "$evil.own""#,
        );
        let see = |words: &str| {
            let program = all.place.executable().to_str().unwrap().to_owned();
            let command = [program.as_str(), "worktree"].into_iter().chain(words.split(' '));
            let mut pty = Pty::open(&all.place, command);
            pty.wait();
            // What was printed last may still be on its way.
            std::thread::sleep(std::time::Duration::from_millis(200));
            pty.bytes()
        };
        for words in [
            "list",
            "diff w",
            "diff w --stat",
            "diff w --color=always --name-status",
            "rm w",
            "apply w",
            "merge w",
        ] {
            let bytes = see(words);
            assert!(
                !contains(&bytes, b"\x1b]0;owned") && !contains(&bytes, b"\x1b[31mred"),
                "{words}: {}",
                bytes.escape_ascii()
            );
            assert!(!contains(&bytes, b"\xc2\x9b2J"), "{words}: {}", bytes.escape_ascii());
            if !matches!(words, "list" | "rm w" | "merge w") {
                // Of text, and of a name as one would type it.
                let shown = contains(&bytes, br"\x1b]0;owned") || contains(&bytes, br"\e]0;owned");
                assert!(shown, "{words}: {}", bytes.escape_ascii());
            }
        }
        // The control: git itself prints what is in a file.
        let mut git = Pty::open(&all.place, ["git", "--no-pager", "diff", "--cached"]);
        git.wait();
        git.wait_for("\x1b]0;owned");
    }
}
