//! `merge --sign` and `sync --sign`: what an agent committed is signed on the host, with a key that was never
//! inside, and git verifies it.

use crate::common::user::users;
use crate::common::{must_have, must_have_sandbox};
use crate::worktrees::Worktrees;

/// A key of ssh, and a file that says whose it is.
const KEY: &str = "
    mkdir -p ../home/.ssh; chmod 700 ../home/.ssh
    ssh-keygen -q -t ed25519 -N '' -C test -f ../home/.ssh/id
    echo \"test@example.invalid namespaces=\\\"git\\\" $(cat ../home/.ssh/id.pub)\" >../home/.ssh/allowed
    git config --global gpg.format ssh; git config --global user.signingKey $HOME/.ssh/id.pub
    git config --global gpg.ssh.allowedSignersFile $HOME/.ssh/allowed";

/// That these commits are signed and the signature is good; an agent's own is none of ours.
fn verified(all: &Worktrees, commits: &str) {
    all.host(&format!("for it in $(git rev-list {commits}); do git verify-commit $it 2>&1 | grep -q 'Good \"git\" signature for test@'; done"));
}

#[test]
fn a_merge_is_signed_on_the_host() {
    must_have_sandbox();
    must_have(&["ssh-keygen"]);
    for user in users() {
        let all = Worktrees::new(user);
        all.agent("w", "! git config user.signingkey; echo x >>f; git commit -qam one; echo y >>g; git commit -qam two");
        all.host("git branch squash; git branch rebase");
        all.worktree("merge w --sign --into squash").code(125).complains("user.signingKey");
        let before = all.host("git for-each-ref");
        all.host(KEY);
        all.worktree("merge w --squash --sign --into squash").code(0);
        all.worktree("merge w --rebase --sign --into rebase").code(0);
        all.worktree("merge w --sign").code(0);
        assert_ne!(all.host("git for-each-ref"), before);
        verified(&all, "main^..main --first-parent");
        verified(&all, "squash^..squash");
        verified(&all, "rebase~2..rebase");
        assert_eq!(
            all.host("git log --format='%s|%an' rebase -2; git status --porcelain"),
            "two|Someone\none|Someone\n"
        );
        assert_eq!(
            all.host("git rev-parse main^2 main^{tree}"),
            all.host("git rev-parse claudebox/w rebase^{tree}")
        );
        // The control: the agent's own commits are not.
        let output = all.place.command("git").args(["verify-commit", "claudebox/w"]).run();
        assert_ne!(output.code, 0);
        all.worktree("rm w").code(0);
        all.is_sound();
    }
}

/// Who signs is the user's to say, and not a repository's.
#[test]
fn a_program_of_the_repositorys_own_does_not_sign() {
    must_have_sandbox();
    for user in users() {
        let all = Worktrees::new(user);
        all.agent("w", "echo x >>f; git commit -qam one");
        all.host(KEY);
        all.host("printf '#!/bin/sh\\n: >../ran\\n' >../evil; chmod +x ../evil; git config gpg.ssh.program $PWD/../evil");
        all.worktree("merge w --sign").code(2).complains("gpg.ssh.program");
        let ran = all.place.root().join("ran");
        assert!(!ran.exists());
        all.place
            .command("sh")
            .args(["-c", "cd ..; cd project; git commit -qS --allow-empty -m x"])
            .run();
        assert!(ran.exists(), "the control");
    }
}

#[test]
fn what_a_session_committed_is_signed_when_it_is_over() {
    must_have_sandbox();
    must_have(&["ssh-keygen"]);
    for user in users() {
        let all = Worktrees::new(user);
        all.host(KEY);
        let work = "set -e; echo x >>f; git commit -qam one; git switch -q -c topic; echo y >>g
            printf 'two\\n\\nbody\\n' | git commit -qa -F -; git switch -q main; git merge -q --no-ff --no-edit topic; git tag t
            git branch stands main~1; echo w >>f; git add f; touch begun; while ! test -e go; do sleep 0.05; done; rm begun go";
        let run = all
            .place
            .claudebox(["run", "--no-monitor", "--host-files", "report", "--", "sh", "-c", work])
            .start();
        crate::worktrees::until("it begins", || all.place.project().join("begun").exists());
        all.place.claudebox(["sync", "--sign"]).run().code(2).complains("still runs");
        all.place.project_file("go", "");
        run.wait().code(0);
        let see = "git log --graph --format='%s|%an|%ad' main; git log --format=%B -1 topic; git rev-parse main^{tree} topic^{tree}; git status --porcelain";
        let before = all.host(see);
        all.place
            .claudebox(["sync", "--sign"])
            .run()
            .code(0)
            .says("branch main is signed")
            .says("3 commits signed");
        assert_eq!(all.host(see), before);
        for branch in ["main", "topic", "stands"] {
            verified(&all, &format!("{branch} ^other"));
        }
        assert_eq!(
            all.host("git rev-parse main~1 main^2~1"),
            all.host("git rev-parse stands stands")
        );
        let unsigned = all.host("git rev-parse t");
        assert_ne!(all.host("git rev-parse main"), unsigned, "no tag is moved");
        assert_ne!(
            all.place.command("git").args(["verify-commit", "t"]).run().code,
            0,
            "the control"
        );
        // Neither is it done twice, nor taken back.
        let refs = all.host("git for-each-ref refs/heads");
        all.place
            .claudebox(["sync", "--sign"])
            .run()
            .code(0)
            .says("nothing new")
            .says("branch main is signed already");
        assert_eq!(all.host("git for-each-ref refs/heads"), refs);
        all.host("git commit -qam more");
        all.place
            .claudebox(["sync", "--sign"])
            .run()
            .code(0)
            .says("branch main is not as it came, and is not signed");
        all.is_sound();
    }
}

/// With the user's keys at hand, git looks for who signs along PATH, where the agent may have put one.
#[test]
fn a_program_of_the_project_on_path_does_not_sign() {
    must_have_sandbox();
    must_have(&["ssh-keygen"]);
    for user in users() {
        let all = Worktrees::new(user);
        all.host(KEY);
        let plant = "printf '#!/bin/sh\n: >../ran\n' >ssh-keygen; chmod +x ssh-keygen
            echo x >>f; git commit -qam one";
        let run = ["run", "--no-monitor", "--host-files", "report", "--", "sh", "-c", plant];
        all.place.claudebox(run).run().code(0);
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", all.place.project().display());
        let sign = all.place.claudebox(["sync", "--sign"]).env("PATH", &path);
        sign.run().code(0).says("1 commit signed");
        let ran = all.place.root().join("ran");
        assert!(!ran.exists());
        all.place
            .command("git")
            .env("PATH", &path)
            .args(["commit", "-qS", "--allow-empty", "-m", "x"])
            .run();
        assert!(ran.exists(), "the control");
    }
}
