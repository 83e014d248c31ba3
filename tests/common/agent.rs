//! The real agents that `tests/setup.sh` installs, and what they need to run against the fake
//! model without a question.

use std::path::PathBuf;

use serde_json::json;

use super::model_server::ModelServer;
use super::place::Place;

/// The key that the fake model accepts (it accepts any).
const KEY: &str = "dummy-key-for-the-fake-model";

/// Where the agents are; the same rule as in `tests/agents/install.sh`.
pub(crate) fn agents() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(directory) = set("CLAUDEBOX_TEST_AGENTS") {
        return directory;
    }
    if nix::unistd::Uid::effective().is_root() {
        return PathBuf::from("/var/cache/claudebox-test/agents");
    }
    let cache =
        set("XDG_CACHE_HOME").unwrap_or_else(|| set("HOME").unwrap_or_default().join(".cache"));
    cache.join("claudebox-test/agents")
}

/// The directory that holds `claude`, for `PATH`.
pub(crate) fn claude_directory() -> PathBuf {
    let directory = agents().join("node_modules/.bin");
    let claude = directory.join("claude");
    assert!(claude.exists(), "no {}; run `tests/setup.sh test`", claude.display());
    directory
}

/// What Claude Code needs in its environment to talk to the fake model, and to nobody else.
pub(crate) fn claude_environment(model: &ModelServer) -> Vec<(String, String)> {
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", claude_directory().display());
    [
        ("PATH", path.as_str()),
        ("ANTHROPIC_BASE_URL", &model.url()),
        ("ANTHROPIC_API_KEY", KEY),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL", "1"),
        ("DISABLE_AUTOUPDATER", "1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// Lets Claude Code reach the fake model, which listens on the host's loopback; and nothing else of it.
pub(crate) fn let_reach_the_model(place: &Place, model: &ModelServer) {
    let url = model.url();
    let port = url.rsplit(':').next().unwrap();
    place.home_file(
        ".config/claudebox/profiles/claude.toml",
        format!("network.host-ports = [{port}]\n"),
    );
}

/// Answers beforehand what Claude Code asks a person at the first start: theme, key, trust,
/// permission mode. It looks in the home, and in the directory that holds the rest of its state.
pub(crate) fn answer_claudes_first_questions(place: &Place) {
    let settings = json!({
        "hasCompletedOnboarding": true,
        "bypassPermissionsModeAccepted": true,
        "customApiKeyResponses": {"approved": [&KEY[KEY.len() - 20..]]},
        "projects": {place.project().to_str().unwrap(): {"hasTrustDialogAccepted": true}},
    });
    for file in [".claude.json", ".claude/.claude.json"] {
        place.home_file(file, settings.to_string());
    }
}
