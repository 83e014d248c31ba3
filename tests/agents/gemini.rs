//! Gemini CLI: besides what every agent must do, what its own guard against SSRF takes for an address
//! of the internet.

use crate::common::model_server::{PAGE, PAGE_TEXT, Script, Step};
use crate::common::place::Place;
use crate::common::user::users;
use crate::drive::{Drive, Scene};

static GEMINI: Drive = Drive {
    name: "gemini",
    headless: &["--model", "gemini-2.5-pro", "-p", "Make the file."],
    interactive: &["--model", "gemini-2.5-pro"],
    environment: &[],
    prepare: a_key_was_chosen,
    shares: &[],
    litter: &[],
    model: "generativelanguage.googleapis.com",
    // Whether there is a newer one, which only its settings switch off.
    besides: &["registry.npmjs.org"],
    // No variable switches its statistics off.
    refused: &["play.googleapis.com"],
    resume: &["--model", "gemini-2.5-pro", "--resume", "latest", "-p", "Go on."],
    told: false,
    status: "Exit Code: 3",
};

#[test]
fn headless() {
    GEMINI.headless();
}

#[test]
fn headless_failure_arrives_as_the_agents_own_code() {
    GEMINI.fails(&["--no-such-option"], 1, "Unknown arguments: such-option");
}

#[test]
fn interactive_in_the_tmux_pane() {
    GEMINI.interactive(
        |terminal| {
            terminal.wait_for("Type your message");
        },
        |terminal| {
            terminal.type_text("/quit");
            terminal.wait_for("/quit");
            terminal.press("Enter");
        },
    );
}

/// Of the host's Gemini CLI: by which of the ways one logs in.
fn a_key_was_chosen(place: &Place) {
    let settings = r#"{"security": {"auth": {"selectedType": "gemini-api-key"}}}"#;
    place.home_file(".gemini/settings.json", settings);
}

/// Its tool that reads pages asks where a name leads before it goes there, and refuses what is set
/// apart for special use: 198.18.0.0/15, although made for such a purpose, is the control.
#[test]
fn its_guard_takes_the_synthetic_addresses_for_the_internets() {
    let settings = r#"{"experimental": {"directWebFetch": true}}"#;
    for user in users() {
        for (pool, wanted) in [
            (None, PAGE_TEXT),
            (Some("198.18.0.0/15"), "private host"),
            (Some("10.9.0.0/16"), "private host"),
            (Some("100.64.0.0/10"), "private host"),
        ] {
            let steps = vec![Step::Fetch(format!("https://page.example{PAGE}"))];
            let closing = "That was all.".to_owned();
            let scene = Scene::with(&GEMINI, user, Script { steps, closing });
            scene.place.home_file(".gemini/settings.json", settings);
            if let Some(pool) = pool {
                let layer = format!("network.pool = \"{pool}\"\n");
                scene.place.home_file(".config/claudebox/profiles/gemini.toml", layer);
            }
            let run = scene.run_with(&["--allow", "page.example"], GEMINI.headless);
            run.run().code(0).says("That was all.");
            let results = scene.model.tool_results();
            assert!(results.iter().any(|result| result.contains(wanted)), "{pool:?} {results:?}");
            let asked = scene.world.asked().contains(&"page.example:443".to_owned());
            assert_eq!(asked, pool.is_none(), "{pool:?}");
        }
    }
}
