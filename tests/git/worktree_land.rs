//! `claudebox worktree diff`, `merge` and `apply`: what an agent did reaches the user's branch as was asked
//! for, and where it cannot, nothing of the user's has changed.

use std::fs;

use crate::common::must_have_sandbox;
use crate::common::place::Place;
use crate::common::run::Output;
use crate::common::user::users;
use crate::worktrees::{Worktrees, until};

const LOG: &str = "git log --graph --format=%s main | sed 's/ *$//'";

/// The lines to type in `docs/git.md`, as they stand there.
#[test]
fn the_documented_way_from_a_worktree_to_a_merge() {
    must_have_sandbox();
    let page = include_str!("../../docs/git.md");
    let (_, rest) = page.split_once("<!-- worktree: begin -->\n```sh\n").unwrap();
    let (lines, _) = rest.split_once("```\n<!-- worktree: end -->").unwrap();
    let commands: Vec<&str> = lines.lines().filter(|line| line.starts_with("claudebox ")).collect();
    for word in ["run -w", "list", "diff", "merge", "rm"] {
        assert!(commands.iter().any(|line| line.contains(word)), "{word}: {commands:?}");
    }
    for user in users() {
        let all = Worktrees::new(user);
        let directory = all.place.executable().parent().unwrap().display().to_string();
        let script = format!("set -ex\nPATH={directory}:$PATH\n{lines}");
        let output = all.place.command("sh").args(["-c", &script]).run().code(0);
        assert!(output.stdout.contains("+fixed"), "{}", output.stdout);
        assert_eq!(
            all.host("git log -1 --format=%s; cat README; git branch --list 'claudebox/*'"),
            "Fix it\nfixed\n"
        );
        all.is_sound();
    }
}

fn says(output: &Output, text: &str) {
    assert!(output.stdout.contains(text), "no {text:?} in {output:#?}");
}

#[test]
fn a_merge_is_what_was_asked_for() {
    must_have_sandbox();
    for user in users() {
        let all = Worktrees::new(user);
        // The branch stands still: it moves forward.
        all.agent("forward", "echo new >new; git add new; git commit -qm new");
        says(&all.worktree("merge forward").code(0), "1 commit of claudebox/forward, 1 file");
        assert_eq!(
            all.host(&format!("{LOG}; git status --porcelain; cat new")),
            "* new\n* base\nnew\n"
        );
        all.worktree("merge forward")
            .code(0)
            .says("nothing to merge: main has every commit of claudebox/forward already");
        all.worktree("rm forward").code(0);

        // It moved: a merge commit, a single one, the same ones anew.
        all.agent("two", "sed -i 's/5/five/' f; git commit -qam five; sed -i 's/4/four/' f; git commit -qam four; echo left >left");
        all.host("sed -i 's/1/one/' f; git commit -qam one; git branch squash; git branch rebase; echo mine >untracked");
        let merged = all.worktree("merge two").code(0);
        says(&merged, "2 commits of claudebox/two, 1 file");
        assert!(merged.stderr.contains("not in it: 1 file not committed"), "{}", merged.stderr);
        assert_eq!(
            all.host(&format!(
                "{LOG} | head -1; git log --format=%an -1; cat f; git status --porcelain"
            )),
            "*   Merge branch 'claudebox/two' into main\nTest\none\n2\n3\nfour\nfive\n?? untracked\n"
        );
        let back =
            merged.stderr.lines().find_map(|line| line.split('`').nth(1)).unwrap().to_owned();
        all.host(&back);
        assert_eq!(
            all.host("git log -1 --format=%s; git status --porcelain"),
            "one\n?? untracked\n"
        );

        let before = all.state();
        all.worktree("merge two --squash --into squash").code(0);
        all.worktree("merge two --rebase --into rebase").code(0);
        assert_eq!(all.state(), before, "what is checked out");
        assert_eq!(
            all.host("git log --format=%B -1 squash; git log --format=%s squash | wc -l; git show squash:f"),
            "claudebox/two in one commit\n\n* five\n* four\n\n4\none\n2\n3\nfour\nfive\n"
        );
        assert_eq!(
            all.host("git log --format='%s %an' rebase -2; git show rebase:f | tail -1"),
            "four Someone\nfive Someone\nfive\n"
        );
        // What went as other commits is not held for it; what is not committed is.
        all.worktree("rm two").code(2).complains("two stays").complains("1 file not committed");
        fs::remove_file(all.path("two").join("left")).unwrap();
        all.worktree("rm two").code(0);
        all.is_sound();
    }
}

