//! G and W: a repository that a stranger made does not choose what a git of claudebox's own executes or
//! writes when the agent's work comes back. The controls are a git of the user's on the same repository.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::place::Place;
use crate::common::user::users;
use crate::common::{DEADLINE, must_have, must_have_sandbox};
use crate::g_private::program;
use crate::script;

/// One commit, made inside.
const WORK: &str = "set -e; echo new >new; git add new; git commit -qm new";

fn committed(place: &Place, before: &str) {
    let base = "git config user.name Someone; git config user.email someone@example.invalid\n\
        echo a >a; git add a; git commit -qm base\n";
    let prepare = format!("set -e\n{base}{before}");
    place.command("sh").args(["-c", &prepare]).run().code(0);
}

fn has_come(place: &Place) -> bool {
    place.git(&["log", "--format=%s", "-1"]).trim() == "new"
}

fn marks(place: &Place) -> PathBuf {
    let marks = place.root().join("marks");
    fs::create_dir(&marks).unwrap();
    place.user().own(&marks);
    marks
}

#[test]
fn promise_g_a_strangers_configuration_does_not_say_where_commits_come_from() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        let place = Place::new(user);
        let marks = marks(&place);
        let program = program(&place, "ext", &marks);
        committed(
            &place,
            &format!(
                "git config protocol.ext.allow always\n\
                 git config 'url.ext::sh {} .insteadOf' /\n",
                program.display()
            ),
        );
        script(&place, &["--host-files", "report"], WORK).run().code(0);
        assert!(!marks.join("ext").exists());
        assert!(has_come(&place));
        // Control: that no protocol is allowed by the configuration is not enough.
        place
            .command("git")
            .args(["-c", "protocol.allow=never", "-c", "protocol.file.allow=always"])
            .args(["fetch", "-q", "/nowhere"])
            .run();
        assert!(marks.join("ext").exists());

        // The same without a command: another repository in the place of what was checked.
        let place = Place::new(user);
        committed(&place, "git config url./nowhere/.insteadOf /\n");
        script(&place, &[], WORK).run().code(0);
        assert!(has_come(&place));
    }
}

/// Where a link is, what it leads to, and a git of the user's that writes through it.
const LINKS: [(&str, &str, &str); 4] = [
    (".git/logs", "directory", "git commit -q --allow-empty -m x"),
    (".git/logs/refs/heads/main", "file", "git commit -q --allow-empty -m x"),
    (".git/logs/HEAD", "file", "git commit -q --allow-empty -m x"),
    (".git/refs/heads/feat", "directory", "git branch feat/x.desktop"),
];

fn plant(place: &Place, link: &str, to: &Path) {
    let link = place.project().join(link);
    let _ = fs::remove_file(&link);
    let _ = fs::remove_dir_all(&link);
    symlink(to, &link).unwrap();
    place.user().own(&link);
}

fn outside(place: &Place, to: &str) -> (PathBuf, impl Fn() -> bool) {
    let path = place.root().join(to);
    if to == "file" {
        fs::write(&path, "").unwrap();
    } else {
        fs::create_dir(&path).unwrap();
    }
    place.user().own(&path);
    let look = path.clone();
    (path, move || match fs::read_dir(&look) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => fs::metadata(&look).unwrap().len() > 0,
    })
}

#[test]
fn promise_w_a_link_in_a_repository_leads_no_git_of_ours_elsewhere() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        for (link, to, control) in LINKS {
            let place = Place::new(user);
            committed(&place, "");
            let (path, is_written) = outside(&place, to);
            plant(&place, link, &path);
            let work = format!("rm -f {link}; {WORK}; git branch feat/x.desktop");
            let refused = script(&place, &[], &work).run().code(2);
            let refused = refused.complains("--git read-only").stderr;
            let says = ["neither a file nor a directory", "its `logs` is no directory"];
            assert!(says.iter().any(|says| refused.contains(says)), "{refused}");
            assert!(!is_written(), "{link}");
            // Control.
            place.command("sh").args(["-c", control]).run().code(0);
            assert!(is_written(), "{link}");
        }
    }
}

#[test]
fn promise_w_a_link_that_came_later_leads_no_git_of_ours_elsewhere() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        let place = Place::new(user);
        committed(&place, "");
        let (path, is_written) = outside(&place, "file");
        let work = format!("{WORK}; touch ready; while ! test -e go; do sleep 0.05; done");
        let run = script(&place, &[], &work).start();
        let end = Instant::now() + DEADLINE;
        while !place.project().join("ready").exists() {
            assert!(Instant::now() < end, "it does not begin");
            sleep(Duration::from_millis(20));
        }
        plant(&place, ".git/logs/HEAD", &path);
        place.project_file("go", "");
        let output = run.wait();
        assert!(output.stderr.contains("neither a file nor a directory"), "{}", output.stderr);
        assert!(!is_written() && !has_come(&place));
        // Nothing is lost; and what was left for programs of the host has been seen to.
        assert!(output.stderr.contains("set aside"), "{}", output.stderr);
        assert!(!place.project().join(".git/logs/HEAD").is_symlink());
        place.claudebox(["sync"]).run().code(0);
        assert!(has_come(&place));
    }
}

