//! What a private git directory can be made to look like, and what the sync makes of it. Each attack has
//! a control.

use std::fmt::Write as _;

use claudebox::git::limits::Size;
use claudebox::git::sync::Sync;
use claudebox::git::sync::rules::Why;

use crate::common::user::{User, users};
use crate::fixture::{ID, Repository};

/// Names that git takes, or that are written past git.
#[test]
fn names_that_mean_something_else_do_not_come() {
    for user in users() {
        let repository = Repository::new(user, "");
        let names =
            ["a$(touch$IFS)", "-x", "HEAD", "FETCH_HEAD", "refs/heads/main", "caf\u{e9}", "a..b"];
        let deep = format!("{}{}", "d/".repeat(90), "x".repeat(200));
        let hex = "a".repeat(40);
        let mut script = "echo x >>f1; git commit -qam x; new=$(git rev-parse HEAD)\n".to_owned();
        for name in names.into_iter().chain([deep.as_str(), hex.as_str()]) {
            writeln!(
                script,
                "echo \"$new refs/heads/{}\" >>.git/packed-refs\n",
                name.replace('$', "\\$")
            )
            .unwrap();
        }
        script += "git branch good";
        repository.agent(&script);
        let said = repository.sync().stdout;
        assert!(said.contains("branch good is new"), "{said}");
        let heads = repository.host("git for-each-ref --format='%(refname)' refs/heads").stdout;
        assert_eq!(heads, "refs/heads/good\nrefs/heads/main\nrefs/heads/side\n", "{said}");
        repository.is_sound();
    }
}

/// Files of the directory that are no files, or lead out of it.
#[test]
fn what_is_no_git_directory_ends_the_sync_and_nothing_else() {
    let attacks = [
        ("HEAD", "ln -s /etc/passwd .git/HEAD"),
        ("index", "ln -s /etc/passwd .git/index"),
        ("HEAD", "echo ref: refs/other/place >.git/HEAD"),
        ("HEAD", "mkfifo .git/HEAD"),
        ("index", "mkfifo .git/index"),
        ("packed-refs", "mkfifo .git/packed-refs"),
        ("config", "mkfifo .git/config"),
        ("config", "printf '[core]\\nrepositoryformatversion = 99\\n' >.git/config"),
        ("refs", "ln -s / .git/refs"),
    ];
    // At once: what waits for a fifo is ended after ten seconds.
    std::thread::scope(|scope| {
        for (number, (file, attack)) in attacks.into_iter().enumerate() {
            let all = users();
            let user = all[number % all.len()];
            scope.spawn(move || is_no_git_directory(user, file, attack));
        }
    });
}

fn is_no_git_directory(user: User, file: &str, attack: &str) {
    let repository = Repository::new(user, "");
    let state =
        || repository.host("git for-each-ref; git status --porcelain; cat .git/HEAD").stdout;
    repository.agent("echo x >>f1; git commit -qam x");
    let before = state();
    repository.agent(&format!("mv .git/{file} ../saved 2>/dev/null || true; {attack}"));
    let output = repository.place.claudebox(["sync", ID]).run();
    assert_eq!(output.code, 125, "{attack}: {}{}", output.stdout, output.stderr);
    assert!(output.stderr.contains("cannot read the agent's repository"), "{}", output.stderr);
    assert_eq!(before, state(), "{attack}");
    repository.is_sound();
    // Control: when it is put right, what was held up comes.
    repository.agent(&format!("rm -rf .git/{file}; mv ../saved .git/{file} 2>/dev/null || true"));
    assert!(repository.sync().stdout.contains("branch main "));
    repository.is_the_same();
}

/// Refs without end: each is a file in the user's repository.
#[test]
fn so_many_refs_come_at_once_and_not_more() {
    let repository = Repository::new(users()[0], "");
    repository.agent(
        "new=$(git commit-tree -m new HEAD^{tree}); i=0; while test $i -lt 1100; do i=$((i+1)); \
         echo \"$new refs/tags/t$i\"; done >>.git/packed-refs; git branch first",
    );
    let count = || repository.host("git tag | wc -l").stdout.trim().parse::<usize>().unwrap();
    let said = repository.sync().stdout;
    assert!(said.contains("branch first is new") && said.contains(" more; "), "{said}");
    assert_eq!(count(), 1000);
    // Control: they do come.
    repository.sync();
    assert_eq!(count(), 1101);
    repository.is_sound();
}

