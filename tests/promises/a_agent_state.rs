//! A: what a session leaves in the agent's state and in the private home does not run outside later,
//! nor in another project's sandbox; the login and the conversations of the project go on. With the
//! real Claude Code where it matters.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::common::agent::{Agent, let_reach_the_model};
use crate::common::model_server::{ModelServer, Script, Step};
use crate::common::place::Place;
use crate::common::run::{Run, Started};
use crate::common::user::{User, users};
use crate::common::{DEADLINE, must_have, must_have_sandbox};
use crate::outside::tree;

/// Plants all over the home: whatever Claude Code, a shell, git or npm would run or obey there. What
/// runs makes a file `mark-...` where it is started; what is read as an instruction says `planted-`.
const PLANT: &str = r#"
cd "$HOME"
mkdir -p .claude/skills/x .claude/commands .claude/agents .claude/rules .claude/hooks .claude/plugins \
    .claude/output-styles .claude/local .claude/shell-snapshots .claude/todos .claude/plans .claude/ide \
    .local/bin .local/share/claude/versions .config/git
echo '{"hooks":{"SessionStart":[{"hooks":[{"type":"command","command":"touch mark-hook"}]}]}}' \
    | tee .claude/settings.json > .claude/settings.local.json
python3 - <<'P'
import json
try: config = json.load(open(".claude.json"))
except OSError: config = {}
config["mcpServers"] = {"x": {"command": "/bin/sh", "args": ["-c", "touch mark-mcp; sleep 1"]}}
json.dump(config, open(".claude.json.tmp", "w"))
P
mv .claude.json.tmp .claude.json
cp .claude.json .claude/.config.json
printf -- '---\nname: x\ndescription: planted-skill\n---\n' > .claude/skills/x/SKILL.md
printf -- '---\ndescription: planted-command\n---\n' > .claude/commands/y.md
printf -- '---\nname: z\ndescription: planted-agent\n---\n' > .claude/agents/z.md
echo planted-memory > .claude/CLAUDE.md
echo planted-rule > .claude/rules/r.md
echo 'touch mark-snapshot' > .claude/shell-snapshots/snapshot-bash-1-x.sh
for name in .bashrc .profile .bash_profile .zshenv; do echo 'touch mark-shell' > $name; done
printf '#!/bin/sh\ntouch mark-program\n' | tee .local/bin/claude .claude/local/claude \
    .claude/statusline.sh > .local/share/claude/versions/9.9.9
chmod +x .local/bin/claude .claude/local/claude .local/share/claude/versions/9.9.9
git config --global alias.planted '!touch mark-git'
echo 'init-author-name=planted-npm' > .npmrc
"#;

/// What a victim does beside starting Claude Code, in any project.
const USE: &str = "bash -ic true; bash -lc true; git planted; npm config get init-author-name;
    PATH=$HOME/.local/bin:$HOME/.claude/local:/bin:$PATH sh -c 'command -v claude && claude --version'; true";

/// Two projects in one home: the repository of an attacker (the place's own), and another.
struct Scene {
    claude: Agent,
    place: Place,
    other: PathBuf,
    model: ModelServer,
    /// How many requests were looked at.
    looked: Cell<usize>,
}

impl Scene {
    fn new(user: User) -> Self {
        must_have_sandbox();
        must_have(&["python3", "npm", "git"]);
        let place = Place::new(user);
        let other = place.root().join("other");
        fs::create_dir(&other).unwrap();
        user.own(&other);
        place.command("git").args(["init", "-q", other.to_str().unwrap()]).run().code(0);
        let script = Script { steps: vec![Step::Shell("true".into())], closing: "Done.".into() };
        let model = ModelServer::start(script, 0).unwrap();
        let_reach_the_model(&place, &model);
        Self { claude: Agent::installed("claude"), place, other, model, looked: Cell::new(0) }
    }

    fn with_model(&self, mut run: Run) -> Run {
        for (name, value) in self.claude.claude_environment(&self.model) {
            run = run.env(name, value);
        }
        run.env("IS_SANDBOX", "1")
    }

    /// A script in the profile `claude`, in a project.
    fn script(&self, project: &Path, script: &str) -> Run {
        // With Claude Code's own program in reach of the script.
        let program = self.claude.modules();
        let program = program.to_str().unwrap();
        let run = self.place.claudebox(["run", "--no-monitor", "--profile", "claude"]);
        let run = run.args(["--ro-bind", program, "--", "bash", "-c", script]);
        self.with_model(run.directory(project))
    }

