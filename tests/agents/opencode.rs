//! OpenCode.

use serde_json::json;

use crate::common::agent::KEY;
use crate::common::place::Place;
use crate::drive::Drive;

static OPENCODE: Drive = Drive {
    name: "opencode",
    headless: &["run", "--model", "openai/gpt-5", "Make the file."],
    interactive: &["--model", "openai/gpt-5"],
    environment: &[],
    prepare: logged_in,
    shares: &[],
    litter: &[".git/opencode"],
    model: "api.openai.com",
    // Types for plugins, which only a setting of npm's, everybody's, switches off.
    besides: &["registry.npmjs.org"],
    refused: &[],
    resume: &["run", "--continue", "--model", "openai/gpt-5", "Go on."],
    told: true,
    // It is not told, where the output is empty.
    status: "no output",
};

#[test]
fn headless() {
    OPENCODE.headless();
}

#[test]
fn headless_failure_arrives_as_the_agents_own_code() {
    OPENCODE.fails(&["run", "--no-such-option"], 1, "opencode run [message..]");
}

#[test]
fn interactive_in_the_tmux_pane() {
    OPENCODE.interactive(
        |terminal| {
            terminal.wait_for("Ask anything");
        },
        |terminal| {
            terminal.type_text("/exit");
            terminal.wait_for("/exit");
            terminal.press("Enter");
        },
    );
}

/// As `opencode auth login` leaves it on the host.
fn logged_in(place: &Place) {
    let login = json!({"openai": {"type": "api", "key": KEY}});
    place.home_file(".local/share/opencode/auth.json", login.to_string());
}
