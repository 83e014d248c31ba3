//! Claude Code: besides what every agent must do, its telemetry, and the pages that it reads.

use std::thread::sleep;
use std::time::Duration;

use serde_json::json;

use crate::common::agent::KEY;
use crate::common::log::Log;
use crate::common::model_server::{PAGE_TEXT, Script, Step};
use crate::common::place::Place;
use crate::common::terminal::Terminal;
use crate::common::user::users;
use crate::drive::{Drive, Scene};

static CLAUDE: Drive = Drive {
    name: "claude",
    headless: &["-p", "Make the file."],
    interactive: &[],
    environment: &[],
    prepare: the_first_questions_are_answered,
    shares: &[".claude/projects", ".claude.json"],
    litter: &[],
    model: "api.anthropic.com",
    besides: &[],
    refused: &[],
    resume: &["--continue", "-p", "Go on."],
    told: true,
    status: "Exit code 3",
};

#[test]
fn headless() {
    CLAUDE.headless();
}

#[test]
fn headless_failure_arrives_as_the_agents_own_code() {
    CLAUDE.fails(&["-p", "--no-such-option"], 1, "--no-such-option");
}

#[test]
fn interactive_in_the_tmux_pane() {
    CLAUDE.interactive(trust_the_folder, |terminal| {
        terminal.type_text("/exit");
        terminal.wait_for("Exit the CLI");
        terminal.press("Enter");
    });
}

/// The control: where the profile does not switch it off, telemetry is tried, and refused.
#[test]
fn telemetry_is_refused_where_it_is_not_switched_off() {
    for user in users() {
        let scene = Scene::new(&CLAUDE, user);
        let model = "model.example";
        let network = format!("allow = [\"{model}\"]\ndeny = [\"@anthropic\", \"@dev\"]\n");
        let layer = format!("[network]\n{network}{TALKATIVE}");
        scene.place.home_file(".config/claudebox/profiles/claude.toml", layer);
        let run = scene.run(CLAUDE.headless).env("ANTHROPIC_BASE_URL", format!("https://{model}"));
        run.run().code(0).says("The file is there.");
        assert_eq!(scene.world.asked(), [format!("{model}:443")]);
        let log = Log::latest(&scene.place);
        let refused: Vec<&str> = log.refused().map(|refused| &*refused.host).collect();
        assert!(refused.contains(&CLAUDE.model), "{refused:?}");
    }
}

/// What the profile switches off.
const TALKATIVE: &str = "[environment.set]\n\
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC = \"\"\n\
    CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL = \"\"\n\
    DISABLE_AUTOUPDATER = \"\"\n\
    DISABLE_TELEMETRY = \"\"\n\
    DISABLE_ERROR_REPORTING = \"\"\n";

/// A page that is allowed for this run is read; another is not.
#[test]
fn pages_are_read_where_they_are_allowed() {
    for user in users() {
        let steps = ["https://page.example/page", "https://other.example/page"];
        let steps = steps.map(|url| Step::Fetch(url.to_owned())).to_vec();
        let scene = Scene::with(&CLAUDE, user, Script { steps, closing: "Read.".to_owned() });
        let run = scene.run_with(&["--allow", "page.example"], &["-p", "Read the pages."]);
        run.run().code(0).says("Read.");
        let results = scene.model.tool_results();
        assert_eq!(results.len(), 2, "{results:?}");
        assert_eq!(results[0], "Read.", "the page went to the model, which says this of all");
        assert!(results[1].contains("ENOTFOUND"), "{results:?}");
        let bodies: Vec<String> =
            scene.model.requests().iter().map(|request| request.body.to_string()).collect();
        assert!(bodies.iter().any(|body| body.contains(PAGE_TEXT)));
        assert_eq!(scene.world.asked(), ["api.anthropic.com:443", "page.example:443"]);
        let refused: Vec<String> =
            Log::latest(&scene.place).refused().map(|refused| refused.host.clone()).collect();
        assert!(refused.iter().all(|host| host == "other.example"), "{refused:?}");
        assert!(!refused.is_empty());
    }
}

/// Of the host's Claude Code: theme, key, permission mode.
pub(crate) fn the_first_questions_are_answered(place: &Place) {
    let settings = json!({
        "hasCompletedOnboarding": true,
        "bypassPermissionsModeAccepted": true,
        "customApiKeyResponses": {"approved": [&KEY[KEY.len() - 20..]]},
    });
    place.home_file(".claude.json", settings.to_string());
}

/// Claude Code asks once for each project.
pub(crate) fn trust_the_folder(terminal: &Terminal<'_>) {
    let (question, done) = ("Yes, I trust this folder", "bypass permissions on");
    // A key that comes before the dialog listens is lost: it is pressed until it was taken.
    while terminal.wait_for_one_of([question, done]).contains(question) {
        if terminal.screen().contains("❯ Yes, I trust") {
            terminal.press("Enter");
        } else {
            terminal.press("Down");
        }
        sleep(Duration::from_millis(500));
    }
}