    /// Claude Code in the sandbox.
    fn claude_inside(&self, project: &Path, arguments: &[&str]) {
        let run = self.place.claudebox(["run", "--no-monitor", "claude", "--"]);
        let run = self.with_model(run.args(arguments).directory(project));
        run.run().code(0).says("Done.");
    }

    /// Claude Code on the host, as without claudebox.
    fn claude_outside(&self, project: &Path, arguments: &[&str]) {
        let run = self.with_model(self.place.command("claude")).directory(project);
        run.args(arguments).run().code(0).says("Done.");
    }

    /// What the model was asked since the last time.
    fn asked(&self) -> String {
        let requests = self.model.requests();
        let looked = self.looked.replace(requests.len());
        requests.iter().skip(looked).map(|request| request.body.to_string()).collect()
    }

    /// What ran in a project, and the instructions that the model was sent; both start anew.
    fn planted(&self, project: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(project).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.starts_with("mark-") {
                fs::remove_file(project.join(&name)).unwrap();
                found.push(name);
            }
        }
        let said = self.asked();
        for word in ["skill", "command", "agent", "memory", "rule", "npm"] {
            let word = format!("planted-{word}");
            if said.contains(&word) {
                found.push(word);
            }
        }
        found.sort();
        found
    }

    /// The home of the user as it is on the host, without claudebox's own files.
    fn home(&self) -> BTreeMap<PathBuf, String> {
        let mut tree = tree(&self.place.home());
        let own = [".local/state", ".cache", ".config"].map(|path| self.place.home().join(path));
        tree.retain(|path, _| {
            !own.iter().any(|own| path.starts_with(own) || own.starts_with(path))
        });
        tree
    }

    /// The directory in which Claude Code keeps a project's conversations.
    fn conversations(&self, project: &Path) -> PathBuf {
        let name = project.to_str().unwrap().replace(|ch: char| !ch.is_ascii_alphanumeric(), "-");
        self.place.home().join(".claude/projects").join(name)
    }
}

/// Everything that [`PLANT`] plants for Claude Code.
const FOR_CLAUDE: [&str; 8] = [
    "mark-hook",
    "mark-mcp",
    "mark-shell",
    "planted-agent",
    "planted-command",
    "planted-memory",
    "planted-rule",
    "planted-skill",
];

/// What Claude Code does with files does not depend on who runs it; it is tried as one user, being
/// slow. What can be written and where is tried as everyone.
fn with_claude(user: User) -> bool {
    users().first() == Some(&user)
}

#[track_caller]
fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < until, "{what} never came");
        thread::sleep(Duration::from_millis(10));
    }
}

fn json_of(path: &Path) -> Value {
    fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or(Value::Null)
}

#[test]
fn promise_a_what_a_session_plants_is_not_on_the_host() {
    for user in users() {
        let scene = Scene::new(user);
        let place = &scene.place;
        place.home_file(".claude/settings.json", "{}");
        place.home_file(".claude/commands/mine.md", "mine");
        place.home_file("dotfiles/CLAUDE.md", "mine");
        let link = place.home().join(".claude/CLAUDE.md");
        std::os::unix::fs::symlink("../dotfiles/CLAUDE.md", link).unwrap();
        let before = scene.home();

        let attack = format!(
            "({PLANT}) 2>/dev/null; echo planted > {}/memory/MEMORY.md; ls ~/.claude",
            scene.conversations(&place.project()).display()
        );
        scene.script(&place.project(), &attack).run().code(0).says("skills");
        let mut after = scene.home();
        let own = scene.conversations(&place.project());
        let projects = own.parent().unwrap();
        assert!(after.remove(projects).is_some() && after.remove(&own).is_some());
        assert!(after.remove(&own.join("memory")).is_some(), "what is mounted on");
        assert_eq!(after, before);
        if !with_claude(user) {
            continue;
        }

        scene.claude_outside(&scene.other, &["-p", "hello"]);
        place.command("bash").args(["-c", USE]).directory(&scene.other).run();
        assert_eq!(scene.planted(&scene.other), Vec::<String>::new());

        // Control: planted where nothing keeps it away, all of it runs or is obeyed.
        place.command("bash").args(["-c", PLANT]).run().code(0);
        scene.claude_outside(&scene.other, &["-p", "hello"]);
        wait_for("the MCP server", || scene.other.join("mark-mcp").exists());
        assert_eq!(scene.planted(&scene.other), FOR_CLAUDE);
        place.command("bash").args(["-c", USE]).directory(&scene.other).run().says("planted-npm");
        assert_eq!(scene.planted(&scene.other), ["mark-git", "mark-program", "mark-shell"]);
    }
}

