//! A: whoever is logged in stays so, inside and on the host, whichever of the two renews the token; and
//! nothing inside logs the host out. With the real Claude Code, at the real names of Anthropic's, which
//! lead to a server that renews a token once (see [`login`](crate::common::model_server::login)).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::common::agent::{AUTHORITY, Agent};
use crate::common::log::Log;
use crate::common::model_server::login::{RENEWAL, access_token, refresh_token};
use crate::common::model_server::{ModelServer, Script, Step};
use crate::common::model_world::ModelWorld;
use crate::common::place::Place;
use crate::common::run::Run;
use crate::common::user::{User, users};
use crate::common::{DEADLINE, must_have, must_have_sandbox};

/// A host that is logged in, and all of Anthropic's that its Claude Code talks to.
struct Scene {
    claude: Agent,
    place: Place,
    model: ModelServer,
    world: ModelWorld,
}

impl Scene {
    /// The model demands the first token, and orders `command`.
    fn new(user: User, command: &str) -> Self {
        must_have_sandbox();
        must_have(&["git"]);
        let steps = vec![Step::Shell(command.to_owned())];
        let model = ModelServer::start(Script { steps, closing: "Done.".into() }, 0).unwrap();
        model.login().renew();
        let world = ModelWorld::new(&model);
        Self { claude: Agent::installed("claude"), place: Place::new(user), model, world }
    }

    fn credentials(&self) -> PathBuf {
        self.place.home().join(".claude/.credentials.json")
    }

    /// Puts a login into the host's file as Claude Code does: a new file, renamed over the old one.
    fn log_in(&self, number: u32, expires: Duration) {
        let new = self.place.home_file(".claude/new", login(number, expires).to_string());
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(new, self.credentials()).unwrap();
    }

    /// The access and the refresh token in the host's file.
    fn tokens(&self) -> [Value; 2] {
        let mut now = json_of(&self.credentials());
        ["accessToken", "refreshToken"].map(|key| now["claudeAiOauth"][key].take())
    }

    fn with_world(&self, run: Run) -> Run {
        let environment = self.claude.environment(&self.place, &self.world);
        let run = environment.into_iter().fold(run, |run, (name, value)| run.env(name, value));
        run.without_env("ANTHROPIC_API_KEY")
    }

    /// Claude Code in the sandbox, with the profile as it is built in.
    fn inside(&self) -> Run {
        self.inside_as("claude")
    }

    fn inside_as(&self, profile: &str) -> Run {
        let arguments = ["run", "--no-monitor", profile, "--", "-p", "Go on."];
        self.with_world(self.place.claudebox(arguments))
    }

    /// The same in another project.
    fn inside_other(&self, other: &Path) -> Run {
        let authority = other.join(AUTHORITY);
        fs::write(&authority, self.world.authority()).unwrap();
        self.inside().env("NODE_EXTRA_CA_CERTS", authority).directory(other)
    }

    /// Any of its commands in the sandbox, and others.
    fn script_inside(&self, script: &str) -> Run {
        let program = self.claude.modules();
        let program = program.to_str().unwrap();
        let run = self.place.claudebox(["run", "--no-monitor", "--profile", "claude"]);
        self.with_world(run.args(["--ro-bind", program, "--", "bash", "-c", script]))
    }

    /// Claude Code on the host, as without claudebox.
    fn outside(&self, arguments: &[&str]) -> Run {
        self.with_world(self.place.command("claude").args(arguments))
            .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
    }

    /// Another project of the same home.
    fn other_project(&self) -> PathBuf {
        let other = self.place.root().join("other");
        fs::create_dir(&other).unwrap();
        self.place.user().own(&other);
        self.place.command("git").args(["init", "-q", other.to_str().unwrap()]).run().code(0);
        other
    }

    /// Where a renewal was asked for, and with which refresh token.
    fn renewals(&self) -> Vec<(String, String)> {
        let requests = self.model.requests().into_iter();
        let renewals = requests.filter(|request| request.path == RENEWAL);
        let token = |body: &Value| body["refresh_token"].as_str().unwrap_or_default().to_owned();
        renewals.map(|request| (request.host, token(&request.body))).collect()
    }

