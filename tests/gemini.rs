//! The real Gemini CLI, from npm, in the sandbox with its built-in profile as it stands: it finds its
//! model by name and in TLS, what it was told to run is run and logged, nothing else is reached. And
//! what its own guard against SSRF takes for an address of the internet.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;

use common::agent;
use common::log::{Log, argv};
use common::model_server::{ModelServer, PAGE, PAGE_TEXT, Script, Step};
use common::model_world::ModelWorld;
use common::place::Place;
use common::run::Run;
use common::user::users;

const MODEL: &str = "generativelanguage.googleapis.com";

fn model(step: Step) -> ModelServer {
    let script = Script { steps: vec![step], closing: "That was all.".to_owned() };
    ModelServer::start(script, 0).unwrap()
}

fn gemini(place: &Place, world: &ModelWorld, options: &[&str]) -> Run {
    let run = place.claudebox(["run", "--no-monitor"]).args(options);
    let run = run.args(["gemini", "--", "--model", "gemini-2.5-pro", "-p", "Do it."]);
    let environment = agent::world_environment(place, world);
    environment.into_iter().fold(run, |run, (name, value)| run.env(name, value))
}

#[test]
fn through_the_allow_list() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let secret = place.home_file(".ssh/id_ed25519", "not for agents");
        let command = "echo made inside > made-by-gemini; sh -c 'exit 3'";
        let model = model(Step::Shell(command.to_owned()));
        let world = ModelWorld::new(&model);
        gemini(&place, &world, &[]).run().code(0).says("That was all.");

        let made = fs::read_to_string(place.project().join("made-by-gemini")).unwrap();
        assert_eq!(made, "made inside\n");
        assert_eq!(fs::read_to_string(secret).unwrap(), "not for agents");
        let results = model.tool_results();
        assert!(results.iter().any(|result| result.contains("Exit Code: 3")), "{results:?}");

        let log = Log::latest(&place);
        let child = log.execs(|argv| argv == ["sh", "-c", "exit 3"]);
        assert_eq!(child.len(), 1, "what the shell started is in the log once: {child:?}");
        let exit = log.exit(child[0]).unwrap();
        assert_eq!(exit.status, Some(3), "{:?}", argv(child[0]));
        place.claudebox(["verify"]).run().code(0);

        assert_eq!(world.asked(), [format!("{MODEL}:443")]);
        assert!(log.connects().next().is_some());
        for connect in log.connects() {
            assert_eq!((&*connect.host, connect.port, connect.tls), (MODEL, 443, true));
        }
        for refused in log.refused() {
            eprintln!("{refused:?}");
            assert_eq!(refused.host, "play.googleapis.com", "{refused:?}");
        }
    }
}

/// Its tool that reads pages asks where a name leads before it goes there, and refuses what is set
/// apart for special use: 198.18.0.0/15, although made for such a purpose, is the control.
#[test]
fn its_guard_takes_the_synthetic_addresses_for_the_internets() {
    common::must_have_sandbox();
    let settings = r#"{"experimental": {"directWebFetch": true}}"#;
    for user in users() {
        for (pool, wanted) in [
            (None, PAGE_TEXT),
            (Some("198.18.0.0/15"), "private host"),
            (Some("10.9.0.0/16"), "private host"),
            (Some("100.64.0.0/10"), "private host"),
        ] {
            let place = Place::new(user);
            place.home_file(".gemini/settings.json", settings);
            if let Some(pool) = pool {
                let layer = format!("network.pool = \"{pool}\"\n");
                place.home_file(".config/claudebox/profiles/gemini.toml", layer);
            }
            let model = model(Step::Fetch(format!("https://page.example{PAGE}")));
            let world = ModelWorld::new(&model);
            let run = gemini(&place, &world, &["--allow", "page.example"]);
            run.run().code(0).says("That was all.");
            let results = model.tool_results();
            assert!(results.iter().any(|result| result.contains(wanted)), "{pool:?} {results:?}");
            let asked = world.asked().contains(&"page.example:443".to_owned());
            assert_eq!(asked, pool.is_none(), "{pool:?}");
        }
    }
}