#[test]
fn promise_a_what_one_project_plants_is_not_in_another() {
    for user in users() {
        let scene = Scene::new(user);
        scene.script(&scene.place.project(), PLANT).run().code(0);
        if with_claude(user) {
            scene.claude_inside(&scene.other, &["-p", "hello"]);
        }
        let output = scene.script(&scene.other, USE).run().code(0);
        assert!(!output.stdout.contains("planted"), "{output:?}");
        assert_eq!(scene.planted(&scene.other), Vec::<String>::new());

        if !with_claude(user) {
            continue;
        }

        // Nor, but for its own ~/.claude.json, in the next session of the same project.
        scene.claude_inside(&scene.place.project(), &["-p", "hello"]);
        assert!(!scene.planted(&scene.place.project()).contains(&"mark-hook".to_owned()));

        // Control: within one session it is obeyed, so it would be if it were there.
        let both = format!("({PLANT}); claude -p hello; {USE}");
        scene.script(&scene.other, &both).run().code(0).says("Done.").says("planted-npm");
        wait_for("the MCP server", || scene.other.join("mark-mcp").exists());
        let mut all = FOR_CLAUDE.to_vec();
        all.extend(["mark-git", "mark-program"]);
        all.sort_unstable();
        assert_eq!(scene.planted(&scene.other), all);
    }
}

#[test]
fn promise_a_another_repository_at_the_same_path_does_not_inherit() {
    for user in users() {
        let scene = Scene::new(user);
        let plant = format!("({PLANT}); echo planted > ~/.claude/history.jsonl");
        scene.place.home_file(".claude.json", r#"{"theme":"dark"}"#);
        let look = format!("cat ~/.claude/history.jsonl ~/.claude.json; {USE}");
        scene.script(&scene.other, &plant).run().code(0);
        // Control: the same repository finds it.
        scene
            .script(&scene.other, &look)
            .run()
            .code(0)
            .says("planted-npm")
            .says("planted\n")
            .says("mark-mcp");

        let moved = scene.place.root().join("moved");
        fs::rename(&scene.other, &moved).unwrap();
        fs::create_dir(&scene.other).unwrap();
        user.own(&scene.other);
        scene.place.command("git").args(["init", "-q"]).directory(&scene.other).run().code(0);
        let output = scene.script(&scene.other, &look).run().code(0);
        assert!(
            !output.stdout.contains("planted") && !output.stdout.contains("mark"),
            "{output:?}"
        );
        assert_eq!(scene.planted(&scene.other), Vec::<String>::new());
    }
}

/// A login as Claude Code writes it: a new file, renamed over the old one.
const WRITE: &str = r#"
write() { printf '%s' "$2" > "$1.tmp" && mv "$1.tmp" "$1"; }
login() { write ~/.claude/.credentials.json "{\"claudeAiOauth\":$1,\"mcpOAuth\":{\"planted\":1}}"; }
"#;

#[test]
fn promise_a_a_first_login_survives_a_killed_supervisor() {
    for user in users() {
        let scene = Scene::new(user);
        let place = &scene.place;
        let credentials = place.home().join(".claude/.credentials.json");
        let marker = crate::outside::Marker::new();
        let login = format!(
            r#"{WRITE}
            write ~/.claude.json '{{"oauthAccount":{{"emailAddress":"u"}},"hasCompletedOnboarding":true,
                "mcpServers":{{"planted":1}},"customApiKeyResponses":{{"approved":["k"]}}}}'
            login '{{"accessToken":"a1","refreshToken":"r1"}}'
            {}"#,
            marker.command()
        );
        let started: Started = scene.script(&place.project(), &login).start();
        marker.wait_until_it_runs();
        wait_for("the login", || credentials.exists());
        let config = place.home().join(".claude.json");
        wait_for("the account", || config.exists());
        started.signal(Signal::SIGKILL);
        marker.wait_until_it_is_gone();
        let oauth = json!({"accessToken": "a1", "refreshToken": "r1"});
        assert_eq!(json_of(&credentials), json!({"claudeAiOauth": oauth}));
        let account =
            json!({"oauthAccount": {"emailAddress": "u"}, "hasCompletedOnboarding": true});
        assert_eq!(json_of(&config), account);
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &fs::metadata(&credentials).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);

        let show = "cat ~/.claude/.credentials.json ~/.claude.json";
        scene.script(&scene.other, show).run().code(0).says("\"a1\"").says("emailAddress");

        // Who logs out on the host is logged out everywhere, and what is left inside does not come back.
        fs::remove_file(&credentials).unwrap();
        fs::write(&config, "{}").unwrap();
        let output = scene.script(&place.project(), &format!("{show}; sleep 0.5")).run().code(0);
        assert!(!output.stdout.contains("\"a1\""), "{output:?}");
        assert!(!credentials.exists() && json_of(&config) == json!({}));
    }
}

