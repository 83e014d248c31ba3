//! The rule table, row by row: what the agent did, what the user did meanwhile, and how the host stands
//! afterwards. Judged by `git fsck` and by `git status` on the host against inside.

use crate::common::user::{User, users};
use crate::fixture::{ID, Repository};

/// One row.
struct Row {
    /// On the host, before the session.
    before: &'static str,
    /// Inside.
    agent: &'static str,
    /// On the host, meanwhile.
    user: &'static str,
    /// Afterwards the host's HEAD, branch and status are those of inside.
    same: bool,
    /// What must be true on the host afterwards; `S` is where the session's refs are.
    then: &'static str,
    /// What the sync says, among others.
    says: &'static [&'static str],
}

const ROW: Row = Row { before: "", agent: "", user: "", same: true, then: "", says: &[] };

/// The agent alone did something.
const ALONE: &[Row] = &[
    Row { says: &["nothing new"], ..ROW },
    Row {
        agent: "echo x >>f1; git commit -qam one; echo y >>f2; git add f2; echo z >>f2; echo n >n",
        then: "test \"$(git status --porcelain)\" = 'MM f2\n?? n'; test $(git log --oneline | wc -l) = 2",
        says: &["branch main ", "what is staged inside is staged here"],
        ..ROW
    },
    Row {
        agent: "echo x >>f1; git commit -qa --amend -m other",
        then: "git show $S/backup/main@$(git rev-parse v1 | cut -c1-10) >/dev/null; \
            test $(git log --oneline | wc -l) = 1",
        says: &["branch main was rewritten", "/backup/main@"],
        ..ROW
    },
    Row {
        before: "echo x >>f1; git commit -qam second",
        agent: "git reset -q --hard HEAD~1",
        then: "test $(git for-each-ref $S/backup | wc -l) = 1",
        ..ROW
    },
    Row {
        before: "echo x >>f1; git commit -qam second",
        agent: "git reset -q --soft HEAD~1",
        then: "test \"$(git status --porcelain)\" = 'M  f1'",
        ..ROW
    },
    Row {
        before: "echo x >>f1; git commit -qam 2; git checkout -q side; echo y >e/a; git commit -qam 3",
        agent: "git rebase -q main; git checkout -q main; git merge -q --no-ff -m m side",
        ..ROW
    },
    Row {
        agent: "git checkout -q -b new; echo x >f3; git add f3; git commit -qm new",
        then: "test $(git symbolic-ref HEAD) = refs/heads/new",
        says: &["branch new is new, at ", "branch new is checked out"],
        ..ROW
    },
    Row { agent: "git checkout -q side; echo x >>f1; git commit -qam side", ..ROW },
    Row {
        agent: "git checkout -q --orphan root; git rm -rqf .; echo x >f; git add f; git commit -qm root",
        ..ROW
    },
    Row { agent: "git checkout -q --orphan root", ..ROW },
    Row { agent: "git checkout -q --detach; echo x >>f1; git commit -qam loose", ..ROW },
    Row {
        agent: "git branch -D side -q",
        then: "test $(git for-each-ref refs/heads | wc -l) = 1; git show $S/backup/side@* >/dev/null \
            || test $(git for-each-ref $S/backup | wc -l) = 1",
        says: &["branch side was deleted"],
        ..ROW
    },
    Row {
        agent: "git branch -m main trunk; echo x >>f1; git commit -qam trunk",
        then: "test $(git symbolic-ref HEAD) = refs/heads/trunk; no git rev-parse -q --verify refs/heads/main",
        says: &["branch main was deleted", "branch trunk is new"],
        ..ROW
    },
    Row {
        agent: "git tag v2; git tag -m annotated v3; git tag -d v1",
        then: "git rev-parse v1 v2 v3; test $(git cat-file -t v3) = tag",
        says: &["tag v1 stays as it is here", "tag v2 is new"],
        ..ROW
    },
    Row {
        agent: "echo x >>f1; git commit -qam x; git tag -f v1",
        then: "test $(git rev-parse v1) = $(git rev-parse HEAD~1); \
            test $(git rev-parse $S/tags/v1) = $(git rev-parse HEAD)",
        says: &["git tag -f v1 refs/claudebox/4k7xq2ab/tags/v1"],
        ..ROW
    },
    Row {
        agent: "echo x >>f1; git stash push -q -m one; echo y >>f2; git stash push -q -m 'two $(id)'",
        then: "test \"$(git stash list --format=%gs)\" = 'On main: two $(id)\nOn main: one'; \
            git stash show stash@{1} | grep -q f1",
        says: &["was added to yours"],
        ..ROW
    },
    Row {
        before: "echo x >>f1; git stash push -q -m old",
        agent: "git stash drop -q; echo y >>f2; git stash push -q -m new",
        then: "test \"$(git stash list --format=%gs)\" = 'On main: new\nOn main: old'",
        ..ROW
    },
    Row {
        agent: "git notes add -m n; echo x >>f1; git commit -qam x; git notes add -m m",
        then: "test $(git notes list | wc -l) = 2",
        says: &["notes commits is new"],
        ..ROW
    },
    Row {
        agent: "git config user.name evil; git remote add evil http://evil; git update-ref \
            refs/remotes/origin/main HEAD; git replace HEAD v1^{tree} -f 2>/dev/null || true",
        then: "no git config user.name; test -z \"$(git remote)\"; \
            test -z \"$(git for-each-ref refs/remotes refs/replace)\"",
        says: &["nothing new"],
        ..ROW
    },
    Row { before: "echo x >>f1; git add f1", agent: "git commit -qm staged-before", ..ROW },
    Row { before: "echo x >>f1; git add f1", agent: "git reset -q", ..ROW },
    Row { agent: "git rm -q --cached f1; chmod +x f2; git add f2", ..ROW },
    Row { agent: "git mv e/a e/b; git commit -qm moved; git rm -q f2", ..ROW },
    Row {
        agent: "for i in 1 2 3; do echo $i >>f1; git commit -qam $i; done; git repack -adq; \
            git gc -q --prune=now; git pack-refs --all",
        ..ROW
    },
    Row {
        agent: "for i in 1 2 3 4 5 6; do git checkout -q -b b/$i main; mkdir -p d; echo $i >d/$i; \
            git add .; git commit -qm $i; done; git checkout -q main; git merge -q b/1; \
            git cherry-pick b/2 >/dev/null; git revert --no-edit HEAD >/dev/null",
        then: "test $(git for-each-ref refs/heads/b | wc -l) = 6",
        ..ROW
    },
];

