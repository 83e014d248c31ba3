//! The real Claude Code, from npm, in the sandbox: what it was told to run is run, is in the log
//! with status and duration, changes the project and nothing else, and its exit code arrives.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use common::agent;
use common::log::{Log, argv};
use common::model_server::{ModelServer, PAGE_TEXT, Script, Step};
use common::model_world::ModelWorld;
use common::place::Place;
use common::run::Run;
use common::terminal::Terminal;
use common::user::users;

/// What the model tells the agent to do.
const COMMAND: &str = "echo made inside > made-by-claude; sh -c 'exit 3'";

fn model() -> ModelServer {
    let script = Script {
        steps: vec![Step::Shell(COMMAND.to_owned())],
        closing: "The file is there.".to_owned(),
    };
    ModelServer::start(script, 0).unwrap()
}

fn with_claude(run: Run, model: &ModelServer) -> Run {
    with(run, agent::claude_environment(model))
}

fn with<N: AsRef<OsStr>>(run: Run, environment: Vec<(N, String)>) -> Run {
    environment.into_iter().fold(run, |run, (name, value)| run.env(name, value))
}

/// Everything that must hold after the agent has run [`COMMAND`] once.
fn command_ran_and_is_logged(place: &Place, model: &ModelServer) {
    let made = fs::read_to_string(place.project().join("made-by-claude")).unwrap();
    assert_eq!(made, "made inside\n");
    let results = model.tool_results();
    assert_eq!(results.len(), 1, "the tool ran once: {results:?}");
    assert!(results[0].contains("Exit code 3"), "the agent saw the status: {results:?}");

    let log = Log::latest(place);
    let shell = log.execs(|argv| argv.iter().any(|word| word.contains("made-by-claude")));
    assert_eq!(shell.len(), 1, "the agent's shell is in the log once: {shell:?}");
    assert_eq!(log.exit(shell[0]).and_then(|exit| exit.status), Some(3));

    let child = log.execs(|argv| argv == ["sh", "-c", "exit 3"]);
    assert_eq!(child.len(), 1, "so is what the shell started: {child:?}");
    assert_eq!(
        child[0].cwd.as_ref().map(AsRef::as_ref),
        place.project().to_str().map(str::as_bytes)
    );
    let exit = log.exit(child[0]).expect("its end is in the log");
    assert_eq!(exit.status, Some(3), "{:?}", argv(child[0]));
    assert!(exit.dur_us > 0, "with its duration");

    place.claudebox(["verify"]).run().code(0);
}

#[test]
fn headless() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let secret = place.home_file(".ssh/id_ed25519", "not for agents");
        let model = model();
        agent::let_reach_the_model(&place, &model);
        let run = place.claudebox(["run", "--no-monitor", "claude", "--", "-p", "Make the file."]);
        with_claude(run, &model).run().code(0).says("The file is there.");
        command_ran_and_is_logged(&place, &model);
        assert_eq!(fs::read_to_string(secret).unwrap(), "not for agents");
        assert_eq!(names_in(&place.project(), &[".git"]), ["made-by-claude"]);
        let state = [".ssh", ".claude", ".claude.json", ".local", ".cache", ".config"];
        assert!(names_in(&place.home(), &state).is_empty(), "nothing new in the home");
    }
}

/// One host is allowed, and found by its name; the built-in profile lets Claude Code try no other.
#[test]
fn through_the_allow_list() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let model = model();
        let world = ModelWorld::new(&model);
        only_the_model(&place, "");
        in_the_world(&place, &world).run().code(0).says("The file is there.");
        command_ran_and_is_logged(&place, &model);
        assert_eq!(world.asked(), [format!("{MODEL}:443")]);
        let log = Log::latest(&place);
        assert!(log.connects().next().is_some());
        for connect in log.connects() {
            assert_eq!((&*connect.host, connect.port, connect.tls), (MODEL, 443, true));
        }
        assert_eq!(log.refused().next(), None);
    }
}

/// The control: where the profile does not switch it off, it is tried, and refused.
#[test]
fn telemetry_is_refused_where_it_is_not_switched_off() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let model = model();
        let world = ModelWorld::new(&model);
        only_the_model(&place, TALKATIVE);
        in_the_world(&place, &world).run().code(0).says("The file is there.");
        command_ran_and_is_logged(&place, &model);
        assert_eq!(world.asked(), [format!("{MODEL}:443")]);
        let log = Log::latest(&place);
        let refused: Vec<&str> = log.refused().map(|refused| &*refused.host).collect();
        assert!(refused.contains(&"api.anthropic.com"), "{refused:?}");
    }
}

const MODEL: &str = "model.example";

