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
const LINKS: [(&str, &str, &str); 3] = [
    (".git/logs/refs/heads/main", "file", "git commit -q --allow-empty -m x"),
    (".git/logs/HEAD", "file", "git commit -q --allow-empty -m x"),
    (".git/refs/heads/feat", "directory", "git branch feat/x.desktop"),
];

fn plant(place: &Place, link: &str, to: &Path) {
    let link = place.project().join(link);
    let _ = fs::remove_file(&link);
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
            refused.complains("neither a file nor a directory").complains("--git read-only");
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
        // Nothing is lost.
        fs::remove_file(place.project().join(".git/logs/HEAD")).unwrap();
        place.claudebox(["sync"]).run().code(0);
        assert!(has_come(&place));
    }
}
