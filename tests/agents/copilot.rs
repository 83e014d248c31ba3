//! GitHub Copilot CLI, with a provider of one's own: GitHub's part of it cannot be played, but for what
//! it asks first with the login of the host.

use crate::common::model_server::Script;
use crate::common::user::users;
use crate::drive::{Drive, Scene};

const COPILOT: Drive = Drive {
    name: "copilot",
    headless: &["-p", "Make the file."],
    interactive: &[],
    environment: &[
        ("COPILOT_PROVIDER_BASE_URL", "https://api.githubcopilot.com/v1"),
        ("COPILOT_PROVIDER_API_KEY", "dummy-key-for-the-fake-model"),
        ("COPILOT_MODEL", "gpt-5.4"),
    ],
    prepare: |_| (),
    shares: &[],
    litter: &[],
    model: "api.githubcopilot.com",
    besides: &[],
    refused: &[],
    resume: &["--continue", "-p", "Go on."],
    told: true,
    status: "3",
};

static DRIVEN: Drive = COPILOT;

#[test]
fn headless() {
    DRIVEN.headless();
}

#[test]
fn headless_failure_arrives_as_the_agents_own_code() {
    DRIVEN.fails(&["--no-such-option"], 1, "no-such-option");
}

#[test]
fn interactive_in_the_tmux_pane() {
    DRIVEN.interactive(
        |terminal| {
            terminal.wait_for("Copilot");
        },
        |terminal| {
            terminal.type_text("/exit");
            terminal.wait_for("/exit");
            terminal.press("Enter");
        },
    );
}

/// A login that the host keeps in plain text is there inside: GitHub is asked with its token. The control
/// is that without one nobody is.
#[test]
fn the_login_of_the_host_is_taken_over() {
    for user in users() {
        for logged_in in [true, false] {
            let script = Script { steps: vec![], closing: String::new() };
            let scene = Scene::with(&LOGGED_IN, user, script);
            let login = format!(
                r#"// This file is managed automatically.
                {{"loggedInUsers": [{{"host": "https://github.com", "login": "somebody"}}],
                 "lastLoggedInUser": {{"host": "https://github.com", "login": "somebody"}},
                 "copilotTokens": {{"https://github.com:somebody": "{TOKEN}"}}}}"#
            );
            if logged_in {
                scene.place.home_file(".copilot/config.json", &login);
            }
            let output = scene.run(LOGGED_IN.headless).run();
            assert_ne!(output.code, 0, "{output:?}");
            let requests = scene.model.requests();
            let with_token = |bearer: &str| bearer.ends_with(TOKEN);
            let asked = requests.iter().any(|request| with_token(&request.bearer));
            assert_eq!(asked, logged_in, "{output:?} {requests:#?}");
            if logged_in {
                let host = scene.place.home().join(".copilot/config.json");
                assert_eq!(std::fs::read_to_string(host).unwrap(), login);
            }
        }
    }
}

const TOKEN: &str = "gho_000000000000000000000000000000000000";

static LOGGED_IN: Drive = Drive { environment: &[], ..COPILOT };
