//! Many sessions at once, and several that want the same project.

use std::fs;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::common::place::Place;
use crate::common::run::Started;
use crate::common::user::users;
use crate::common::{must_have_sandbox, times};
use crate::outside::{Marker, descendants, tree};
use crate::struck::{let_go, wait_until};

/// So many at once, each in a project of its own: none sees, ends or logs what is another's.
#[test]
fn fifty_sessions_at_once() {
    const COUNT: i32 = 50;
    must_have_sandbox();
    let place = Place::new(users()[0]);
    let project = |number: i32| place.root().join(format!("projects/{number}"));
    for number in 0..COUNT {
        let git = place.command("git").args(["init", "--quiet"]);
        git.args([project(number)]).run().code(0);
        mkfifo(&project(number).join("go"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        place.user().own(&project(number).join("go"));
    }
    let before = tree(&place.root().join("projects"));
    let started: Vec<Started> = (0..COUNT)
        .map(|number| {
            // All are there before one goes.
            let script = format!("read x <go; /bin/echo mine-{number}; exit {number}");
            let run = ["run", "--no-monitor", "--", "sh", "-c", &script];
            place.claudebox(run).directory(project(number)).start()
        })
        .collect();
    wait_until("all of them to run", || {
        let output = place.claudebox(["ls", "--all", "--json"]).run().code(0).stdout;
        (output.matches("\"state\":\"running\"").count() == 50).then_some(())
    });
    for (number, started) in (0..COUNT).zip(started) {
        let _go = let_go(&project(number).join("go"));
        started.wait().code(number).says(&format!("mine-{number}\n"));
        let log = place.claudebox(["log", "--json"]).directory(project(number)).run().code(0);
        let log = log.says(&format!("mine-{number}\""));
        assert_eq!(log.stdout.matches("\"mine-").count(), 1, "{log:#?}");
    }
    let verified = place.claudebox(["verify", "--all"]).run().code(0);
    assert_eq!(verified.stdout.matches(" ok: ").count(), 50, "{verified:#?}");
    assert_eq!(fs::read_dir(place.root().join("run/claudebox")).unwrap().count(), 0);
    assert_eq!(tree(&place.root().join("projects")), before, "litter");
}

/// Who comes first has the project; all others are told so, and disturb nothing.
#[test]
fn several_that_want_one_project() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        for _ in 0..times(5, 100) {
            let marker = Marker::new();
            let script = format!("exec {}", marker.command());
            let run = ["run", "--no-monitor", "--", "sh", "-c", &script];
            let started: Vec<Started> = (0..4).map(|_| place.claudebox(run).start()).collect();
            let agents = marker.wait_until_it_runs();
            assert_eq!(agents.len(), 1);
            let (mut first, refused): (Vec<_>, Vec<_>) = started
                .into_iter()
                .partition(|started| descendants(started.pid()).contains(&agents[0]));
            for refused in refused {
                let output = refused.wait().code(125);
                // Which of the two depends on how far the first has come.
                let told = ["is already running in", "another session is starting in"];
                assert!(told.iter().any(|told| output.stderr.contains(told)), "{output:#?}");
            }
            let first = first.pop().unwrap();
            first.signal(nix::sys::signal::Signal::SIGTERM);
            first.wait().code(143);
            marker.wait_until_it_is_gone();
        }
        place.claudebox(["verify", "--all"]).run().code(0);
    }
}
