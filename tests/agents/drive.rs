//! What every agent must do in the sandbox: it executes what its model orders, that is in the log with
//! its status, its own exit code arrives, nothing outside of the project has changed but what the profile
//! shares, and nobody was reached but its model and whom it is known to ask besides. The judge is
//! outside: the files, the world, the log.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::DEADLINE;
use crate::common::agent::Agent;
use crate::common::log::{Log, argv};
use crate::common::model_server::{ModelServer, Request, Script, Step};
use crate::common::model_world::ModelWorld;
use crate::common::place::Place;
use crate::common::run::Run;
use crate::common::terminal::Terminal;
use crate::common::tree::tree;
use crate::common::user::{User, users};
use crate::{common, record};

/// An agent, and how it is driven.
#[derive(Debug)]
pub(crate) struct Drive {
    /// Of its profile, and of its directory here.
    pub(crate) name: &'static str,
    /// What stands before the prompt for a run without a terminal, after the profile's command.
    pub(crate) headless: &'static [&'static str],
    /// What stands after the profile's command in a terminal.
    pub(crate) interactive: &'static [&'static str],
    /// Variables of the caller's, beside those that every agent is given.
    pub(crate) environment: &'static [(&'static str, &'static str)],
    /// Puts into the host's home what somebody has there who has used the agent before.
    pub(crate) prepare: fn(&Place),
    /// What of the home the profile shares, and so may change.
    pub(crate) shares: &'static [&'static str],
    /// What it makes beside the work it was given, in the project.
    pub(crate) litter: &'static [&'static str],
    /// Whom it asks for its model.
    pub(crate) model: &'static str,
    /// Whom it may ask besides, of those that the profile allows for work.
    pub(crate) besides: &'static [&'static str],
    /// Whom it asks for although all is switched off that can be; refused each time.
    pub(crate) refused: &'static [&'static str],
    /// With which words after the profile's command it goes on where it ended; it is told so again.
    pub(crate) resume: &'static [&'static str],
    /// Whether its model is told of the sandbox (`agent.note`).
    pub(crate) told: bool,
    /// How it tells its model that a command exited with 3.
    pub(crate) status: &'static str,
}

/// One agent, about to be run by one user.
pub(crate) struct Scene {
    pub(crate) drive: &'static Drive,
    pub(crate) agent: Agent,
    pub(crate) place: Place,
    pub(crate) model: ModelServer,
    pub(crate) world: ModelWorld,
    before: BTreeMap<PathBuf, String>,
}

const CLOSING: &str = "The file is there.";

impl Drive {
    /// The agent executes a command and ends, without a terminal.
    pub(crate) fn headless(&'static self) {
        for user in users() {
            let scene = Scene::new(self, user);
            scene.run(self.headless).run().code(0).says(CLOSING);
            scene.is_as_it_must_be();
            scene.goes_on();
            scene.record("headless");
        }
    }

    /// What it exits with where it cannot even begin, and what it says then.
    pub(crate) fn fails(&'static self, arguments: &[&str], code: i32, words: &str) {
        for user in users() {
            let scene = Scene::new(self, user);
            scene.run(arguments).run().code(code).complains(words);
            assert_eq!(scene.model.tool_results().len(), 0);
        }
    }

