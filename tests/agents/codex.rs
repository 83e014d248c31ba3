//! Codex CLI.

use std::collections::BTreeSet;

use serde_json::json;

use crate::common::agent::KEY;
use crate::common::place::Place;
use crate::common::user::users;
use crate::drive::{Drive, Scene};

static CODEX: Drive = Drive {
    name: "codex",
    headless: &["exec", "Make the file."],
    interactive: &[],
    environment: &[],
    prepare: logged_in,
    shares: &[".codex/auth.json"],
    litter: &[],
    model: "api.openai.com",
    // A list of models; in a terminal, a tip of the day.
    besides: &["chatgpt.com", "raw.githubusercontent.com"],
    refused: &[],
    resume: &["exec", "resume", "--last", "Go on."],
    told: true,
    status: "\"exit_code\":3",
};

#[test]
fn headless() {
    CODEX.headless();
}

/// It is the host's login that is used, and not a key of the environment.
#[test]
fn it_is_logged_in_as_on_the_host() {
    for user in users() {
        let scene = Scene::new(&CODEX, user);
        let login = json!({"auth_mode": "apikey", "OPENAI_API_KEY": "the-hosts-own-key"});
        scene.place.home_file(".codex/auth.json", login.to_string());
        scene.run(CODEX.headless).run().code(0);
        let requests = scene.model.requests().into_iter();
        let bearers: BTreeSet<String> = requests.map(|request| request.bearer).collect();
        assert_eq!(bearers, ["the-hosts-own-key".to_owned()].into());
    }
}

#[test]
fn headless_failure_arrives_as_the_agents_own_code() {
    CODEX.fails(&["exec", "--no-such-option"], 2, "--no-such-option");
}

#[test]
fn interactive_in_the_tmux_pane() {
    CODEX.interactive(
        |terminal| {
            terminal.wait_for("OpenAI Codex");
        },
        |terminal| {
            terminal.type_text("/quit");
            terminal.wait_for("/quit");
            terminal.press("Enter");
        },
    );
}

/// As `codex login --with-api-key` leaves it on the host.
fn logged_in(place: &Place) {
    let login = json!({"auth_mode": "apikey", "OPENAI_API_KEY": KEY});
    place.home_file(".codex/auth.json", login.to_string());
}
