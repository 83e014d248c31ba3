//! A session that is written event by event, and how it is shown.

use std::collections::HashMap;

use super::*;

/// Writes a session event by event.
pub(super) struct Session {
    pub(super) t: Micros,
    pub(super) last: ExecId,
    pub(super) events: Vec<Event>,
    pub(super) pids: HashMap<ExecId, i32>,
    depths: HashMap<ExecId, u32>,
    roots: HashMap<ExecId, Option<ExecId>>,
    began: HashMap<ExecId, Micros>,
}

pub(super) const NOON: Micros = 1_795_392_000_000_000;

impl Session {
    pub(super) fn new() -> Self {
        let start = Start {
            v: 1,
            t: NOON,
            session: "k3f9".into(),
            profile: "claude".into(),
            agent: vec!["claude".into(), "--dangerously-skip-permissions".into()],
            project: "/home/u/p".into(),
            network: "host".into(),
            weakened: vec!["the network is open: anything inside can reach any host".into()],
            tool_marker: Some("CLAUDECODE".into()),
            home: Some("/home/u".into()),
            helpers: vec!["git".into(), "rg".into()],
            ..Start::default()
        };
        let exec_log =
            ExecLogStatus::On { exit_source: "pidfd".into(), killable: true, verifies: true };
        let confined = Confined {
            t: NOON,
            landlock: "fully".into(),
            landlock_abi: 7,
            exec_log,
            limits: Vec::new(),
        };
        let mut session = Self {
            t: NOON,
            last: 0,
            events: vec![Event::Start(start), Event::Confined(confined)],
            pids: HashMap::new(),
            depths: HashMap::new(),
            roots: HashMap::new(),
            began: HashMap::new(),
        };
        let agent =
            session.exec(None, "/opt/claude", &["claude", "--dangerously-skip-permissions"]);
        assert_eq!(agent, 1);
        session.ran(agent, Outcome::Verified);
        session.wait(3000);
        session
    }

    pub(super) fn wait(&mut self, millis: u64) {
        self.t += millis * 1000;
    }

    pub(super) fn put(&mut self, exec: Exec) -> ExecId {
        self.last += 1;
        self.t += 100;
        let id = self.last;
        let pid = if exec.pid == 0 { i32::try_from(id).unwrap() + 100 } else { exec.pid };
        let depth = exec.parent.map_or(0, |parent| self.depths[&parent] + 1);
        self.pids.insert(id, pid);
        self.depths.insert(id, depth);
        self.began.insert(id, self.t);
        // Whoever has another parent than it would have has lost its ancestors.
        let root = exec.root.or_else(|| match exec.parent.filter(|_| exec.ppid == 0)? {
            1 => Some(id),
            parent => self.roots[&parent],
        });
        self.roots.insert(id, root);
        let cwd = exec.cwd.clone().or(Some("/home/u/p".into()));
        let exec = match exec.parent {
            Some(parent) if exec.ppid == 0 => Exec { ppid: self.pids[&parent], ..exec },
            _ => exec,
        };
        let exec = Exec { t: self.t, id, pid, depth, root, cwd, ..exec };
        self.events.push(Event::Exec(Box::new(exec)));
        id
    }

    pub(super) fn exec(&mut self, parent: Option<ExecId>, path: &str, argv: &[&str]) -> ExecId {
        let argv = argv.iter().map(|argument| Bytes::from(*argument)).collect();
        self.put(Exec { path: path.into(), argv, parent, tool: true, ..Exec::default() })
    }

    pub(super) fn ran(&mut self, id: ExecId, outcome: Outcome) {
        self.t += 100;
        let errno = (outcome == Outcome::Failed).then(|| "ENOENT".to_owned());
        let ran = Ran { t: self.t, id, outcome, argv: None, exe: None, errno };
        self.events.push(Event::Ran(ran));
    }

    pub(super) fn exit(&mut self, id: ExecId, status: u8) {
        self.t += 100;
        let dur_us = self.t - self.began[&id];
        let (t, pid) = (self.t, self.pids[&id]);
        let exit = Exit {
            t,
            id,
            pid,
            status: Some(status),
            signal: None,
            core: false,
            dur_us,
            src: "pidfd".into(),
        };
        self.events.push(Event::Exit(exit));
    }

    pub(super) fn kill(&mut self, id: ExecId, signal: u8) {
        self.exit(id, 0);
        if let Some(Event::Exit(exit)) = self.events.last_mut() {
            (exit.status, exit.signal) = (None, Some(signal));
        }
    }

    /// A command that runs and exits.
    pub(super) fn command(
        &mut self,
        parent: ExecId,
        path: &str,
        argv: &[&str],
        status: u8,
    ) -> ExecId {
        let id = self.exec(Some(parent), path, argv);
        self.ran(id, Outcome::Verified);
        self.exit(id, status);
        id
    }

    pub(super) fn shell(&mut self, script: &str) -> ExecId {
        let id = self.exec(Some(1), "/bin/bash", &["/bin/bash", "-c", script]);
        self.ran(id, Outcome::Verified);
        id
    }

    pub(super) fn helper(&mut self, path: &str, argv: &[&str], status: u8) {
        let argv = argv.iter().map(|argument| Bytes::from(*argument)).collect();
        let id = self.put(Exec { path: path.into(), argv, parent: Some(1), ..Exec::default() });
        self.ran(id, Outcome::Verified);
        self.exit(id, status);
    }

    pub(super) fn end(&mut self) {
        self.exit(1, 0);
        let end = End {
            t: self.t,
            execs: self.last,
            code: 0,
            reason: "agent-exited".into(),
            dur_us: None,
        };
        self.events.push(Event::End(end));
    }

    pub(super) fn shown(&self, width: Option<u16>, change: impl FnOnce(&mut Options)) -> String {
        shown(self.events.clone(), width, change)
    }

    /// Only the rows, without times.
    pub(super) fn rows(&self) -> String {
        let shown = self.shown(Some(100), |_| {});
        let rows = shown.lines().filter(|line| line.starts_with("00:"));
        rows.skip(1).flat_map(|line| [&line[9..], "\n"]).collect()
    }
}

pub(super) fn options() -> Options {
    Options { zone: TimeZone::UTC, all: false, failed: false, tree: false, grep: None }
}

pub(super) fn shown(
    events: Vec<Event>,
    width: Option<u16>,
    change: impl FnOnce(&mut Options),
) -> String {
    let mut options = options();
    change(&mut options);
    let mut view = View::new(options);
    view.set_width(width);
    for event in events {
        view.event(event);
    }
    view.finish(false);
    anstream::adapter::strip_str(&view.take()).to_string()
}