    /// The tokens with which the model was asked something, without repetition.
    fn bearers(&self) -> Vec<String> {
        let requests = self.model.requests().into_iter();
        let asked = requests.filter(|request| request.path.starts_with("/v1/messages"));
        let mut bearers: Vec<String> = asked.map(|request| request.bearer).collect();
        bearers.dedup();
        bearers
    }
}

/// What Claude Code has in its file; with a token of an MCP server, which is not for inside.
fn login(number: u32, expires: Duration) -> Value {
    json!({
        "claudeAiOauth": {
            "accessToken": access_token(number), "refreshToken": refresh_token(number),
            "expiresAt": u64::try_from(expires.as_millis()).unwrap(),
            "scopes": ["user:inference", "user:profile"],
            "subscriptionType": "max", "rateLimitTier": "default_claude_max_5x",
        },
        "mcpOAuth": {"host": "secret"},
    })
}

fn tokens(number: u32) -> [Value; 2] {
    [access_token(number).into(), refresh_token(number).into()]
}

const LONG_AGO: Duration = Duration::from_secs(1_700_000_000);

/// Hours from now.
fn not_soon() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(8 * 60 * 60)
}

fn json_of(path: &Path) -> Value {
    fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or(Value::Null)
}

#[track_caller]
fn wait_until_there(file: &Path) {
    let until = Instant::now() + DEADLINE;
    while !file.exists() {
        assert!(Instant::now() < until, "{} never came", file.display());
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn promise_a_a_token_that_the_agent_renews_is_the_hosts() {
    for user in users() {
        let scene = Scene::new(user, "echo made inside > made");
        let other = scene.other_project();
        scene.log_in(1, LONG_AGO);
        scene.inside().run().code(0).says("Done.");
        assert_eq!(fs::read(scene.place.project().join("made")).unwrap(), b"made inside\n");
        let renewed = [("platform.claude.com".to_owned(), refresh_token(1))];
        assert_eq!(scene.renewals(), renewed);
        assert_eq!(scene.bearers(), [access_token(2)]);
        assert_eq!(scene.world.asked(), ["api.anthropic.com:443", "platform.claude.com:443"]);
        assert_eq!(Log::latest(&scene.place).refused().next(), None);

        assert_eq!(scene.tokens(), tokens(2));
        let now = json_of(&scene.credentials());
        let oauth = &now["claudeAiOauth"];
        assert!(oauth["expiresAt"].as_u64() > Some(1_700_000_000_000), "{now}");
        assert_eq!(oauth["subscriptionType"], json!("max"));
        let before = login(1, LONG_AGO);
        assert_eq!(now["mcpOAuth"], before["mcpOAuth"], "what is the host's stays there");
        let mode = fs::metadata(scene.credentials()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        // The host, and a session in another project, go on with it, and need no other.
        scene.outside(&["-p", "Go on."]).run().code(0).says("Done.");
        scene.inside_other(&other).run().code(0).says("Done.");
        assert_eq!(fs::read(other.join("made")).unwrap(), b"made inside\n");
        assert_eq!(scene.renewals(), renewed);
        assert_eq!(scene.bearers(), [access_token(2)]);

        // Control: where the login is only given, the host keeps what is worth nothing any more.
        let scene = Scene::new(user, "true");
        scene.place.home_file(".config/claudebox/profiles/given.toml", given());
        scene.log_in(1, LONG_AGO);
        scene.inside_as("given").run().code(0).says("Done.");
        assert_eq!((scene.bearers(), scene.tokens()), (vec![access_token(2)], tokens(1)));
        let output = scene.outside(&["-p", "Go on."]).run();
        assert!(output.code != 0 && !output.stdout.contains("Done."), "{output:?}");
    }
}

/// The built-in profile, but for that the login is copied at the start, and not kept in step.
fn given() -> String {
    let login = "\"~/.claude/.credentials.json\" = [\"claudeAiOauth\"]\n";
    let profile = include_str!("../../profiles/claude.toml");
    let without = profile.replace(&format!("[state-sync]\n{login}"), "");
    assert_ne!(without, profile);
    without.replace("[state-copy]\n", &format!("[state-copy]\n{login}"))
}

#[test]
fn promise_a_a_token_that_was_refused_inside_stays_the_hosts() {
    for user in users() {
        let scene = Scene::new(user, "true");
        scene.model.login().renew();
        scene.log_in(1, LONG_AGO);
        let before = fs::read_to_string(scene.credentials()).unwrap();
        let output = scene.inside().run();
        assert!(output.code != 0 && !output.stdout.contains("Done."), "{output:?}");
        assert_eq!(scene.renewals()[0].1, refresh_token(1), "it was tried");
        assert_eq!(fs::read_to_string(scene.credentials()).unwrap(), before);
        // Control: on the host, the refusal takes the token away.
        let output = scene.outside(&["-p", "Go on."]).run();
        assert_ne!(output.code, 0, "{output:?}");
        assert_ne!(scene.tokens(), tokens(1), "{output:?}");
    }
}

#[test]
fn promise_a_a_token_that_the_host_renews_reaches_a_running_agent() {
    // What the agent's own command waits for, the agent has too.
    let wait =
        "touch started; until grep -q fake-2 ~/.claude/.credentials.json; do sleep 0.1; done";
    for user in users() {
        let scene = Scene::new(user, wait);
        scene.log_in(1, not_soon());
        let started = scene.inside().start();
        wait_until_there(&scene.place.project().join("started"));
        let number = scene.model.login().renew();
        scene.log_in(number, not_soon());
        started.wait().code(0).says("Done.");
        assert!(scene.renewals().is_empty(), "it took the host's");
        assert_eq!(scene.bearers(), [access_token(1), access_token(2)]);
        assert_eq!(scene.tokens(), tokens(2));
    }
}

#[test]
fn promise_a_a_logout_inside_is_for_the_session_only() {
    for user in users() {
        let scene = Scene::new(user, "true");
        scene.log_in(1, not_soon());
        // Long enough for the mirror to see it.
        let logout = "claude auth logout && sleep 0.5; grep -c fake-1 ~/.claude/.credentials.json";
        let output = scene.script_inside(logout).run();
        assert_ne!(output.code, 0, "it was logged out: {output:?}");
        assert!(output.stdout.contains("ogged out"), "by Claude Code itself: {output:?}");
        assert_eq!(scene.tokens(), tokens(1));
        scene.inside().run().code(0).says("Done.");
        scene.outside(&["-p", "Go on."]).run().code(0).says("Done.");

        // Control: the same on the host logs the host out, and with it who starts later.
        scene.outside(&["auth", "logout"]).run().code(0);
        assert_eq!(scene.tokens(), [Value::Null, Value::Null]);
        assert_ne!(scene.inside().run().code, 0);
        assert!(scene.renewals().is_empty());
    }
}

/// What docs/agent-state.md says of another login: it is taken, and nothing that stands beside it.
#[test]
fn promise_a_a_login_of_somebody_else_brings_nothing_along() {
    for user in users() {
        let scene = Scene::new(user, "true");
        scene.log_in(1, not_soon());
        scene.model.login().renew();
        let expires = not_soon();
        let mut planted = login(2, expires);
        planted["mcpOAuth"] = json!({"host": "planted"});
        planted["apiKeyHelper"] = json!("touch planted");
        scene.place.project_file("planted.json", planted.to_string());
        let plant = "cp planted.json ~/.claude/.credentials.json";
        scene.script_inside(plant).run().code(0);
        assert_eq!(json_of(&scene.credentials()), login(2, expires));
        scene.outside(&["-p", "Go on."]).run().code(0).says("Done.");
        assert_eq!((scene.bearers(), scene.renewals().len()), (vec![access_token(2)], 0));

        // Control: outside, the same brings all of it along.
        scene.place.command("sh").args(["-c", plant]).run().code(0);
        assert_eq!(json_of(&scene.credentials()), planted);
    }
}