#[test]
fn where_a_merge_cannot_be_nothing_has_changed() {
    must_have_sandbox();
    for user in users() {
        let all = Worktrees::new(user);
        all.agent(
            "w",
            "sed -i 's/1/theirs/' f; git commit -qam theirs; echo agents >x.secret; git add -f x.secret; mkdir d; echo d >d/e
             git add d; git commit -qm files",
        );
        let refused = |words: &str, said: &str| {
            let before = all.state();
            let output = all.worktree(words).code(2);
            assert!(output.stderr.contains(said), "{words}: {}", output.stderr);
            assert_eq!(all.state(), before, "{words}");
        };
        // The user's own file, which git ignores: git itself would overwrite it.
        all.host("echo mine >x.secret");
        for words in ["merge w", "apply w", "merge w --squash"] {
            refused(words, "x.secret would be overwritten");
        }
        all.host("git branch by-hand; git worktree add -q ../hand by-hand; cd ../hand; echo mine >x.secret; git merge -q claudebox/w");
        assert_eq!(
            fs::read(all.place.root().join("hand/x.secret")).unwrap(),
            b"agents\n",
            "the control"
        );
        all.host("git worktree remove --force ../hand; git branch -D by-hand; mv x.secret ../kept; echo f >d");
        for words in ["merge w", "apply w"] {
            refused(words, "d would be overwritten");
        }
        all.host("rm d; mkdir -p d; echo mine >d/e");
        refused("apply w", "d/e would be overwritten");
        all.host("rm -r d; echo dirty >>g");
        refused("merge w", "has changes that are not committed: g");
        all.host("git checkout -q g; echo dirty >>f; git add f");
        refused("merge w", "has changes that are not committed: f");
        refused("apply w", "nothing has changed");
        all.host("git reset -q --hard");

        all.host("sed -i 's/1/ours/' f; git commit -qam ours");
        for words in ["merge w", "merge w --squash", "merge w --rebase", "apply w"] {
            refused(words, "conflict");
            let said = all.worktree(words).code(2).stderr;
            assert!(
                said.contains(": f; nothing has changed") && said.contains("git merge"),
                "{said}"
            );
        }
        refused("merge w --into nothing", "there is no branch nothing");
        refused("merge w --into claudebox/w", "own branch");
        all.host("git worktree add -q ../else -b elsewhere");
        refused("merge w --into elsewhere", "another worktree has elsewhere checked out");
        all.host("git checkout -q --detach");
        refused("merge w", "no branch is checked out");
        all.host("git switch -q -c later HEAD~; git merge -q --no-commit --no-ff claudebox/w");
        refused("merge w", "in the middle of a merge");
        all.is_sound();
    }
}

#[test]
fn apply_stages_beside_what_the_user_has() {
    must_have_sandbox();
    for user in users() {
        let all = Worktrees::new(user);
        all.agent("w", "sed -i 's/5/five/' f; git commit -qam five; sed -i 's/4/four/' f; echo n >n; rm g; git init -q own");
        all.host("sed -i 's/1/one/' f; git commit -qam one; echo u >u; git add u; echo v >v");
        let done = all.worktree("apply w").code(0);
        says(&done, "3 files staged: f, g, n");
        assert!(
            done.stderr.contains("left out, being repositories of their own: own/"),
            "{}",
            done.stderr
        );
        assert_eq!(
            all.host("git status --porcelain; git log -1 --format=%s; cat f"),
            "M  f\nD  g\nA  n\nA  u\n?? v\none\none\n2\n3\nfour\nfive\n"
        );
        says(&all.worktree("apply w").code(0), "3 files staged: f, g, n");
        all.host("git commit -qm all");
        says(&all.worktree("apply w").code(0), "nothing to stage");
        // The repository in it is nowhere else.
        all.worktree("rm w").code(2);
        fs::remove_dir_all(all.path("w").join("own")).unwrap();
        all.worktree("rm w").code(0);
        all.is_sound();
    }
}

