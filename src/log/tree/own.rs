//! What the agent runs for itself, of which the pane shows a count only. A command is that by its
//! ancestors, each of them known, and by the file that ran. It must never count what a command that
//! was asked for, or one that lost its ancestors, has started.
#![forbid(unsafe_code)]

use super::Tree;
use crate::bytes::Bytes;
use crate::log::command::{Command, is_system};
use crate::log::event::{Exec, ExecId};
use crate::log::node::Node;
use crate::log::unwrap::basename;

/// Run what the first file among their arguments says: to have the agent's is to be the agent.
const INTERPRETERS: [&[u8]; 10] =
    [b"node", b"nodejs", b"bun", b"deno", b"python", b"python3", b"ruby", b"perl", b"php", b"java"];
/// Options of theirs that change nothing of what is run; others (`-e`, `--require`) may be the program.
const HARMLESS: [&[u8]; 2] = [b"--max-old-space-size", b"--no-warnings"];
/// So many scripts are remembered: an agent starts by way of one, or of two.
const MOST_SCRIPTS: usize = 4;

/// The agent: its process and the program in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Agent {
    pid: i32,
    path: Bytes,
    /// What an interpreter in its process was given, and the program itself, which may be a script.
    scripts: Vec<Bytes>,
    /// The program itself is a script.
    interpreted: bool,
    /// What a script of that kind is there to start: the program of its name.
    engine: Option<Bytes>,
}

impl Agent {
    /// The agent that this exec starts.
    pub(super) fn new(exec: &Exec) -> Self {
        let mut agent = Self { pid: exec.pid, path: exec.path.clone(), ..Self::default() };
        agent.remember(&exec.path);
        agent.executes(exec);
        agent
    }

    /// The agent's process executes something: an `env`, the interpreter of its script.
    pub(super) fn executes(&mut self, exec: &Exec) {
        if exec.pid == self.pid
            && is_interpreter(&exec.path.0)
            && let Some(script) = script(&exec.argv)
        {
            self.interpreted |= *script == self.path;
            self.remember(script);
        }
    }

    /// The agent's process starts something. npm's `codex` is a script that starts the `codex` which
    /// then does the work; that comes first, before anything that it was asked for.
    pub(super) fn starts(&mut self, exec: &Exec) {
        let engine = self.interpreted
            && exec.path.0.starts_with(b"/")
            && basename(&exec.path.0) == basename(&self.path.0);
        if engine && self.engine.is_none() {
            self.engine = Some(exec.path.clone());
        }
    }

    /// Whether an exec is the agent's own program: in its process, or by its whole path.
    pub(super) fn is_program(&self, exec: &Exec) -> bool {
        exec.depth == 0 && exec.pid == self.pid
            || self.is_started_by(exec)
            || self.engine.as_ref() == Some(&exec.path)
    }

    fn remember(&mut self, script: &Bytes) {
        // A relative path leads elsewhere from elsewhere.
        let room = self.scripts.len() < MOST_SCRIPTS;
        if room && script.0.starts_with(b"/") && !self.scripts.contains(script) {
            self.scripts.push(script.clone());
        }
    }

    /// Whether an exec starts the agent's own program once more.
    fn is_started_by(&self, exec: &Exec) -> bool {
        exec.path == self.path && exec.path.0.starts_with(b"/")
    }

    /// Whether what an interpreter is to run is the agent's script, and nothing before it.
    fn has_script_of(&self, exec: &Exec) -> bool {
        script(&exec.argv).is_some_and(|script| self.scripts.contains(script))
    }

    /// The name by which an exec that the agent started can be known.
    fn name<'e>(&self, exec: &'e Exec) -> Option<&'e [u8]> {
        if is_interpreter(&exec.path.0) {
            // By its first argument it could call itself anything, and it is none of its programs.
            return self.has_script_of(exec).then(|| basename(&exec.path.0));
        }
        // A program of many names (`rg` in the agent's own file) goes by the one that it is given.
        let own = self.is_started_by(exec);
        Some(basename(if own { &exec.argv.first()?.0 } else { &exec.path.0 }))
    }
}

fn is_interpreter(path: &[u8]) -> bool {
    let name = basename(path);
    // `python3.12` is python, too.
    let name = name.strip_prefix(b"python3.").map_or(name, |_| b"python3");
    INTERPRETERS.contains(&name)
}

/// The script among an interpreter's arguments.
fn script(argv: &[Bytes]) -> Option<&Bytes> {
    let is_harmless = |argument: &&Bytes| {
        let option = argument.0.split(|byte| *byte == b'=').next();
        option.is_some_and(|option| HARMLESS.contains(&option))
    };
    argv.iter().skip(1).find(|argument| !is_harmless(argument)).filter(|it| !it.0.starts_with(b"-"))
}

