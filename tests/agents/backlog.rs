//! Backlog.md: no agent, but what agents keep tasks with. A task is made inside, and its page, which is
//! served inside, is fetched from outside.

use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::common::log::Log;
use crate::common::run::Run;
use crate::common::user::users;
use crate::common::{DEADLINE, must_have};
use crate::drive::{Drive, Scene};

static BACKLOG: Drive = Drive {
    name: "backlog",
    headless: &[],
    interactive: &[],
    environment: &[],
    prepare: |_| (),
    shares: &[],
    litter: &["backlog", ".git/backlog.md"],
    model: "",
    besides: &[],
    refused: &[],
    resume: &[],
    told: false,
    status: "",
};

/// Where its page is published, by its profile.
const PORT: u16 = 6420;

#[test]
fn headless() {
    must_have(&["curl"]);
    for user in users() {
        let scene = Scene::new(&BACKLOG, user);
        let init = ["init", "Kettles", "--defaults", "--agent-instructions", "none"];
        command(&scene, &init).run().code(0);
        command(&scene, &["task", "create", "Put the kettle on"]).run().code(0).says("TASK-1");

        assert!(!listens(), "another program has port {PORT} of this machine");
        let server = scene.run(&[]).start();
        let until = Instant::now() + DEADLINE;
        while !listens() || fetch(&scene, "/").code != 0 {
            assert!(Instant::now() < until, "its page is not served: {:?}", fetch(&scene, "/"));
            sleep(Duration::from_millis(100));
        }
        fetch(&scene, "/").says("<title>Backlog.md");
        fetch(&scene, "/api/tasks").says("Put the kettle on");
        server.signal(Signal::SIGTERM);
        server.wait();
        assert!(!listens(), "it outlives its session");

        assert!(scene.world.asked().is_empty(), "{:?}", scene.world.asked());
        let log = Log::latest(&scene.place);
        assert!(log.connects().all(|connect| connect.via == "publish"));
        assert!(log.connects().count() >= 2);
        assert_eq!(log.refused().next(), None);
        scene.nothing_outside_has_changed();
        scene.record("headless");
    }
    // Not beside it: there is one such port.
    BACKLOG.fails(&["--no-such-option"], 1, "--no-such-option");
}

/// Any other command of its, as a user or an agent types it.
fn command(scene: &Scene, arguments: &[&str]) -> Run {
    let run = scene.place.claudebox(["run", "--no-monitor", "--", "backlog"]).args(arguments);
    scene.environment().into_iter().fold(run, |run, (name, value)| run.env(name, value))
}

fn listens() -> bool {
    TcpStream::connect(("127.0.0.1", PORT)).is_ok()
}

/// From outside, as a browser does.
fn fetch(scene: &Scene, path: &str) -> crate::common::run::Output {
    let url = format!("http://127.0.0.1:{PORT}{path}");
    scene.place.command("curl").args(["--silent", "--show-error", "--max-time", "20", &url]).run()
}