/// A repository that runs a program for whoever asks for its status, as a submodule: where a commit
/// names it, git on the host looks into it.
const PLANT: &str = "git init -q s; git -C s commit -q --allow-empty -m s; \
    printf '#!/bin/sh\\necho ran >>%s\\n' $PWD/../ran >s/.git/run; chmod +x s/.git/run; \
    git -C s config core.fsmonitor $PWD/s/.git/run; \
    link() { git update-index --add --cacheinfo 160000,$(git -C s rev-parse HEAD),s; }\n";

/// How the submodule is named, and what is checked out of it then.
const GITLINKS: &[(&str, &str)] = &[
    ("link; git commit -qm link", "refs/heads/main"),
    ("link", "refs/heads/main"),
    ("git checkout -q -b new; link; git commit -qm link; git checkout -q main", "refs/heads/new"),
    ("git checkout -q side; link; git commit -qm link; git checkout -q main", "refs/heads/side"),
    (
        "git checkout -q -b past; link; git commit -qm link; git rm -q --cached s; git commit -qm gone; \
         git checkout -q main",
        "refs/heads/past~1",
    ),
    (
        "git checkout -q --detach; link; git commit -qm link; git tag linked; git checkout -q main",
        "linked",
    ),
    ("git checkout -q --detach; link; git commit -qm link", "HEAD"),
    (
        "link; tree=$(git write-tree); staged=$(git commit-tree -p HEAD -m i $tree); git stash store \
         $(git commit-tree -p HEAD -p $staged -m w $tree); git reset -q --hard",
        "stash@{0}",
    ),
];

/// The user checks out everything there is, and looks.
const LOOK: &str = "git status -s >/dev/null; git diff >/dev/null; for ref in $(git for-each-ref --format='%(refname)') $ODD; do \
    git checkout -q -f --detach $ref 2>/dev/null || continue; git status -s >/dev/null; \
    git diff >/dev/null; git add -n . >/dev/null 2>&1 || true; done; git checkout -q -f main; \
    git status -s >/dev/null";

#[test]
fn a_submodule_of_the_agents_does_not_come_with_its_repository() {
    for user in users() {
        for (attack, odd) in GITLINKS {
            let repository = Repository::new(user, "");
            let ran = repository.place.root().join("ran");
            repository.agent(&format!("{PLANT}{attack}"));
            let said = repository.sync().stdout;
            assert!(
                said.contains("it brings a new submodule, s, where the agent put"),
                "{attack}\n{said}"
            );
            repository.host(&format!("ODD='{odd}'\n{LOOK}"));
            assert!(!ran.exists(), "{attack}\n{said}");
            repository.is_sound();
            // Taken away, there is nothing to be run, and it comes.
            repository.host("rm -rf s/.git");
            let said = repository.sync().stdout;
            assert!(!said.contains("it brings a new submodule"), "{attack}\n{said}");
            repository.host(&format!("ODD='{odd}'\n{LOOK}"));
            assert!(!ran.exists());
            repository.is_sound();
        }
    }
}

/// While something inside lives, a repository can come at any time.
#[test]
fn while_the_session_runs_no_new_submodule_comes() {
    for user in users() {
        let repository = Repository::new(user, "");
        repository.agent(&format!("{PLANT}link; git commit -qm link; rm -rf s/.git"));
        let lock = repository.place.home_file(".local/state/claudebox/sessions/4k7xq2ab/lock", "1");
        let lock = std::fs::File::open(lock).unwrap();
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
        let said = repository.sync().stdout;
        assert!(
            said.contains("it brings a new submodule, s, and the session still runs"),
            "{said}"
        );
        // Control: when it is over it comes.
        drop(lock);
        assert!(repository.sync().stdout.contains("branch main "));
        repository.is_sound();
    }
}

