//! Amp, which works with its own server only: it starts, and says so where that does not answer.

use crate::common::agent::KEY;
use crate::common::log::{Log, argv};
use crate::common::user::users;
use crate::drive::{Drive, Scene};

static AMP: Drive = Drive {
    name: "amp",
    headless: &["-x", "Make the file."],
    interactive: &[],
    environment: &[("AMP_API_KEY", KEY)],
    prepare: |_| (),
    shares: &[],
    litter: &[],
    model: SERVER,
    besides: &[],
    refused: &[],
    resume: &[],
    told: false,
    status: "",
};

const SERVER: &str = "ampcode.com";

#[test]
fn it_starts() {
    for user in users() {
        let scene = Scene::new(&AMP, user);
        scene.run(&["--version"]).run().code(0).says("0.0.1790142911-g7618fb");
        let log = Log::latest(&scene.place);
        let amp = log.execs(|argv| argv.last().is_some_and(|word| word == "--version"));
        assert_eq!(amp.len(), 1, "{amp:?}");
        let exit = log.exit(amp[0]).and_then(|exit| exit.status);
        assert_eq!(exit, Some(0), "{:?}", argv(amp[0]));
        assert!(scene.world.asked().is_empty(), "{:?}", scene.world.asked());
        scene.record("started");
    }
}

#[test]
fn headless_failure_arrives_as_the_agents_own_code() {
    AMP.fails(&["--no-such-option"], 1, "--no-such-option");
}

/// It asks its server, and nobody else; without one it ends with an error that says so. The control is
/// that the server is asked where it is allowed.
#[test]
fn without_its_server_it_says_so() {
    for user in users() {
        let allowed = Scene::new(&AMP, user);
        let output = allowed.run(AMP.headless).run();
        assert_ne!(output.code, 0, "{output:?}");
        assert_eq!(allowed.world.asked(), [format!("{SERVER}:443")]);
        let refused: Vec<String> =
            Log::latest(&allowed.place).refused().map(|refused| refused.host.clone()).collect();
        assert!(refused.is_empty(), "{refused:?}");

        let denied = Scene::new(&AMP, user);
        let layer = "network.deny = [\"@amp\"]\n";
        denied.place.home_file(".config/claudebox/profiles/amp.toml", layer);
        let output = denied.run(AMP.headless).run();
        assert_ne!(output.code, 0, "{output:?}");
        assert!(denied.world.asked().is_empty(), "{:?}", denied.world.asked());
        let log = Log::latest(&denied.place);
        assert!(log.refused().any(|refused| refused.host == SERVER));
        allowed.record("started");
    }
}
