//! `claudebox rm`: what is over goes, and what is nowhere else stays until one insists.

mod common;

use std::path::PathBuf;

use common::must_have_sandbox;
use common::place::Place;
use common::run::Run;
use common::user::users;

fn session(place: &Place, script: &str) -> Run {
    place.claudebox(["run", "--no-monitor", "--", "sh", "-c", script])
}

/// The ids of all sessions, the latest first.
fn ids(place: &Place) -> Vec<String> {
    let lines = place.claudebox(["ls", "--all", "--json"]).run().code(0).stdout;
    let id = |line: &str| Some(line.split('"').nth(3)?.to_owned());
    lines.lines().filter_map(id).collect()
}

fn directory(place: &Place, id: &str) -> PathBuf {
    place.state().join("sessions").join(id)
}

#[test]
fn what_is_over_goes_and_what_runs_stays() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        session(&place, "true").run().code(0);
        session(&place, "true").run().code(0);
        let [_, first] = &*ids(&place) else { panic!("two sessions") };
        let dry = place.claudebox(["rm", "--dry-run", first]).run().code(0);
        assert_eq!(dry.stdout, format!("{first} would be removed\n"));
        assert!(directory(&place, first).exists());
        let said = place.claudebox(["rm", &first[..6]]).run().code(0).stdout;
        assert_eq!(said, format!("{first} removed\n"));
        assert!(!directory(&place, first).exists());
        place.claudebox(["rm", first]).run().code(2).complains("no session begins with");
        place.claudebox(["verify", "--all"]).run().code(0);

        let running = session(&place, "touch ready; sleep 600").start();
        let end = std::time::Instant::now() + common::DEADLINE;
        while !place.project().join("ready").exists() {
            assert!(std::time::Instant::now() < end, "it does not begin");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let id = ids(&place).remove(0);
        place.claudebox(["rm", "--force", &id]).run().code(2).complains("still runs");
        // Of today nothing is a day old.
        assert_eq!(place.claudebox(["rm", "--older", "1"]).run().code(0).stdout, "");
        assert_eq!(place.claudebox(["rm", "--older", "0"]).run().code(0).stdout.lines().count(), 1);
        assert_eq!(ids(&place), [id]);
        running.signal(nix::sys::signal::Signal::SIGTERM);
        running.wait();
    }
}

#[test]
fn what_is_nowhere_else_stays_until_one_insists() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        session(&place, "echo x >.envrc").run().code(0);
        let id = ids(&place).remove(0);
        let refused = place.claudebox(["rm", &id]).run().code(2);
        refused.complains("set aside").complains("claudebox keep").complains("--force");
        let passed = place.claudebox(["rm", "--older", "0"]).run().code(0).stdout;
        assert!(passed.contains(&format!("{id} stays: 1 of its files")), "{passed}");
        place.claudebox(["keep", &id]).run().code(0);
        place.claudebox(["rm", &id]).run().code(0);
        assert!(place.project().join(".envrc").exists());

        session(&place, "echo x >x.code-workspace").run().code(0);
        let id = ids(&place).remove(0);
        place.claudebox(["rm", "--force", &id]).run().code(0);
        assert!(ids(&place).is_empty());
    }
}

#[test]
fn a_home_goes_when_its_project_has_gone() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let project = place.root().join("short-lived");
        std::fs::create_dir(&project).unwrap();
        user.own(&project);
        let homes = || std::fs::read_dir(place.state().join("homes")).unwrap().count();
        let removed = |words: &[&str]| place.claudebox(words).run().code(0).stdout;
        session(&place, "echo kept >~/kept").run().code(0);
        let one = homes();
        let run = ["run", "--no-monitor", "--project", "."];
        let run = place.claudebox(run).directory(&project);
        run.args(["--", "sh", "-c", "mkdir -p ~/d/e; chmod 000 ~/d"]).run().code(0);
        assert_eq!(homes(), 2 * one);
        assert_eq!(removed(&["rm", "--homes"]), "", "both projects are there");
        std::fs::remove_dir_all(&project).unwrap();
        let line = format!("a home of {}", project.display());
        let dry = removed(&["rm", "--homes", "--dry-run"]);
        assert_eq!(dry, format!("{line} would be removed\n"));
        assert_eq!(removed(&["rm", "--homes"]), format!("{line} removed\n"));
        assert_eq!(homes(), one);
        session(&place, "cat ~/kept").run().code(0).says("kept");
    }
}