/// Control: a submodule that claudebox takes for one of the host's comes, and what it names runs.
#[test]
fn a_submodule_that_was_not_looked_for_would_run_its_program() {
    for user in users() {
        for (attack, odd) in &GITLINKS[..3] {
            let repository = Repository::new(user, "");
            let ran = repository.place.root().join("ran");
            repository.agent(&format!("{PLANT}{attack}"));
            let path = repository.session().join("git.json");
            let mut record: serde_json::Value =
                serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let mut known = record.clone();
            known["work_tree"] = repository.place.project().join("s").to_str().unwrap().into();
            record["submodules"] = [known].into_iter().collect();
            repository
                .place
                .home_file(".local/state/claudebox/sessions/4k7xq2ab/git.json", record.to_string());
            repository.sync();
            repository.host(&format!("ODD='{odd}'\n{LOOK}"));
            assert!(ran.exists(), "{attack}");
        }
    }
}

/// What git would take, and no repository should have.
#[test]
fn objects_that_could_only_deceive_are_refused_and_the_rest_comes() {
    let tree = |entry: &str| format!("tree=$({entry} | git mktree)\n");
    let blob = "$(git hash-object -w f1)";
    let attacks = [
        tree(&format!("printf '100644 blob %s\\t.git\\n' {blob}")),
        tree(&format!("printf '100644 blob %s\\t.GIT\\n' {blob}")),
        tree(&format!("printf '100644 blob %s\\tgit~1\\n' {blob}")),
        tree(
            "printf '120000 blob %s\\t.gitmodules\\n' $(printf /etc/passwd | git hash-object -w --stdin)",
        ),
        tree(
            "printf '100644 blob %s\\t.gitmodules\\n' $(printf '[submodule \"x\"]\\npath=x\\nurl=u\\n\
             update=!touch ran\\n' | git hash-object -w --stdin)",
        ),
        tree(
            "printf '100644 blob %s\\t.gitmodules\\n' $(printf '[submodule \"x\"]\\npath=x\\n\
             url=-u./payload\\n' | git hash-object -w --stdin)",
        ),
    ];
    for user in users() {
        let repository = Repository::new(user, "");
        let mut script = String::new();
        for (number, attack) in attacks.iter().enumerate() {
            script += attack;
            writeln!(
                script,
                "git update-ref refs/heads/evil{number} $(git commit-tree -m e -p HEAD $tree)"
            )
            .unwrap();
        }
        repository.agent(&format!("{script}echo x >>f1; git commit -qam good; git branch good"));
        let said = repository.sync().stdout;
        assert!(said.contains("branch good is new"), "{said}");
        for number in 0..attacks.len() {
            let held =
                format!("branch evil{number} stays as it is here: git refuses the agent's objects");
            assert!(said.contains(&held), "{number}: {said}");
            let oid = repository.agent(&format!("git rev-parse evil{number}^{{tree}}")).stdout;
            repository.host(&format!("no git cat-file -e {}", oid.trim()));
        }
        repository.is_sound();
        // Control: git itself takes them.
        let inside = repository.place.root().join("objects/0");
        let (private, inside) = (repository.private(), inside.display().to_string());
        repository.host(&format!(
            "rmdir {inside}; ln -s $PWD/.git/objects {inside}; \
             git fetch -q {} 'refs/heads/*:refs/control/*'; git cat-file -e refs/control/evil0",
            private.display()
        ));
    }
}

/// Objects of another repository, by its object directory.
#[test]
fn a_commit_of_another_repository_does_not_come() {
    for user in users() {
        let repository = Repository::new(user, "");
        let secret = repository.place.root().join("secret");
        let secret = secret.display();
        repository.host(&format!(
            "git init -q {secret}; git -C {secret} commit -q --allow-empty -m secret"
        ));
        let oid = repository.host(&format!("git -C {secret} rev-parse HEAD")).stdout;
        let oid = oid.trim();
        repository.agent(&format!(
            "echo {secret}/.git/objects >>.git/objects/info/alternates; echo /etc >>.git/objects/info/alternates\n\
             git update-ref refs/heads/stolen {oid}; echo x >>f1; git commit -qam x"
        ));
        let said = repository.sync().stdout;
        assert!(said.contains("branch main "), "{said}");
        assert!(said.contains("branch stolen stays as it is here"), "{said}");
        repository.host(&format!("no git cat-file -e {oid}"));
        repository.is_sound();
        // Control: a git outside of a box follows.
        let private = repository.private();
        repository.host(&format!(
            "git fetch -q {} refs/heads/stolen:refs/control/stolen; git cat-file -e {oid}",
            private.display()
        ));
    }
}

