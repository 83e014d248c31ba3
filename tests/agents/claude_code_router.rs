//! Claude Code by way of Claude Code Router: its requests reach a provider that speaks OpenAI's chat
//! completions, and nobody else.

use serde_json::json;

use crate::claude;
use crate::common::agent::agents;
use crate::common::log::Log;
use crate::common::place::Place;
use crate::common::user::users;
use crate::drive::{Drive, Scene};

static ROUTER: Drive = Drive {
    name: "claude-code-router",
    headless: &["-p", "Make the file."],
    interactive: &[],
    environment: &[],
    prepare: a_provider_is_configured,
    shares: &[".claude/projects", ".claude.json"],
    litter: &[],
    model: PROVIDER,
    besides: &[],
    refused: &[],
    resume: &["--continue", "-p", "Go on."],
    told: true,
    status: "Exit code 3",
};

const PROVIDER: &str = "provider.example";

#[test]
fn headless() {
    ROUTER.headless();
}

#[test]
fn headless_failure_arrives_as_the_agents_own_code() {
    ROUTER.fails(&["-p", "--no-such-option"], 1, "--no-such-option");
}

#[test]
fn interactive_in_the_tmux_pane() {
    ROUTER.interactive(claude::trust_the_folder, |terminal| {
        terminal.type_text("/exit");
        terminal.wait_for("Exit the CLI");
        terminal.press("Enter");
    });
}

/// Its own interface, without the profile's command.
#[test]
fn as_ccr_code() {
    for user in users() {
        let scene = Scene::new(&ROUTER, user);
        let run = scene.place.claudebox(["run", "--no-monitor", "--"]);
        let run = run.args(["ccr", "code", "-p", "Make it.", "--dangerously-skip-permissions"]);
        let environment = scene.environment();
        let run = environment.into_iter().fold(run, |run, (name, value)| run.env(name, value));
        run.run().code(0).says("The file is there.");
        scene.is_as_it_must_be();
    }
}

/// Whom the router would ask is refused like anybody whom the profile does not name.
#[test]
fn a_provider_that_is_not_allowed_is_not_reached() {
    for user in users() {
        let scene = Scene::new(&ROUTER, user);
        scene.place.home_file(LAYER, programs());
        let hurry = ["--env", "CLAUDE_CODE_MAX_RETRIES=0"];
        let output = scene.run_with(&hurry, ROUTER.headless).run();
        assert_ne!(output.code, 0, "{output:?}");
        assert!(scene.world.asked().is_empty(), "{:?}", scene.world.asked());
        assert!(scene.model.requests().is_empty());
        let log = Log::latest(&scene.place);
        assert!(log.refused().any(|refused| refused.host == PROVIDER));
    }
}

/// Without a configuration it says so, and nothing is made on the host.
#[test]
fn without_a_configuration() {
    for user in users() {
        let scene = Scene::new(&ROUTER, user);
        std::fs::remove_file(scene.place.home().join(CONFIG)).unwrap();
        let output = scene.run(ROUTER.headless).run().code(1);
        output.complains("there is no ~/.claude-code-router/config.json");
        assert!(!scene.place.home().join(CONFIG).exists());
    }
}

const CONFIG: &str = ".claude-code-router/config.json";
const LAYER: &str = ".config/claudebox/profiles/claude-code-router.toml";

/// The host's configuration of the router, and what the user adds to the profile for it.
fn a_provider_is_configured(place: &Place) {
    claude::the_first_questions_are_answered(place);
    let provider = json!({
        "name": "example", "api_base_url": format!("https://{PROVIDER}/v1/chat/completions"),
        "api_key": "$OPENAI_API_KEY", "models": ["some-model"],
    });
    let router = json!({"default": "example,some-model"});
    let config = json!({"PORT": 3456, "Providers": [provider], "Router": router});
    place.home_file(CONFIG, config.to_string());
    place.home_file(LAYER, format!("network.allow = [\"{PROVIDER}\"]\n{}", programs()));
}

/// The tests install them where nobody else does.
fn programs() -> String {
    format!("tools = [\"{}/claude-code-router/node_modules\"]\n", agents().display())
}