impl Tree {
    /// The name under which a command counts as the agent's own housekeeping.
    pub(super) fn helper(&self, key: ExecId, shown: &Command) -> Option<String> {
        let node = self.nodes.get(&key)?;
        let exec = &node.exec;
        // The agent can leave the marker away and call itself anything; so a helper must be a
        // program of that name in a familiar place, or the agent's own.
        if self.rules.raw || exec.tool || !shown.familiar || exec.depth == 0 {
            return None;
        }
        let agent = self.agent.as_ref()?;
        let direct = self.is_direct(key);
        if !direct && (agent.is_started_by(exec) || !self.is_below_helpers(key, node, agent)) {
            return None;
        }
        let name = std::str::from_utf8(agent.name(exec)?).ok()?;
        self.rules.helpers.iter().any(|helper| helper == name).then(|| name.to_owned())
    }

    /// Whether the agent itself has started the process, and this is the first that it executes. What
    /// lost its ancestors is said to be below the agent, but is no child of its process.
    pub(super) fn is_direct(&self, key: ExecId) -> bool {
        let (Some(agent), Some(Node { exec, .. })) = (&self.agent, self.nodes.get(&key)) else {
            return false;
        };
        // A search along PATH has the number of its first place.
        let first = exec.root.is_some_and(|root| root == exec.id || root == key);
        exec.depth == 1 && exec.ppid == agent.pid && first
    }

    /// Whether what started it, or was in its process before, is a helper of the system's. One that is
    /// shown may have started anything; and so may a file that a command could have written.
    fn is_below_helpers(&self, key: ExecId, node: &Node, agent: &Agent) -> bool {
        let passes_on = |id: ExecId| {
            self.nodes.get(&id).is_some_and(|above| {
                let path = &above.exec.path.0;
                above.helper.is_some()
                    && self.has_run(above)
                    && is_system(path)
                    && !agent.is_started_by(&above.exec)
            })
        };
        let process = self.processes.get(&node.exec.pid);
        let current = process.filter(|process| process.first != key).map(|process| process.current);
        let before = current.filter(|current| *current != key);
        node.parent.is_some_and(passes_on) && before.is_none_or(passes_on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec(path: &str, argv: &[&str]) -> Exec {
        let argv = argv.iter().map(|argument| Bytes::from(*argument)).collect();
        Exec { pid: 7, path: path.into(), argv, ..Exec::default() }
    }

    fn name(agent: &Agent, path: &str, argv: &[&str]) -> Option<String> {
        let exec = exec(path, argv);
        agent.name(&exec).map(|name| String::from_utf8_lossy(name).into_owned())
    }

    #[test]
    fn attack_an_interpreter_is_the_agents_with_its_script_only() {
        // `#!/usr/bin/env -S node --no-warnings`
        let mut agent = Agent::new(&exec("/opt/bin/gemini", &["gemini"]));
        let argv = ["node", "--no-warnings=DEP0040", "/opt/bin/gemini", "-y"];
        agent.executes(&exec("/usr/bin/node", &argv));
        let own = ["node", "--max-old-space-size=4096", "/opt/bin/gemini"];
        assert_eq!(name(&agent, "/usr/bin/node", &own).as_deref(), Some("node"));
        let started = Agent::new(&exec("/usr/bin/node", &["node", "/opt/agent.js"]));
        let again = name(&started, "/usr/bin/node", &["git", "/opt/agent.js"]);
        assert_eq!(again.as_deref(), Some("node"), "not by its first argument");
        for argv in [
            &["node", "/tmp/x.js"][..],
            &["git", "push"],
            &["node", "-e", "x", "/opt/bin/gemini"],
            &["node", "--require", "/tmp/x.js", "/opt/bin/gemini"],
            &["node", "--import=/tmp/x.mjs", "/opt/bin/gemini"],
            &["node"],
            &[],
        ] {
            assert_eq!(name(&agent, "/usr/bin/node", argv), None, "{argv:?}");
            assert_eq!(name(&started, "/usr/bin/node", argv), None, "{argv:?}");
        }
        // Control: a program of its own goes by the name that it is given, any other by its file's.
        let claude = Agent::new(&exec("/opt/claude", &["claude", "hello"]));
        assert_eq!(name(&claude, "/opt/claude", &["rg", "--files"]).as_deref(), Some("rg"));
        assert_eq!(name(&claude, "/usr/bin/git", &["rg"]).as_deref(), Some("git"));
    }

    #[test]
    fn attack_a_script_that_is_relative_is_nobodys() {
        let agent = Agent::new(&exec("/usr/bin/node", &["node", "agent.js"]));
        assert_eq!(name(&agent, "/usr/bin/node", &["node", "agent.js"]), None);
    }

    #[test]
    fn a_version_is_no_other_interpreter() {
        assert!(is_interpreter(b"/usr/bin/python3.12") && is_interpreter(b"/usr/bin/node"));
        assert!(!is_interpreter(b"/usr/bin/git") && !is_interpreter(b"/bin/sh"));
    }
}