/// The user did something, too.
const BOTH: &[Row] = &[
    Row {
        agent: "echo x >>f1; git commit -qam agent",
        user: "echo y >>f2; git add f2",
        same: false,
        then: "git diff --cached --name-only | grep -qx f2; test $(git rev-parse HEAD) = $(git rev-parse v1); \
            git stash -q; git merge -q $S/heads/main; git stash pop -q; git diff --quiet HEAD -- f1",
        says: &["you have staged something meanwhile", "git stash"],
        ..ROW
    },
    Row {
        agent: "echo x >>f1; git commit -qam agent",
        user: "echo y >e/a; git add e/a; git commit -qm user",
        same: false,
        then: "test $(git log --format=%s -1) = user; git stash -q; git merge -q -m m $S/heads/main; \
            test -z \"$(git status --porcelain)\"; test $(git log --oneline | wc -l) = 4",
        says: &[
            "you and the agent have both moved it",
            "git merge refs/claudebox/4k7xq2ab/heads/main",
        ],
        ..ROW
    },
    Row {
        agent: "echo x >>f1; git commit -qam agent",
        user: "git checkout -q -b mine",
        same: false,
        then: "test $(git symbolic-ref HEAD) = refs/heads/mine; test $(git log --format=%s -1 main) = agent; \
            test \"$(git status --porcelain)\" = ' M f1'",
        ..ROW
    },
    Row {
        agent: "git checkout -q -b theirs; echo x >>f1; git commit -qam agent",
        user: "git checkout -q -b mine",
        same: false,
        then: "test $(git symbolic-ref HEAD) = refs/heads/mine; test $(git log --format=%s -1 theirs) = agent",
        says: &["you have checked out something else meanwhile"],
        ..ROW
    },
    Row {
        agent: "git branch new; git checkout -q side; echo x >>f1; git commit -qam s; git checkout -q main",
        user: "git branch -f side side~0; git branch new main; git checkout -q side; echo z >z; git add z; \
            git commit -qm user; git checkout -q main",
        same: false,
        then: "test $(git log --format=%s -1 side) = user; test $(git log --format=%s -1 $S/heads/side) = s",
        says: &["branch side stays as it is here: you and the agent have both moved it"],
        ..ROW
    },
    Row {
        agent: "git checkout -q side; echo x >>f1; git commit -qam s; git checkout -q main",
        user: "git worktree add -q ../wt side",
        same: false,
        then: "test $(git rev-parse side) = $(git rev-parse v1)",
        says: &["another worktree has it checked out"],
        ..ROW
    },
    Row {
        agent: "git checkout -q side; echo x >>f1; git commit -qam s; git checkout -q main",
        user: "git branch -qD side",
        then: "no git rev-parse -q --verify refs/heads/side; git branch side $S/heads/side",
        says: &["you deleted it, and the agent moved it", "git branch NAME refs/claudebox"],
        ..ROW
    },
    Row {
        agent: "git branch -qD side",
        user: "git branch -f side $(git commit-tree -m user -p side side^{tree})",
        then: "test $(git log --format=%s -1 side) = user",
        says: &["the agent deleted it, and you moved it"],
        ..ROW
    },
    Row {
        agent: "git merge -q side || true; git checkout -q side; echo x >f1; git commit -qam s; \
            git checkout -q main; echo y >f1; git commit -qam m; git merge side >/dev/null || true",
        same: false,
        then: "test $(git rev-parse HEAD) = $(git rev-parse v1); test $(git log --format=%s -1 $S/heads/main) = m; \
            test $(git log --format=%s -1 side) = s",
        says: &["a merge is not finished inside"],
        ..ROW
    },
    Row {
        agent: "echo x >>f1; git commit -qam agent",
        user: "git checkout -q --detach; git update-ref REVERT_HEAD HEAD; git checkout -q main; \
            git rev-parse HEAD >.git/REVERT_HEAD",
        same: false,
        then: "test $(git rev-parse HEAD) = $(git rev-parse v1); rm .git/REVERT_HEAD",
        says: &["you are in the middle of a revert"],
        ..ROW
    },
    Row {
        agent: "echo x >>f1; git commit -qam agent; git branch other",
        user: ": >.git/index.lock",
        same: false,
        then: "test $(git rev-parse HEAD) = $(git rev-parse v1); git rev-parse other; rm .git/index.lock",
        says: &["the index is locked"],
        ..ROW
    },
    Row {
        agent: "git symbolic-ref refs/heads/side refs/heads/main",
        says: &["it is a symbolic ref"],
        ..ROW
    },
    Row {
        before: "git branch Fix; git update-ref refs/remotes/origin/x HEAD",
        agent: "git branch origin/x; git branch fix; git tag side; git branch dir/a; git branch -D side -q; \
            git branch side/b",
        then: "no git rev-parse -q --verify refs/heads/origin/x; no git rev-parse -q --verify refs/heads/fix; \
            no git rev-parse -q --verify refs/tags/side; git rev-parse dir/a; git rev-parse $S/heads/side/b",
        says: &["branch fix stays as it is here: its name is in the way"],
        ..ROW
    },
];

