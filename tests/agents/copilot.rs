//! GitHub Copilot CLI, with a provider of one's own: GitHub's part of it cannot be played.

use crate::drive::Drive;

static COPILOT: Drive = Drive {
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
    status: "3",
};

#[test]
fn headless() {
    COPILOT.headless();
}

#[test]
fn headless_failure_arrives_as_the_agents_own_code() {
    COPILOT.fails(&["--no-such-option"], 1, "no-such-option");
}

#[test]
fn interactive_in_the_tmux_pane() {
    COPILOT.interactive(
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