/// A configuration that runs a program with every command there is.
#[test]
fn what_the_agents_configuration_names_does_not_run() {
    for user in users() {
        let repository = Repository::new(user, "");
        let ran = repository.place.root().join("ran");
        repository.agent(
            "printf '#!/bin/sh\\necho ran >>%s\\nexec \"$@\"\\n' $PWD/../ran >../evil; chmod +x ../evil\n\
             echo x >>f1; git commit -qam x; echo '* filter=f diff=f' >.git/info/attributes\n\
             mkdir -p .git/hooks; for hook in post-checkout post-index-change reference-transaction pre-commit; do \
                 cp ../evil .git/hooks/$hook; done\n\
             cat >>.git/config <<END\n[core]\nfsmonitor = $PWD/../evil\n[uploadpack]\npackObjectsHook = $PWD/../evil\n\
             [filter \"f\"]\nclean = $PWD/../evil\nsmudge = $PWD/../evil\n[diff \"f\"]\ntextconv = $PWD/../evil\nEND",
        );
        repository.host("rm -f ../ran");
        assert!(repository.sync().stdout.contains("branch main "));
        repository
            .host("git status -s >/dev/null; git diff HEAD~1 >/dev/null; git checkout -q side");
        assert!(!ran.exists());
        repository.is_sound();
        // Control: as the host's own configuration it runs.
        let config = repository.private().join("config");
        repository.host(&format!("cp {} .git/config; git status -s >/dev/null", config.display()));
        assert!(ran.exists());
    }
}

/// A filter of the user's configuration, which the agent's attributes ask for: git on the host would run
/// it on the agent's files, and a sync must not.
#[test]
fn no_filter_of_the_users_runs_for_a_sync() {
    for user in users() {
        let repository = Repository::new(
            user,
            "printf '#!/bin/sh\\necho ran >>%s\\ncat\\n' $PWD/../ran >../clean; chmod +x ../clean\n\
             git config filter.a=b.clean $PWD/../clean; git config filter.a=b.required true",
        );
        let ran = repository.place.root().join("ran");
        repository.agent(
            "echo '* filter=a=b' >.gitattributes; git config --remove-section 'filter.a=b'; git add .; \
             echo x >>f1; git commit -qam x; touch f2 e/a",
        );
        repository.sync();
        assert!(!ran.exists());
        repository.is_sound();
        // Control: the user's own git runs it.
        repository.host("touch f1; git update-index -q --refresh || true");
        assert!(ran.exists());
    }
}

/// An object that is larger than what may come.
#[test]
fn an_object_that_is_too_large_leaves_nothing_behind() {
    let repository = Repository::new(User::Caller, "");
    repository.agent(
        "git checkout -q -b large; head -c 3000000 /dev/urandom >big; git add big; git commit -qm big; \
         git checkout -q main; echo x >>f1; git commit -qam small",
    );
    let directory = repository.session();
    let size = Size { file: 1_000_000, ..Size::default() };
    let sync = Sync { directory: &directory, session: ID, running: false, size };
    let told = sync.all().unwrap().unwrap();
    let held: Vec<_> = told[0].items.iter().filter_map(|item| item.why()).collect();
    assert!(matches!(held[..], [Why::Objects { .. }]), "{told:?}");
    repository.is_sound();
    repository
        .host("test $(git log --format=%s -1) = small; test $(du -s .git | cut -f1) -lt 1500");
    // Control: it comes where it may.
    assert!(repository.sync().stdout.contains("branch large is new"));
    repository.is_the_same();
}