#[test]
fn promise_a_a_renewed_login_passes_both_ways_and_nothing_worse() {
    for user in users() {
        let scene = Scene::new(user);
        let place = &scene.place;
        let file = |token: &str| {
            let login = json!({"accessToken": token, "refreshToken": token});
            json!({"claudeAiOauth": login, "mcpOAuth": {"host": "secret"}})
        };
        let credentials = place.home_file(".claude/.credentials.json", file("t1").to_string());
        let renew = format!(
            r#"{WRITE}
            cat ~/.claude/.credentials.json
            login '{{"accessToken":"t2","refreshToken":"t2"}}'
            until grep -q t3 ~/.claude/.credentials.json; do sleep 0.05; done
            cat ~/.claude/.credentials.json; echo; echo seen"#
        );
        let wait = "until grep -q t3 ~/.claude/.credentials.json; do sleep 0.05; done; echo seen";
        let started = scene.script(&place.project(), &renew).start();
        wait_for("the renewed login", || json_of(&credentials) == file("t2"));
        let waits = scene.script(&scene.other, wait).start();
        let new = place.home_file(".claude/new", file("t3").to_string());
        fs::rename(new, &credentials).unwrap();
        // A session in another project has it too, whoever renewed it.
        waits.wait().code(0).says("seen");
        let output = started.wait().code(0).says("t1").says("seen");
        assert!(!output.stdout.contains("secret"), "{output:?}");
        assert_eq!(json_of(&credentials), file("t3"));

        // What is not a login, or less than one, is not taken; neither is what a link leads to.
        let victim = place.home_file("victim.json", file("victim").to_string());
        let attacks = format!(
            r#"{WRITE}
            cd ~/.claude
            login '{{"accessToken":"t4","refreshToken":""}}'; sleep 0.3
            login '"text"'; sleep 0.1; login '[]'; sleep 0.1; login null; sleep 0.1
            login "{{\"accessToken\":\"$(head -c 40000 /dev/zero | tr '\0' x)\",\"refreshToken\":\"x\"}}"
            sleep 0.1; rm .credentials.json; ln -s {} .credentials.json; sleep 0.1
            rm .credentials.json; mkfifo .credentials.json; sleep 0.1
            rm .credentials.json; mkdir .credentials.json; sleep 0.1
            mv ~/.claude ~/moved; rm -rf ~/.claude; echo done"#,
            victim.display()
        );
        scene.script(&place.project(), &attacks).run().code(0).says("done");
        assert_eq!(json_of(&credentials), file("t3"));
        assert_eq!(json_of(&victim), file("victim"));
        // Control: it is the value that was refused, and not the way it came.
        let good = format!("{WRITE} login '{{\"accessToken\":\"t5\",\"refreshToken\":\"t5\"}}'");
        scene.script(&place.project(), &good).run().code(0);
        assert_eq!(json_of(&credentials), file("t5"));
    }
}

#[test]
fn promise_a_conversations_go_on_and_those_of_other_projects_are_not_there() {
    for user in users().into_iter().filter(|user| with_claude(*user)) {
        let scene = Scene::new(user);
        let project = scene.place.project();
        scene.claude_outside(&scene.other, &["-p", "secret-of-another"]);
        scene.claude_outside(&project, &["-p", "first-words"]);
        let search = "grep -rs secret-of-another ~; true";
        let output = scene.script(&project, search).run().code(0);
        assert!(!output.stdout.contains("secret"), "{output:?}");
        // Control.
        scene.script(&scene.other, search).run().code(0).says("secret-of-another");

        let said = |words: &str| scene.asked().contains(words);
        assert!(said("first-words"));
        scene.claude_inside(&project, &["-p", "--continue", "second-words"]);
        assert!(said("first-words"), "inside goes on with what began outside");
        scene.claude_outside(&project, &["-p", "--continue", "third-words"]);
        assert!(said("second-words"), "and the other way round");

        // What it noted for itself is there the next time, inside, and only there.
        let memory = scene.conversations(&project).join("memory");
        let note = format!("echo noted > {}/MEMORY.md", memory.display());
        scene.script(&project, &note).run().code(0);
        assert!(!memory.join("MEMORY.md").exists());
        scene.claude_inside(&project, &["-p", "fourth-words"]);
        assert!(said("noted"));
        scene.claude_outside(&project, &["-p", "fifth-words"]);
        assert!(!said("noted"));
    }
}