    /// The same as a person does it, in the pane beside the log. `ready` waits until the agent takes a
    /// prompt, and `leave` ends it.
    pub(crate) fn interactive(
        &'static self,
        ready: impl Fn(&Terminal<'_>),
        leave: impl Fn(&Terminal<'_>),
    ) {
        for user in users() {
            let scene = Scene::new(self, user);
            let sessions = Sessions(&scene.place);
            let terminal = scene.terminal();
            ready(&terminal);
            terminal.type_text("Make the file.");
            terminal.wait_for("Make the file.");
            terminal.press("Enter");
            scene.wait_for_the_result();
            terminal.wait_for(CLOSING);
            sessions.log_pane_shows("echo made inside");
            leave(&terminal);
            assert_eq!(terminal.wait(), 0);
            drop(sessions);
            scene.is_as_it_must_be();
            scene.record("interactive");
        }
    }

    /// The file that the model orders.
    fn made(&self) -> String {
        format!("made-by-{}", self.name)
    }
}

/// What the model orders.
fn command(drive: &Drive) -> String {
    format!("echo made inside > {}; sh -c 'exit 3'", drive.made())
}

impl Scene {
    pub(crate) fn new(drive: &'static Drive, user: User) -> Self {
        let steps = vec![Step::Shell(command(drive))];
        Self::with(drive, user, Script { steps, closing: CLOSING.to_owned() })
    }

    pub(crate) fn with(drive: &'static Drive, user: User, script: Script) -> Self {
        common::must_have_sandbox();
        let agent = Agent::installed(drive.name);
        let place = Place::new(user);
        let model = ModelServer::start(script, 0).unwrap();
        let world = ModelWorld::new(&model);
        place.home_file(".ssh/id_ed25519", "not for agents");
        (drive.prepare)(&place);
        let mut scene = Self { drive, agent, place, model, world, before: BTreeMap::new() };
        // It puts a file into the project.
        scene.environment();
        scene.before = tree(scene.place.root());
        scene
    }

    /// The built-in profile, without panes.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(&[], arguments)
    }

    /// The same with options of claudebox.
    pub(crate) fn run_with(&self, options: &[&str], arguments: &[&str]) -> Run {
        let run = self.place.claudebox(["run", "--no-monitor"]).args(options);
        let run = run.args([self.drive.name, "--"]).args(arguments);
        self.environment().into_iter().fold(run, |run, (name, value)| run.env(name, value))
    }

    fn terminal(&self) -> Terminal<'_> {
        let environment = self.environment();
        let environment: Vec<(&str, &str)> =
            environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut command: Vec<OsString> = vec![self.place.executable().into()];
        command.extend(["run", self.drive.name, "--"].map(Into::into));
        command.extend(self.drive.interactive.iter().map(Into::into));
        Terminal::open(&self.place, (200, 50), &environment, command)
    }

    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let mut environment = self.agent.environment(&self.place, &self.world);
        let own = self.drive.environment.iter();
        environment.extend(own.map(|(name, value)| (*name, (*value).to_owned())));
        environment
    }

    fn made(&self) -> String {
        self.drive.made()
    }

    /// Everything that must hold after the agent has done what it was told, once.
    pub(crate) fn is_as_it_must_be(&self) {
        let made = fs::read_to_string(self.place.project().join(self.made()));
        let made =
            made.unwrap_or_else(|err| panic!("{err}; the model was asked:\n{}", self.story()));
        assert_eq!(made, "made inside\n");
        assert!(self.was_told(), "{:?}", self.model.tool_results());

        let log = Log::latest(&self.place);
        let child = log.execs(|argv| argv == ["sh", "-c", "exit 3"]);
        assert_eq!(child.len(), 1, "what it started is in the log once: {child:?}");
        let project = self.place.project();
        let cwd = child[0].cwd.as_ref().map(AsRef::as_ref);
        assert_eq!(cwd, project.to_str().map(str::as_bytes));
        let exit = log.exit(child[0]).expect("its end is in the log");
        assert_eq!(exit.status, Some(3), "{:?}", argv(child[0]));
        assert!(exit.dur_us > 0, "with its duration");
        let all = log.execs(|_| true);
        assert_eq!(child[0].tool, log.has_tool_marker(), "the marker is set for what was ordered");
        assert!(!all[0].tool, "and not for the agent itself: {:?}", argv(all[0]));
        let shells = log.execs(|argv| argv.iter().any(|word| word.contains(&self.made())));
        let ended = shells.iter().any(|shell| {
            // A shell executes the last command of a script in its own process.
            shell.pid == child[0].pid || log.exit(shell).and_then(|exit| exit.status) == Some(3)
        });
        assert!(ended, "so is the agent's shell, with its end: {shells:?}");
        self.place.claudebox(["verify"]).run().code(0);

        let shown = self.place.claudebox(["log"]).run().code(0).stdout;
        // `ccr code` starts Claude Code: of what that wraps around a command nobody knows that it is its.
        let deeper = shells.first().is_some_and(|shell| shell.depth > 1);
        let unknown = self.drive.name == "claude-code-router" && deeper;
        let command = command(self.drive);
        assert!(unknown || shown.contains(&command), "no {command:?} in the log:\n{shown}");
        let wrappers: &[&str] = if unknown {
            &["codex-run-as"]
        } else {
            &["shell-snapshots", "_bgpids_file", "CODEX_SNAPSHOT", "codex-run-as", "bash"]
        };
        for line in shown.lines().filter(|line| line.contains(&self.made())) {
            let bare = !wrappers.iter().any(|wrapper| line.contains(wrapper));
            assert!(bare, "a wrapper is in the log:\n{shown}");
        }
        assert!(!shown.contains("codex-run-as"), "{shown}");

        self.nobody_else_was_reached(&log);
        self.nothing_outside_has_changed();
    }

    /// Whether the agent told its model how the command ended.
    fn was_told(&self) -> bool {
        self.model.tool_results().iter().any(|result| result.contains(self.drive.status))
    }

    fn wait_for_the_result(&self) {
        let until = Instant::now() + DEADLINE;
        while !self.was_told() {
            assert!(Instant::now() < until, "no result; the model was asked:\n{}", self.story());
            sleep(Duration::from_millis(50));
        }
    }

    /// What the model was asked, and which tools it was offered.
    fn story(&self) -> String {
        let mut story = String::new();
        for Request { method, host, path, body, .. } in self.model.requests() {
            let tools = body["tools"].as_array().into_iter().flatten();
            let named =
                |tool: &Value| tool["name"].as_str().or(tool["type"].as_str()).map(str::to_owned);
            let tools: Vec<String> = tools.filter_map(named).collect();
            let _ = writeln!(story, "{method} {host}{path} tools={}", tools.join(","));
        }
        story
    }

    /// In the next session it knows what was said in the one before, and its model of the sandbox.
    fn goes_on(&self) {
        let asked = self.model.requests().len();
        if !self.drive.resume.is_empty() {
            self.run(self.drive.resume).run().code(0).says(CLOSING);
            let knows = |request: &Request| request.body.to_string().contains("Make the file.");
            let story = self.story();
            assert!(self.model.requests().iter().skip(asked).any(knows), "{story}");
        }
        let told = |request: &Request| request.body.to_string().contains("claudebox allow HOST");
        assert_eq!(self.model.requests().iter().any(told), self.drive.told, "told of the sandbox");
    }

    fn nobody_else_was_reached(&self, log: &Log) {
        let may = [&[self.drive.model], self.drive.besides].concat();
        let asked = self.world.asked();
        assert!(asked.contains(&format!("{}:443", self.drive.model)), "{asked:?}");
        let allowed = |host: &str| may.contains(&host);
        assert!(
            asked.iter().all(|to| to.strip_suffix(":443").is_some_and(allowed)),
            "nobody else: {asked:?}"
        );
        assert!(log.connects().next().is_some());
        for connect in log.connects() {
            assert!(allowed(&connect.host) && connect.port == 443 && connect.tls, "{connect:?}");
        }
        for refused in log.refused() {
            assert!(self.drive.refused.contains(&&*refused.host), "{refused:?}");
        }
    }

    pub(crate) fn nothing_outside_has_changed(&self) {
        let (drive, root) = (self.drive, self.place.root());
        let project = drive.litter.iter().map(|name| format!("project/{name}"));
        let home = drive.shares.iter().map(|name| format!("home/{name}"));
        // claudebox's own, and the test's.
        let others = ["run", "home/.local/state/claudebox", "home/.cache/claudebox"];
        let others =
            others.map(str::to_owned).into_iter().chain([format!("project/{}", drive.made())]);
        let may: Vec<PathBuf> =
            project.chain(home).chain(others).map(|name| root.join(name)).collect();
        let after = tree(root);
        let changed = self.before.keys().chain(after.keys());
        let changed = changed.filter(|path| self.before.get(*path) != after.get(*path));
        let wrong: Vec<&PathBuf> = changed
            .filter(|path| !may.iter().any(|may| may.starts_with(path) || path.starts_with(may)))
            .filter(|path| !is_of_the_terminal(path))
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    pub(crate) fn record(&self, what: &str) {
        let refused = Log::latest(&self.place).refused().map(|it| it.host.clone()).collect();
        record::driven(self.drive.name, what, self.place.user(), self.world.asked(), refused);
    }
}