#[test]
fn a_difference_is_gits_own_and_takes_its_options() {
    must_have_sandbox();
    for user in users() {
        let all = Worktrees::new(user);
        all.agent("w", "echo x >>f; git commit -qam f; echo y >>g; echo n >n; echo s >s.secret");
        all.host("echo z >>g; git commit -qam g");
        let diff = |words: &str| all.worktree(&format!("diff w {words}"));
        assert_eq!(diff("--name-only").code(0).stdout, "f\ng\nn\n");
        assert_eq!(diff("--name-only -- f n").code(0).stdout, "f\nn\n");
        assert_eq!(diff("-- g").code(0).stdout.lines().last(), Some("+y"));
        assert_eq!(diff("--exit-code --quiet").code(1).stdout, "");
        diff("--no-such").code(2).complains("--no-such");
        diff("--textconv").code(2).complains("no program runs");
        let said = diff("--stat").code(0);
        assert!(said.stderr.contains("1 commit since main at"), "{}", said.stderr);
        assert!(said.stderr.contains("2 files not committed"), "{}", said.stderr);
        // It is a patch.
        all.place
            .command("sh")
            .args(["-c", "git reset -q --hard HEAD~; git apply --index"])
            .input(diff("").code(0).stdout)
            .run()
            .code(0);
        assert_eq!(all.host("git status --porcelain"), "M  f\nM  g\nA  n\n");
        // From the worktree itself, too.
        let here = all.place.claudebox(["worktree", "list"]).directory(all.path("w")).run().code(0);
        assert!(here.stdout.contains("+1"), "{}", here.stdout);
    }
}

/// Several agents in several worktrees of one repository at a time, and one in the main work tree.
#[test]
fn two_agents_work_on_one_repository_at_a_time() {
    must_have_sandbox();
    for user in users() {
        let all = Worktrees::new(user);
        let work = |file: &str| {
            format!(
                "sed -i 's/$/!/' {file}; git commit -qam {file}; touch begun; while ! test -e go; do sleep 0.05; done
                 echo more >>{file}; git commit -qam more-{file}"
            )
        };
        let runs = [("one", "f"), ("two", "g")]
            .map(|(name, file)| (name, all.session(name, &work(file)).start()));
        let ready = |list: &str| ["one", "two"].iter().all(|name| list.contains(name));
        until("both begin", || {
            ready(&all.worktree("list").code(0).stdout)
                && ["one", "two"].iter().all(|name| all.path(name).join("begun").exists())
        });
        // What each has committed is seen while both run.
        let imported = |name: &str, file: &str| {
            all.worktree("list --json").code(0).stdout.lines().any(|line| {
                line.contains(&format!("\"name\":\"{name}\"")) && line.contains("\"ahead\":1")
            }) && all
                .worktree(&format!("diff {name} --name-only -- {file}"))
                .code(0)
                .stdout
                .contains(file)
        };
        until("both are seen", || imported("one", "f") && imported("two", "g"));
        let before = all.state();
        all.place.claudebox(["run", "--no-monitor", "--", "true"]).run().code(0);
        for (name, run) in runs {
            fs::write(all.path(name).join("go"), "").unwrap();
            run.wait().code(0);
        }
        assert_eq!(all.state(), before, "the main work tree");
        for name in ["one", "two"] {
            fs::remove_file(all.path(name).join("begun")).unwrap();
            fs::remove_file(all.path(name).join("go")).unwrap();
            says(&all.worktree(&format!("merge {name}")).code(0), "2 commits of");
        }
        assert_eq!(all.host("tail -n1 f; tail -n1 g; git status --porcelain"), "more\nmore\n");
        all.worktree("gc").code(0).says("one removed").says("two removed");
        all.is_sound();
    }
}

/// Files change in the main work tree only where no agent works in it: it could put a link in the way.
#[test]
fn a_session_in_the_main_work_tree_keeps_its_files() {
    must_have_sandbox();
    for user in users() {
        let all = Worktrees::new(user);
        all.agent("w", "echo x >>f; git commit -qam x");
        let run = begun(&all.place);
        for words in ["merge w", "apply w"] {
            let refused = all.worktree(words);
            assert!(
                refused.code == 125 && refused.stderr.contains("already running"),
                "{refused:?}"
            );
        }
        all.worktree("merge w --into other").code(0);
        fs::write(all.place.project().join("go"), "").unwrap();
        run.wait().code(0);
        all.host("rm begun go");
        all.worktree("merge w").code(0);
    }
}

fn begun(place: &Place) -> crate::common::run::Started {
    let wait = "touch begun; while ! test -e go; do sleep 0.05; done";
    let run = place.claudebox(["run", "--no-monitor", "--", "sh", "-c", wait]).start();
    until("it begins", || place.project().join("begun").exists());
    run
}