/// What the profile switches off.
const TALKATIVE: &str = "[environment.set]\n\
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC = \"\"\n\
    CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL = \"\"\n\
    DISABLE_AUTOUPDATER = \"\"\n\
    DISABLE_TELEMETRY = \"\"\n\
    DISABLE_ERROR_REPORTING = \"\"\n";

/// A layer of the user's in which nothing else is allowed.
fn only_the_model(place: &Place, more: &str) {
    let network = format!("allow = [\"{MODEL}\"]\ndeny = [\"@anthropic\", \"@dev\"]\n");
    let layer = format!("[network]\n{network}{more}");
    place.home_file(".config/claudebox/profiles/claude.toml", layer);
}

/// Claude Code with its profile's own settings, but for where the model is.
fn in_the_world(place: &Place, world: &ModelWorld) -> Run {
    let run = place.claudebox(["run", "--no-monitor", "claude", "--", "-p", "Make the file."]);
    with(run, agent::world_environment(place, world))
        .env("ANTHROPIC_BASE_URL", format!("https://{MODEL}"))
}

/// The built-in profile as it stands: the model at its own name, and a page that is allowed for this
/// run; another is not read.
#[test]
fn pages_are_read_where_they_are_allowed() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let steps = ["https://page.example/page", "https://other.example/page"];
        let steps = steps.map(|url| Step::Fetch(url.to_owned())).to_vec();
        let closing = "Read.".to_owned();
        let model = ModelServer::start(Script { steps, closing }, 0).unwrap();
        let world = ModelWorld::new(&model);
        let run = place.claudebox(["run", "--no-monitor", "--allow", "page.example"]);
        let run = run.args(["claude", "--", "-p", "Read the pages."]);
        with(run, agent::world_environment(&place, &world)).run().code(0).says("Read.");
        let results = model.tool_results();
        assert_eq!(results.len(), 2, "{results:?}");
        assert_eq!(results[0], "Read.", "the page went to the model, which says this of all");
        assert!(results[1].contains("ENOTFOUND"), "{results:?}");
        let bodies: Vec<String> =
            model.requests().iter().map(|request| request.body.to_string()).collect();
        assert!(bodies.iter().any(|body| body.contains(PAGE_TEXT)));
        assert_eq!(world.asked(), ["api.anthropic.com:443", "page.example:443"]);
        let refused: Vec<String> =
            Log::latest(&place).refused().map(|refused| refused.host.clone()).collect();
        assert!(refused.iter().all(|host| host == "other.example"), "{refused:?}");
        assert!(!refused.is_empty());
    }
}

#[test]
fn headless_failure_arrives_as_the_agents_own_code() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let run =
            place.claudebox(["run", "--no-monitor", "claude", "--", "-p", "--no-such-option"]);
        let output = with_claude(run, &model()).run().code(1);
        assert!(output.stderr.contains("--no-such-option"), "claude's own words: {output:?}");
    }
}

#[test]
fn interactive_in_the_tmux_pane() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        agent::answer_claudes_first_questions(&place);
        let model = model();
        agent::let_reach_the_model(&place, &model);
        let environment = agent::claude_environment(&model);
        let environment: Vec<(&str, &str)> =
            environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let executable = place.executable().to_str().unwrap();
        let terminal =
            Terminal::open(&place, (200, 50), &environment, [executable, "run", "claude"]);
        trust_the_folder(&terminal);
        terminal.wait_for("bypass permissions on");
        terminal.type_text("Make the file.");
        terminal.wait_for("Make the file.");
        terminal.press("Enter");
        terminal.wait_for("The file is there.");
        let screen = terminal.wait_for("made-by-claude");
        assert!(screen.contains("exit 3"), "the log pane shows the command:\n{screen}");
        terminal.type_text("/exit");
        terminal.wait_for("Exit the CLI");
        terminal.press("Enter");
        assert_eq!(terminal.wait(), 0);
        command_ran_and_is_logged(&place, &model);
        assert_eq!(names_in(&place.project(), &[".git"]), ["made-by-claude"]);
    }
}

/// Claude Code asks once for each project, unless it has been told already.
fn trust_the_folder(terminal: &Terminal<'_>) {
    let (question, done) = ("Yes, I trust this folder", "bypass permissions on");
    // A key that comes before the dialog listens is lost: it is pressed until it was taken.
    while terminal.wait_for_one_of([question, done]).contains(question) {
        if terminal.screen().contains("❯ Yes, I trust") {
            terminal.press("Enter");
        } else {
            terminal.press("Down");
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
}

/// The names in a directory, without those that are expected.
fn names_in(directory: &Path, expected: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !expected.contains(&name.as_str()))
        .collect();
    names.sort();
    names
}