/// Whether it is a file by which the test has its terminal.
fn is_of_the_terminal(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"terminal-"))
}

/// The sessions of a place: none outlives its test, however that ends.
struct Sessions<'a>(&'a Place);

impl Sessions<'_> {
    fn sockets(&self) -> Vec<PathBuf> {
        let sessions = fs::read_dir(self.0.root().join("run/claudebox")).into_iter().flatten();
        let sockets = sessions.flatten().map(|session| session.path().join("tmux.sock"));
        sockets.filter(|socket| socket.exists()).collect()
    }

    fn tmux(&self, socket: &Path, arguments: &[&str]) -> String {
        self.0
            .command("tmux")
            .args([OsStr::new("-S"), socket.as_os_str()])
            .args(arguments)
            .run()
            .stdout
    }

    /// The pane beside the agent's shows the command that made the file, and what it started.
    fn log_pane_shows(&self, made: &str) {
        let sockets = self.sockets();
        let until = Instant::now() + DEADLINE;
        loop {
            let shown = self.tmux(&sockets[0], &["capture-pane", "-p", "-J", "-t", "%1"]);
            if shown.contains(made) && shown.contains("exit 3") {
                return;
            }
            assert!(Instant::now() < until, "the log pane shows:\n{shown}");
            sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Sessions<'_> {
    fn drop(&mut self) {
        for socket in self.sockets() {
            self.tmux(&socket, &["kill-server"]);
        }
    }
}
