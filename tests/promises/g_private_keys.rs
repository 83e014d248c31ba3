//! G: every key of a configuration of git that names a program, an address or another place, written by
//! the agent into its private git directory in each of the ways in which git would read it, with
//! branches that ask for it; and submodules that a sparse index hides. Judged by the host, which uses
//! all of git on all that came back. The control is the same on a repository that the agent can write.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::place::Place;
use crate::common::{must_have, must_have_sandbox, user::users};
use crate::g_private::program;
use crate::script;

/// Attacks by name. `$X` is a program that leaves `$M/NAME` where the host executes it, `$C` the file of
/// the configuration.
const KEYS: [(&str, &str); 19] = [
    ("alias", r"printf '[alias]\n\tst = !%s\n' $X >>$C"),
    ("pager", r"printf '[core]\n\tpager = %s\n' $X >>$C"),
    ("pager-log", r"printf '[pager]\n\tlog = %s\n' $X >>$C"),
    ("editor", r"printf '[core]\n\teditor = %s\n' $X >>$C"),
    ("sequence-editor", r"printf '[sequence]\n\teditor = %s\n' $X >>$C"),
    ("credential-helper", r"printf '[credential]\n\thelper = %s\n' $X >>$C"),
    ("credential-url", r#"printf '[credential "https://h.invalid"]\n\thelper = "!%s"\n' $X >>$C"#),
    ("askpass", r"printf '[core]\n\taskPass = %s\n' $X >>$C"),
    (
        "gpg",
        r#"printf '[gpg]\n\tprogram = %s\n' $X >>$C; s='gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----'
        git update-ref refs/heads/signed $(git cat-file commit HEAD | sed "/^committer/a $s" | git hash-object -t commit -w --stdin)"#,
    ),
    (
        "gpg-ssh",
        r#"printf '[gpg "ssh"]\n\tprogram = %s\n\tallowedSignersFile = /dev/null\n' $X >>$C
        s='gpgsig -----BEGIN SSH SIGNATURE-----\n x\n -----END SSH SIGNATURE-----'
        git update-ref refs/heads/signed-ssh $(git cat-file commit HEAD | sed "/^committer/a $s" | git hash-object -t commit -w --stdin)"#,
    ),
    (
        "git-proxy",
        r#"printf '[core]\n\tgitProxy = %s\n[remote "proxied"]\n\turl = git://h.invalid/x\n' $X >>$C"#,
    ),
    (
        "instead-of",
        r#"printf '[protocol "ext"]\n\tallow = always\n[url "ext::%s "]\n\tinsteadOf = https://h.invalid/\n' $X >>$C
        printf '[remote "instead"]\n\turl = https://h.invalid/x\n' >>$C"#,
    ),
    ("upload-pack", r#"printf '[remote "up"]\n\turl = .\n\tuploadpack = %s\n' $X >>$C"#),
    ("receive-pack", r#"printf '[remote "down"]\n\turl = .\n\treceivepack = %s\n' $X >>$C"#),
    ("submodule-update", r#"printf '[submodule "a/sub"]\n\tupdate = "!%s"\n' $X >>$C"#),
    (
        "merge-driver",
        r#"echo 'm merge=e' >.gitattributes; echo 1 >m; git add .gitattributes m; git commit -qm merge
        git checkout -q -b merging; echo 2 >m; git commit -qam theirs; git checkout -q main; echo 3 >m
        git commit -qam ours; printf '[merge "e"]\n\tdriver = %s\n' $X >>$C"#,
    ),
    (
        "filter-process",
        r#"git checkout -q -b filtered; echo '*.f filter=p' >.gitattributes; echo 1 >x.f
        git add .gitattributes x.f; git commit -qm filtered; git checkout -q main
        printf '[filter "p"]\n\tprocess = %s\n' $X >>$C"#,
    ),
    (
        "diff-command",
        r#"git checkout -q -b differing; echo '*.d diff=e' >.gitattributes; echo 1 >x.d; git add .gitattributes x.d
        git commit -qm one; echo 2 >x.d; git commit -qam two; git checkout -q main
        printf '[diff "e"]\n\tcommand = %s\n' $X >>$C"#,
    ),
    (
        "include-if",
        r#"printf '[core]\n\tfsmonitor = %s\n' $X >"$(dirname $C)/planted"
        printf '[includeIf "onbranch:main"]\n\tpath = planted\n' >>$C"#,
    ),
];

/// Where a git directory's configuration is read from.
struct Way {
    /// What is done first.
    first: &'static str,
    /// The file.
    file: &'static str,
    /// What is done last.
    last: &'static str,
    /// The agent's branches can be read then.
    comes: bool,
    /// What git does not come to by it.
    except: &'static [&'static str],
}

const WAYS: [Way; 3] = [
    Way { first: "", file: ".git/config", last: "", comes: true, except: &[] },
    Way {
        first: "git config extensions.worktreeConfig true",
        file: ".git/config.worktree",
        last: "",
        comes: true,
        except: &["alias", "pager", "pager-log"],
    },
    Way {
        first: "cp .git/config kept",
        file: ".git/config",
        last: "cp -r .git com; mv kept .git/config; echo ../com >.git/commondir",
        comes: false,
        // The branch counts as checked out elsewhere, so nothing is merged into it.
        except: &["merge-driver"],
    },
];

/// What people, prompts and editors do.
const HOST: &str = r#"PATH=/usr/local/bin:/usr/bin:/bin; export EDITOR=false GIT_TERMINAL_PROMPT=0; exec </dev/null
    . "$(git --exec-path)/git-sh-prompt"
    GIT_PS1_SHOWDIRTYSTATE=1; GIT_PS1_SHOWUNTRACKEDFILES=1; GIT_PS1_SHOWUPSTREAM=auto; GIT_PS1_SHOWSTASHSTATE=1
    __git_ps1; echo changed >>f; git st; git status; git diff; git diff --cached; git log -p --all
    git log --show-signature --all; script -qec 'git log -1' /dev/null; script -qec 'git diff HEAD~1' /dev/null
    printf 'protocol=https\nhost=h.invalid\n\n' | git credential fill
    git fetch --all; git fetch up; git push down HEAD:refs/heads/pushed; git remote update; git commit --allow-empty
    for ref in $(git for-each-ref --format='%(refname)'); do
        git checkout -q -f --detach $ref; git status; git log -p --ext-diff -2; git diff --ext-diff HEAD~1
        git submodule status; git submodule update --init; __git_ps1
    done
    git checkout -q -f main; git merge --no-edit merging; git merge --abort; git rebase -i HEAD~1; git stash; git stash pop
    git gc -q; git maintenance run; git fsck; git status; true"#;

/// A directory that what is executed leaves its marks in; the sandbox does not show it.
fn marks(place: &Place) -> PathBuf {
    let marks = place.root().join("marks");
    fs::create_dir(&marks).unwrap();
    place.user().own(&marks);
    marks
}

fn marked(marks: &Path) -> Vec<String> {
    let names = fs::read_dir(marks).unwrap();
    let mut names: Vec<String> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A project whose submodule is at another commit on another branch.
fn prepare(place: &Place) {
    let work = "set -e; g() { git -c protocol.file.allow=always \"$@\"; }
        git config user.name Someone; git config user.email someone@example.invalid
        git init -q --initial-branch=main ../origin; cd ../origin; git commit -q --allow-empty -m one
        git commit -q --allow-empty -m two; cd ../project; echo 1 >f; git add f; git commit -qm one
        g submodule --quiet add ../origin a/sub; git commit -qm two; git branch newer
        git -C a/sub checkout -q HEAD~1; git commit -qam three; git branch older
        git -C a/sub checkout -q main; git commit -qam four";
    place.command("sh").args(["-c", work]).run().code(0);
}

/// All attacks in one way of writing them.
fn attack(place: &Place, marks: &Path, way: &Way) -> String {
    let line = |(name, attack): &(&str, &str)| {
        let program = program(place, name, marks);
        format!("( X='{}'; {attack}\n) >/dev/null 2>&1\n", program.display())
    };
    let lines: String = KEYS.iter().map(line).collect();
    format!("C={}; {}\n{lines}{}\ntrue", way.file, way.first, way.last)
}

fn host(place: &Place) -> String {
    place.command("bash").args(["-c", HOST]).run().stdout
}

#[test]
fn promise_g_no_key_that_the_agent_writes_is_obeyed_by_the_host() {
    must_have_sandbox();
    must_have(&["git", "bash", "script"]);
    let none: [String; 0] = [];
    for user in users() {
        for way in &WAYS {
            let place = Place::new(user);
            prepare(&place);
            let marks = marks(&place);
            let text = attack(&place, &marks, way);
            let options = ["--git", "private", "--host-files", "report"];
            script(&place, &options, &text).run().code(0);
            let came = place.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads"]);
            host(&place);
            assert_eq!(marked(&marks), none, "{}", way.last);
            // Where the directory can be read at all, its branches came, and were checked out.
            let expected = [
                "differing",
                "filtered",
                "main",
                "merging",
                "newer",
                "older",
                "signed",
                "signed-ssh",
            ];
            let of_host = ["main", "newer", "older"];
            let expected = if way.comes { &expected[..] } else { &of_host };
            assert_eq!(came.lines().collect::<Vec<_>>(), expected, "{}", way.file);
        }
    }

    // Control: written to a repository of the host's each of them is obeyed.
    for way in &WAYS {
        let place = Place::new(users()[0]);
        prepare(&place);
        let marks = marks(&place);
        place.command("sh").args(["-c", &attack(&place, &marks, way)]).run();
        // Those that git executed for the attacker do not count.
        for name in marked(&marks) {
            fs::remove_file(marks.join(name)).unwrap();
        }
        let said = host(&place);
        let obeyed = |name: &&str| !way.except.contains(name);
        let mut expected: Vec<&str> = KEYS.iter().map(|(name, _)| *name).filter(obeyed).collect();
        expected.sort_unstable();
        assert_eq!(marked(&marks), expected, "{}{}\n{said}", way.file, way.last);
    }
}

/// With `core.worktree` a checkout writes somewhere else.
#[test]
fn promise_g_no_work_tree_that_the_agent_names_is_written_to_by_the_host() {
    must_have_sandbox();
    let ready = |user| {
        let place = Place::new(user);
        prepare(&place);
        let marks = marks(&place);
        let text =
            format!("printf '[core]\\n\\tworktree = %s\\n' '{}' >>.git/config", marks.display());
        place.git(&["checkout", "-q", "older"]);
        (place, marks, text)
    };
    for user in users() {
        let (place, marks, text) = ready(user);
        script(&place, &["--git", "private"], &text).run().code(0);
        place.git(&["checkout", "-q", "-f", "main"]);
        assert!(marked(&marks).is_empty());
    }
    // Control.
    let (place, marks, text) = ready(users()[0]);
    place.command("sh").args(["-c", &text]).run().code(0);
    place.git(&["checkout", "-q", "-f", "main"]);
    assert!(!marked(&marks).is_empty());
}

/// A branch `hidden` has a submodule where a sparse index has one entry for all of `b`.
const SPARSE: &str = "set -e; git config user.name Someone; git config user.email someone@example.invalid
    mkdir a b; echo 1 >a/x; echo 1 >b/y; git add .; git commit -qm one; git init -q ../origin
    git -C ../origin commit -q --allow-empty -m o; git checkout -q -b hidden
    git update-index --add --cacheinfo 160000,$(git -C ../origin rev-parse HEAD),b/s; git commit -qm link
    git checkout -q main; git sparse-checkout set --cone --sparse-index a\n";

/// A repository where the submodule belongs, which runs a program for whoever asks for its status.
const PLANT: &str = "mkdir -p b; git init -q b/s; git -C b/s -c user.name=x -c user.email=x commit -q --allow-empty -m x
    git -C b/s config core.fsmonitor $X\n";

#[test]
fn promise_g_a_submodule_that_a_sparse_index_hides_is_seen() {
    must_have_sandbox();
    let look = "git status -s; git diff; git checkout -q -f hidden; git status -s; git diff; git checkout -q -f main
        git status -s; true";
    // The submodule is the host's own, or the agent's.
    for (before, inside) in [
        ("git checkout -q hidden", ""),
        ("git branch -q -D hidden", "LINK; git checkout -q hidden\n"),
    ] {
        let link = "t=$(git ls-tree HEAD:b | { cat; printf '160000 commit %s\\ts\\n' $(git -C b/s rev-parse HEAD); } | git mktree)
            t=$(git ls-tree HEAD | sed \"s/tree .*b$/tree $t\\tb/\" | git mktree); git branch hidden $(git commit-tree -p HEAD -m link $t)";
        let inside = inside.replace("LINK", link);
        let ready = |user| {
            let place = Place::new(user);
            place.command("sh").args(["-c", &format!("{SPARSE}{before}")]).run().code(0);
            let marks = marks(&place);
            let program = program(&place, "sparse", &marks);
            let text = format!("X='{}'; {PLANT}{inside}", program.display());
            (place, marks, text)
        };
        for user in users() {
            let (place, marks, text) = ready(user);
            // That the agent could make it meanwhile is said at the start.
            let explained = place.claudebox(["explain", "--git", "private", "--", "sh"]).run();
            let said = explained.stdout.contains("the directory of the submodule b/s is missing");
            let of_host = inside.is_empty();
            assert!(said || !of_host, "{}", explained.stdout);
            let output = script(&place, &["--git", "private"], &text).run().code(0);
            place.command("sh").args(["-c", look]).run();
            assert!(marked(&marks).is_empty(), "{before}\n{}", output.stderr);
        }
        // Control.
        let (place, marks, text) = ready(users()[0]);
        place.command("sh").args(["-c", &text]).run();
        for name in marked(&marks) {
            fs::remove_file(marks.join(name)).unwrap();
        }
        place.command("sh").args(["-c", look]).run();
        assert_eq!(marked(&marks), ["sparse"], "{before}");
    }
}