/// Does a row, and looks.
fn does(user: User, row: &Row) {
    let repository = Repository::new(user, row.before);
    repository.agent(row.agent);
    repository.host(row.user);
    let said = repository.sync().stdout;
    for words in row.says {
        assert!(said.contains(words), "{}\nsays: {said}", row.agent);
    }
    if row.user != ": >.git/index.lock" {
        repository.is_sound();
    }
    if row.same {
        repository.is_the_same();
    }
    repository.host(&format!("S=refs/claudebox/{ID}\n{}", row.then));
    repository.is_sound();
}

/// Does them all, each for itself, as everyone.
fn do_all(rows: &[Row]) {
    let mut failed = 0;
    for user in users() {
        for row in rows {
            let done = std::panic::catch_unwind(|| does(user, row));
            failed += usize::from(done.is_err());
        }
    }
    assert_eq!(failed, 0, "rows failed, see above");
}

#[test]
fn what_the_agent_did_alone_is_on_the_host_as_it_is_inside() {
    do_all(ALONE);
}

#[test]
fn what_the_user_did_meanwhile_stays_and_is_said() {
    do_all(BOTH);
}

/// What was held comes when what held it is gone, and nothing is done twice.
#[test]
fn a_sync_goes_on_where_the_last_one_ended() {
    for user in users() {
        let repository = Repository::new(user, "");
        repository.agent("echo x >>f1; git commit -qam one");
        repository.sync();
        repository.is_the_same();
        assert!(repository.sync().stdout.contains("nothing new"));
        repository.agent("echo y >>f1; git commit -qam two; echo z >>f2; git add f2");
        repository.host("echo s >>e/a; git add e/a");
        assert!(repository.sync().stdout.contains("you have staged something"));
        repository.host("git restore --staged e/a; git checkout -q e/a");
        assert!(repository.sync().stdout.contains("branch main "));
        repository.is_the_same();
        // The user takes a part of it by hand, and the agent goes on from there.
        repository.agent("git commit -qm three; echo w >>f1; git commit -qam four");
        repository.host("git reset -q --hard HEAD");
        repository.agent("git checkout -q -f HEAD");
        repository.sync();
        repository.is_the_same();
        repository.is_sound();
    }
}

/// What was staged inside, and held because the user had staged something, is needed no more when the
/// agent takes it back.
#[test]
fn no_ref_is_left_of_what_was_staged_for_a_while() {
    for user in users() {
        let repository = Repository::new(user, "");
        let refs = || repository.host(&format!("git for-each-ref refs/claudebox/{ID}")).stdout;
        repository.agent("echo x >>f1; git add f1");
        repository.host("echo s >>e/a; git add e/a");
        assert!(repository.sync().stdout.contains("you have staged something"));
        assert!(refs().contains(&format!("refs/claudebox/{ID}/index")), "{}", refs());
        repository.agent("git restore --staged f1");
        repository.sync();
        assert_eq!(refs(), "");
        assert_eq!(repository.host("git diff --cached --name-only").stdout, "e/a\n");
        repository.is_sound();
    }
}