#[test]
fn promise_h_a_repository_borrows_from_no_directory_but_of_objects() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        let place = Place::new(user);
        committed(&place, "");
        place.home_file(".ssh/id_test", "SECRET");
        let alternates = ".git/objects/info/alternates";
        place.project_file(alternates, format!("{}/.ssh\n", place.home().display()));
        let read = "cat /run/claudebox-git/1/objects/id_test";
        let refused = script(&place, &[], read).run().code(2);
        let refused = refused.complains("is no object directory of git's");
        assert!(!refused.stdout.contains("SECRET"));

        // What another repository has can be borrowed, and is told to the user.
        place.home_file("other/x", "");
        let other = place.home().join("other");
        let make = "git init -q; git add x; git -c user.name=a -c user.email=b commit -qm x";
        place.command("sh").directory(&other).args(["-c", make]).run().code(0);
        place.project_file(alternates, format!("{}/.git/objects\n", other.display()));
        let read = "ls /run/claudebox-git/1/objects";
        let borrows = script(&place, &[], read).run().code(0).says("pack");
        borrows.complains("the repository borrows objects from");
    }
}

#[test]
fn promise_w_a_repository_does_not_choose_where_files_of_git_lfs_come() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        let place = Place::new(user);
        let store = place.home().join("chosen");
        committed(&place, &format!("git config lfs.storage '{}'\n", store.display()));
        let work = format!(
            "{WORK}; set -- $(sha256sum new); d=.git/lfs/objects/$(echo $1 | sed 's,\\(..\\)\\(..\\).*,\\1/\\2,')
             mkdir -p $d; cp new $d/$1"
        );
        let output = script(&place, &[], &work).run().code(0);
        assert!(has_come(&place) && !store.exists());
        output.complains("is no store");
        // A store that is there is one that the user has.
        fs::create_dir_all(store.join("objects")).unwrap();
        place.user().own(&store);
        place.user().own(&store.join("objects"));
        place.claudebox(["sync"]).run().code(0);
        assert!(fs::read_dir(store.join("objects")).unwrap().next().is_some());
    }
}

#[test]
fn promise_g_nothing_comes_from_a_bundle_that_a_stranger_names() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        let place = Place::new(user);
        committed(&place, "git config fetch.bundleURI $PWD/it.bundle\n");
        let work = format!("{WORK}; git bundle create -q it.bundle HEAD main");
        script(&place, &[], &work).run().code(0);
        assert!(has_come(&place) && place.project().join("it.bundle").exists());
        let refs = || place.git(&["for-each-ref", "refs/bundles"]);
        assert_eq!(refs(), "");
        // Control.
        place.command("git").args(["fetch", "-q", "."]).run();
        assert!(refs().contains("refs/bundles/main"));
    }
}

/// What a stranger's configuration includes for the new worktree alone, and its file of a sparse checkout,
/// which git copies there.
#[test]
fn promise_g_a_new_worktree_obeys_no_stranger() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        for condition in ["gitdir:**/worktrees/**", "onbranch:claudebox/**"] {
            let place = Place::new(user);
            let marks = marks(&place);
            let program = program(&place, "smudge", &marks);
            committed(
                &place,
                &format!(
                    "echo '* filter=x' >.gitattributes; git add .gitattributes; git commit -qm attributes\n\
                     git config 'includeIf.{condition}.path' more\n\
                     git config -f .git/more filter.x.smudge '{}; cat'\n",
                    program.display()
                ),
            );
            script(&place, &["-w", "fix"], "true").run().code(2).complains("includeif");
            assert!(!marks.join("smudge").exists());
            // Control: a worktree of the user's own.
            place.git(&["worktree", "add", "-q", "-b", "claudebox/x", "../control"]);
            assert!(marks.join("smudge").exists(), "{condition}");
        }

        let place = Place::new(user);
        place.home_file(".ssh/id_test", "SECRET");
        committed(
            &place,
            "git config core.sparseCheckout true; ln -s $HOME/.ssh/id_test .git/info/sparse-checkout\n",
        );
        let read = "cat $(git rev-parse --git-path info/sparse-checkout)";
        let refused = script(&place, &["-w", "ab"], read).run();
        assert!(refused.code == 2 && !refused.stdout.contains("SECRET"), "{}", refused.stderr);
    }
}
