//! `.worktreeinclude`: a new worktree gets a copy of what the user trusts it to name, and of nothing else.

use std::fs;
use std::os::unix::fs::symlink;

use crate::common::must_have_sandbox;
use crate::common::user::users;
use crate::worktrees::Worktrees;

#[test]
fn what_is_named_and_ignored_is_copied_once_it_is_trusted() {
    must_have_sandbox();
    for user in users() {
        let all = Worktrees::new(user);
        all.host(
            "printf '.env\\n*.secret\\nbuild/\\n' >.gitignore; printf '# which\\n.env\\n/conf/*.secret\\n!conf/no.secret\\ng\\nopen\\n' >.worktreeinclude
             git add .; git commit -qm include; echo A=1 >.env; chmod 600 .env; mkdir conf build
             for name in a no; do echo $name >conf/$name.secret; done; echo b >build/b; echo other >x.secret; echo o >open",
        );
        let see = "cat .env 2>/dev/null || :; find . -name .git -prune -o -type f -print | sort";
        let without = all.agent("one", see);
        assert!(without.stderr.contains("is not trusted as it stands"), "{}", without.stderr);
        assert!(without.stderr.contains("claudebox trust"), "{}", without.stderr);
        let tracked = "./.gitignore\n./.worktreeinclude\n./f\n./g\n";
        assert_eq!(without.stdout, tracked);

        let asked = all.place.claudebox(["trust"]).run().code(2);
        assert!(asked.stdout.contains("  /conf/*.secret\n"), "{}", asked.stdout);
        all.place.claudebox(["trust", "--yes"]).run().code(0).says("Trusted as it stands now");
        let with = all.agent("two", see);
        assert!(with.stderr.contains("(2 files, 6 bytes): .env, conf/a.secret"), "{}", with.stderr);
        assert_eq!(
            with.stdout,
            "A=1\n./.env\n./.gitignore\n./.worktreeinclude\n./conf/a.secret\n./f\n./g\n"
        );
        // It is the worktree's own, and it is not work.
        all.agent("two", "echo B=2 >.env");
        assert_eq!(fs::read_to_string(all.place.project().join(".env")).unwrap(), "A=1\n");
        all.worktree("rm two").code(0);

        // Where an older commit does not ignore it, it could be committed.
        let old = all.place.claudebox([
            "run",
            "--no-monitor",
            "-w",
            "old",
            "--base",
            "main~1",
            "--",
            "sh",
            "-c",
            "ls -A",
        ]);
        let old = old.run().code(0);
        assert!(
            old.stderr.contains("not copied into it: .env: git does not ignore it"),
            "{}",
            old.stderr
        );
        assert!(!old.stdout.contains(".env") && old.stdout.contains("conf"), "{}", old.stdout);

        // Any change takes the trust back.
        all.host("echo build/ >>.worktreeinclude");
        let changed = all.agent("three", see);
        assert_eq!(changed.stdout, tracked);
        all.place.claudebox(["trust", "--yes", ".worktreeinclude"]).run().code(0);
        all.agent("four", "cat build/b").says("b\n");
        all.place
            .claudebox(["trust", ".worktreeinclude"])
            .run()
            .code(0)
            .says("is trusted as it stands");
    }
}

/// An agent that worked in the main work tree, or the author of the repository, put something in its place.
#[test]
fn a_link_is_not_followed_and_too_much_is_refused() {
    must_have_sandbox();
    for user in users() {
        let all = Worktrees::new(user);
        let secret = all.place.home_file(".ssh/id", "key");
        all.host(
            "printf '.env\\nconf/\\ncopies/\\nlarge\\n' >.gitignore; printf '.env\\nconf/\\ncopies/\\nlarge\\n' >.worktreeinclude
             git add .; git commit -qm include; mkdir conf; echo x >conf/x; mkfifo conf/fifo",
        );
        let project = all.place.project();
        symlink(&secret, project.join(".env")).unwrap();
        symlink(secret.parent().unwrap(), project.join("conf/ssh")).unwrap();
        // What is checked out is a stranger's, too: here a way out of the worktree.
        all.host("git switch -q -c away; ln -s ../../../../../.. copies; git add -f copies; git commit -qm away; git switch -q main; mkdir copies; echo y >copies/y");
        all.place.claudebox(["trust", "--yes"]).run().code(0);
        let output =
            all.agent("w", "find . -name .git -prune -o -type f -print | sort; ! grep -r key .");
        assert!(
            !output.stdout.contains(".env") && !output.stdout.contains("ssh"),
            "{}",
            output.stdout
        );
        assert!(output.stdout.contains("./conf/x\n"), "{}", output.stdout);
        assert!(
            output
                .stderr
                .contains("not copied into it: .env: it is, or is behind, a symbolic link"),
            "{}",
            output.stderr
        );
        let away = all
            .place
            .claudebox(["run", "--no-monitor", "-w", "away", "--base", "away", "--", "ls"])
            .run()
            .code(0);
        assert!(away.stderr.contains("not copied into it: copies/y"), "{}", away.stderr);
        // The control: the links lead to what they name.
        assert_eq!(fs::read(project.join(".env")).unwrap(), b"key");

        all.host("truncate -s 65M large");
        let words = ["run", "--no-monitor", "-w", "large", "--", "true"];
        all.place.claudebox(words).run().code(2).complains("64 MiB are the most");
        assert_eq!(all.host("git branch --list claudebox/large"), "");
    }
}
