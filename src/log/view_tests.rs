//! Tests of the view: scripted sessions with their exact lines, and hostile ones.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::log::event::{Exec, ExecId, Exit, Outcome, Ran};
use crate::visible::is_invisible;

/// Writes a session event by event.
struct Session {
    t: Micros,
    last: ExecId,
    events: Vec<Event>,
    pids: HashMap<ExecId, i32>,
    depths: HashMap<ExecId, u32>,
    began: HashMap<ExecId, Micros>,
}

const NOON: Micros = 1_795_392_000_000_000;

impl Session {
    fn new() -> Self {
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
            helpers: vec!["git".into(), "rg".into()],
            ..Start::default()
        };
        let exec_log =
            ExecLogStatus::On { exit_source: "pidfd".into(), killable: true, verifies: true };
        let confined = Confined { t: NOON, landlock: "fully".into(), landlock_abi: 7, exec_log };
        let mut session = Self {
            t: NOON,
            last: 0,
            events: vec![Event::Start(start), Event::Confined(confined)],
            pids: HashMap::new(),
            depths: HashMap::new(),
            began: HashMap::new(),
        };
        let agent =
            session.exec(None, "/opt/claude", &["claude", "--dangerously-skip-permissions"]);
        assert_eq!(agent, 1);
        session.ran(agent, Outcome::Verified);
        session.wait(3000);
        session
    }

    fn wait(&mut self, millis: u64) {
        self.t += millis * 1000;
    }

    fn put(&mut self, exec: Exec) -> ExecId {
        self.last += 1;
        self.t += 100;
        let id = self.last;
        let pid = if exec.pid == 0 { i32::try_from(id).unwrap() + 100 } else { exec.pid };
        let depth = exec.parent.map_or(0, |parent| self.depths[&parent] + 1);
        self.pids.insert(id, pid);
        self.depths.insert(id, depth);
        self.began.insert(id, self.t);
        let cwd = exec.cwd.clone().or(Some("/home/u/p".into()));
        let exec = Exec { t: self.t, id, pid, depth, cwd, ..exec };
        self.events.push(Event::Exec(Box::new(exec)));
        id
    }

    fn exec(&mut self, parent: Option<ExecId>, path: &str, argv: &[&str]) -> ExecId {
        let argv = argv.iter().map(|argument| Bytes::from(*argument)).collect();
        self.put(Exec { path: path.into(), argv, parent, tool: true, ..Exec::default() })
    }

    fn ran(&mut self, id: ExecId, outcome: Outcome) {
        self.t += 100;
        let errno = (outcome == Outcome::Failed).then(|| "ENOENT".to_owned());
        let ran = Ran { t: self.t, id, outcome, argv: None, exe: None, errno };
        self.events.push(Event::Ran(ran));
    }

    fn exit(&mut self, id: ExecId, status: u8) {
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

    fn kill(&mut self, id: ExecId, signal: u8) {
        self.exit(id, 0);
        if let Some(Event::Exit(exit)) = self.events.last_mut() {
            (exit.status, exit.signal) = (None, Some(signal));
        }
    }

    /// A command that runs and exits.
    fn command(&mut self, parent: ExecId, path: &str, argv: &[&str], status: u8) -> ExecId {
        let id = self.exec(Some(parent), path, argv);
        self.ran(id, Outcome::Verified);
        self.exit(id, status);
        id
    }

    fn shell(&mut self, script: &str) -> ExecId {
        let id = self.exec(Some(1), "/bin/bash", &["/bin/bash", "-c", script]);
        self.ran(id, Outcome::Verified);
        id
    }

    fn helper(&mut self, path: &str, argv: &[&str], status: u8) {
        let argv = argv.iter().map(|argument| Bytes::from(*argument)).collect();
        let id = self.put(Exec { path: path.into(), argv, parent: Some(1), ..Exec::default() });
        self.ran(id, Outcome::Verified);
        self.exit(id, status);
    }

    fn end(&mut self) {
        self.exit(1, 0);
        let end = End { t: self.t, execs: self.last, code: 0, reason: "agent-exited".into() };
        self.events.push(Event::End(end));
    }

    fn shown(&self, width: Option<u16>, change: impl FnOnce(&mut Options)) -> String {
        shown(self.events.clone(), width, change)
    }

    /// Only the rows, without times.
    fn rows(&self) -> String {
        let shown = self.shown(Some(100), |_| {});
        let rows = shown.lines().filter(|line| line.starts_with("00:"));
        rows.skip(1).flat_map(|line| [&line[9..], "\n"]).collect()
    }
}

fn options() -> Options {
    Options { zone: TimeZone::UTC, all: false, failed: false, tree: false, grep: None }
}

fn shown(events: Vec<Event>, width: Option<u16>, change: impl FnOnce(&mut Options)) -> String {
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

/// What a session with Claude Code looks like.
fn claude() -> Session {
    let mut session = Session::new();
    for _ in 0..5 {
        session.helper("/usr/bin/git", &["git", "status"], 0);
    }
    session.helper("/usr/bin/git", &["git", "config", "--get", "user.name"], 1);
    session.helper("/opt/claude", &["rg", "--files"], 0);
    let tool = session.shell("source /h/.claude/shell-snapshots/s.sh 2>/dev/null || true && eval 'ls -la && echo hi > made.txt' < /dev/null && pwd -P >| /tmp/claude-1-cwd");
    session.command(tool, "/usr/bin/ls", &["ls", "-la"], 0);
    session.exit(tool, 0);
    session.wait(1000);
    session.helper("/usr/bin/git", &["git", "status"], 0);
    let tool = session.shell("npm test");
    let npm = session.exec(Some(tool), "/usr/local/bin/npm", &["npm", "test"]);
    session.ran(npm, Outcome::Verified);
    session.wait(2500);
    session.command(npm, "/bin/sh", &["sh", "-c", "jest"], 1);
    session.exit(npm, 1);
    session.exit(tool, 1);
    session.shell("true");
    session.end();
    session
}

#[test]
fn a_session_reads_well_at_80_columns() {
    insta::assert_snapshot!(claude().shown(Some(80), |_| {}), @r"
session  k3f9 2026-11-23 00:00:00
agent    claude --dangerously-skip-permissions
project  /home/u/p
profile  claude, network host
WEAKENED the network is open: anything inside can reach any host
confined Landlock (ABI 7); every exec is seen and its arguments confirmed
00:00:00    …         /opt/claude --dangerously-skip-permissions
00:00:03         +7   git, rg (1 failed)
00:00:03    0  <1ms   ls -la && echo hi > made.txt
00:00:04         +1   git
00:00:04    …         npm test
00:00:06    1  <1ms     jest
00:00:06    1  2.5s   npm test
00:00:06    0  6.5s   /opt/claude --dangerously-skip-permissions
00:00:06    ?         true
ended    exit code 0 after 6.5s, 15 commands, 4 failed
");
}

#[test]
fn a_session_reads_well_at_40_columns() {
    insta::assert_snapshot!(claude().shown(Some(40), |_| {}), @r"
session  k3f9 2026-11-23 00:00:00
agent    claude
         --dangerously-skip-permissions
project  /home/u/p
profile  claude, network host
WEAKENED the network is open: anything
         inside can reach any host
confined Landlock (ABI 7); every exec is
         seen and its arguments
         confirmed
00:00   …  /opt/claude --dangerous…(+19)
00:00  +7  git, rg (1 failed)
00:00   0  ls -la && echo hi > made.txt
00:00  +1  git
00:00   …  npm test
00:00   1   jest
00:00   1  npm test 2.5s
00:00   0  /opt/claude --dang…(+24) 6.5s
00:00   ?  true
ended    exit code 0 after 6.5s, 15
         commands, 4 failed
");
}

#[test]
fn everything_is_there_when_asked_for() {
    insta::assert_snapshot!(claude().shown(None, |options| options.all = true), @r#"
session  k3f9 2026-11-23 00:00:00
agent    claude --dangerously-skip-permissions
project  /home/u/p
profile  claude, network host
WEAKENED the network is open: anything inside can reach any host
confined Landlock (ABI 7); every exec is seen and its arguments confirmed
00:00:00    …         /opt/claude --dangerously-skip-permissions
00:00:03    0  <1ms   git status
00:00:03    0  <1ms   git status
00:00:03    0  <1ms   git status
00:00:03    0  <1ms   git status
00:00:03    0  <1ms   git status
00:00:03    1  <1ms   git config --get user.name
00:00:03    0  <1ms   exec -a rg /opt/claude --files
00:00:03    0  <1ms   /bin/bash -c "source /h/.claude/shell-snapshots/s.sh 2>/dev/null || true && eval 'ls -la && echo hi > made.txt' < /dev/null && pwd -P >| /tmp/claude-1-cwd"
00:00:03    0  <1ms     ls -la
00:00:04    0  <1ms   git status
00:00:04    …         /bin/bash -c 'npm test'
00:00:04    …           npm test
00:00:06    1  <1ms       sh -c jest
00:00:06    1  2.5s     npm test
00:00:06    1  2.5s   /bin/bash -c 'npm test'
00:00:06    0  6.5s   /opt/claude --dangerously-skip-permissions
00:00:06    ?         /bin/bash -c true
ended    exit code 0 after 6.5s, 15 commands, 4 failed
"#);
}

#[test]
fn only_failures_when_asked_for() {
    insta::assert_snapshot!(claude().shown(Some(80), |options| options.failed = true), @r"
session  k3f9 2026-11-23 00:00:00
agent    claude --dangerously-skip-permissions
project  /home/u/p
profile  claude, network host
WEAKENED the network is open: anything inside can reach any host
confined Landlock (ABI 7); every exec is seen and its arguments confirmed
00:00:03    1  <1ms   git config --get user.name
00:00:06    1  <1ms     jest
00:00:06    1  2.5s   npm test
ended    exit code 0 after 6.5s, 15 commands, 4 failed
");
}

#[test]
fn only_matches_when_asked_for() {
    let grep = |options: &mut Options| options.grep = Some(Regex::new("^git .*user").unwrap());
    insta::assert_snapshot!(claude().shown(Some(80), grep), @r"
session  k3f9 2026-11-23 00:00:00
agent    claude --dangerously-skip-permissions
project  /home/u/p
profile  claude, network host
WEAKENED the network is open: anything inside can reach any host
confined Landlock (ABI 7); every exec is seen and its arguments confirmed
00:00:03    1  <1ms   git config --get user.name
ended    exit code 0 after 6.5s, 15 commands, 4 failed
");
}

#[test]
fn a_tree_shows_who_started_whom() {
    let mut session = Session::new();
    let make = session.shell("make all");
    let cc = session.exec(Some(make), "/usr/bin/make", &["make", "-C", "x"]);
    session.command(cc, "/usr/bin/cc", &["cc", "a.c"], 0);
    session.command(cc, "/bin/sh", &["sh", "gen.sh"], 0);
    session.exit(cc, 0);
    session.command(make, "/usr/bin/ar", &["ar", "q"], 2);
    session.wait(5000);
    session.exit(make, 2);
    session.end();
    insta::assert_snapshot!(session.shown(Some(80), |options| options.tree = true), @r"
session  k3f9 2026-11-23 00:00:00
agent    claude --dangerously-skip-permissions
project  /home/u/p
profile  claude, network host
WEAKENED the network is open: anything inside can reach any host
confined Landlock (ABI 7); every exec is seen and its arguments confirmed
00:00:00    …         /opt/claude --dangerously-skip-permissions
00:00:03    2  5.0s   make all
00:00:03    0  <1ms   ├─make -C x
00:00:03    0  <1ms   │ ├─cc a.c
00:00:03    0  <1ms   │ └─sh gen.sh
00:00:03    2  <1ms   └─ar q
00:00:08    0  8.0s   /opt/claude --dangerously-skip-permissions
ended    exit code 0 after 8.0s, 6 commands, 2 failed
");
}

#[test]
fn a_shell_that_executes_its_command_is_one_row() {
    let mut session = Session::new();
    let shell = session.shell("ls -l");
    let argv = vec!["ls".into(), "-l".into()];
    let pid = session.pids[&shell];
    let ls = session.put(Exec {
        pid,
        path: "/usr/bin/ls".into(),
        argv,
        parent: Some(shell),
        ..Exec::default()
    });
    session.ran(ls, Outcome::Verified);
    session.exit(ls, 2);
    session.end();
    insta::assert_snapshot!(session.rows(), @r"
2  <1ms   ls -l
0  3.0s   /opt/claude --dangerously-skip-permissions
");
}

#[test]
fn what_a_shell_turns_into_is_shown() {
    let mut session = Session::new();
    let shell = session.shell("exec $SECRET");
    let pid = session.pids[&shell];
    for name in ["one", "two"] {
        let argv = vec![name.into()];
        let path = Bytes::from(format!("/usr/bin/{name}").as_str());
        let id = session.put(Exec { pid, path, argv, parent: Some(shell), ..Exec::default() });
        session.ran(id, Outcome::Verified);
    }
    session.exit(session.last, 7);
    session.end();
    insta::assert_snapshot!(session.rows(), @r"
   7  <1ms   exec $SECRET
exec           one
   7  <1ms     two
   0  3.0s   /opt/claude --dangerously-skip-permissions
");
}

#[test]
fn the_last_exec_of_codex_is_the_command() {
    let mut session = Session::new();
    let step =
        session.exec(Some(1), "/usr/bin/codex", &["codex", "--codex-run-as-process-setup", "x"]);
    session.ran(step, Outcome::Verified);
    let pid = session.pids[&step];
    for script in ["__CODEX_SNAPSHOT=x; exec", "npm test"] {
        let argv = vec!["bash".into(), "-c".into(), script.into()];
        let id = session.put(Exec {
            pid,
            path: "/bin/bash".into(),
            argv,
            parent: Some(step),
            ..Exec::default()
        });
        session.ran(id, Outcome::Verified);
    }
    session.exit(session.last, 0);
    session.end();
    insta::assert_snapshot!(session.rows(), @r"
0  <1ms   npm test
0  3.0s   /opt/claude --dangerously-skip-permissions
");
}

#[test]
fn a_search_along_path_is_one_row() {
    let mut session = Session::new();
    for places in [["/usr/local/bin/", "/usr/bin/"], ["/opt/a/", "/opt/b/"]] {
        let mut retry_of = None;
        for (at, place) in places.iter().enumerate() {
            let path = Bytes::from(format!("{place}tool").as_str());
            let exec = Exec {
                pid: 500,
                path,
                argv: vec!["tool".into()],
                parent: Some(1),
                retry_of,
                ..Exec::default()
            };
            let id = session.put(exec);
            retry_of = Some(id);
            let found = at == 1 && *place == "/usr/bin/";
            session.ran(id, if found { Outcome::Verified } else { Outcome::Failed });
            if found {
                session.exit(id, 0);
            }
        }
    }
    session.wait(1000);
    session.end();
    insta::assert_snapshot!(session.rows(), @r"
   0  <1ms   tool
fail         tool ENOENT
   0  4.0s   /opt/claude --dangerously-skip-permissions
");
}

#[test]
fn a_failure_is_never_hidden_by_the_line_above() {
    let mut session = Session::new();
    // Named by the script, which succeeds all the same.
    let shell = session.shell("ls nowhere; true");
    session.command(shell, "/usr/bin/ls", &["ls", "nowhere"], 2);
    session.exit(shell, 0);
    // The only command of a script, which hides its failure.
    let shell = session.shell("ls gone &");
    session.command(shell, "/usr/bin/ls", &["ls", "gone"], 2);
    session.exit(shell, 0);
    // The same, after the shell has been shown as running.
    let shell = session.shell("ls late &");
    let ls = session.exec(Some(shell), "/usr/bin/ls", &["ls", "late"]);
    session.wait(3000);
    session.exit(ls, 2);
    session.exit(shell, 0);
    // Nothing to add here.
    let shell = session.shell("ls plain");
    session.command(shell, "/usr/bin/ls", &["ls", "plain"], 2);
    session.exit(shell, 2);
    session.end();
    insta::assert_snapshot!(session.rows(), @r"
0  <1ms   ls nowhere; true
2  <1ms     ls nowhere
0  <1ms   ls gone &
2  <1ms     ls gone
…         ls late &
2  3.0s     ls late
0  3.0s   ls late &
2  <1ms   ls plain
0  6.0s   /opt/claude --dangerously-skip-permissions
");
}

#[test]
fn lies_are_marked() {
    let mut session = Session::new();
    for outcome in [Outcome::Changed, Outcome::OwnLoader, Outcome::Unverified] {
        let id = session.exec(Some(1), "/usr/bin/ls", &["ls"]);
        session.ran(id, outcome);
        if let Some(Event::Ran(ran)) = session.events.last_mut()
            && outcome == Outcome::Changed
        {
            ran.argv = Some(vec!["ls".into(), "/secret".into()]);
        }
        session.exit(id, 0);
    }
    session.end();
    insta::assert_snapshot!(session.rows(), @r"
0  <1ms ! /usr/bin/ls /secret
0  <1ms ~ ls
0  <1ms ? ls
0  3.0s   /opt/claude --dangerously-skip-permissions
");
}

#[test]
fn what_is_doubtful_is_shown_even_where_the_line_above_says_it() {
    for (outcome, sign) in [(Outcome::Changed, "! "), (Outcome::Unverified, "? ")] {
        let mut session = Session::new();
        let shell = session.shell("ls");
        let ls = session.exec(Some(shell), "/usr/bin/ls", &["ls"]);
        session.ran(ls, outcome);
        session.exit(ls, 0);
        session.exit(shell, 0);
        session.end();
        assert!(session.rows().contains(sign), "{}", session.rows());
    }
}

#[test]
fn a_helper_by_name_only_is_shown() {
    let mut session = Session::new();
    session.helper("/tmp/git", &["git", "x"], 0);
    session.helper("/usr/bin/curl", &["git", "x"], 0);
    session.helper("/usr/bin/git", &["curl", "x"], 0);
    session.end();
    insta::assert_snapshot!(session.rows(), @r"
0  <1ms   /tmp/git x
0  <1ms   exec -a git /usr/bin/curl x
     +1   git
0  3.0s   /opt/claude --dangerously-skip-permissions
");
}

#[test]
fn the_directory_is_shown_when_it_changes() {
    let mut session = Session::new();
    for cwd in ["/home/u/p/src", "/home/u/p/src", "/tmp/a b", "/home/u/p", "/home/u/pp"] {
        let argv = vec!["pwd".into(), cwd.len().to_string().as_str().into()];
        let id = session.put(Exec {
            path: "/usr/bin/pwd".into(),
            argv,
            parent: Some(1),
            cwd: Some(cwd.into()),
            ..Exec::default()
        });
        session.exit(id, 0);
    }
    session.end();
    insta::assert_snapshot!(session.rows(), @r"
0  <1ms   src$ pwd 13
0  <1ms   pwd 13
0  <1ms   '/tmp/a b'$ pwd 8
0  <1ms   .$ pwd 9
0  <1ms   /home/u/pp$ pwd 10
0  3.0s   .$ /opt/claude --dangerously-skip-permissions
");
}

#[test]
fn signals_repeats_and_notices() {
    let mut session = Session::new();
    for _ in 0..5 {
        session.command(1, "/usr/bin/test", &["test", "-f", "x"], 1);
    }
    let id = session.exec(Some(1), "/usr/bin/sleep", &["sleep", "9"]);
    session.kill(id, 9);
    let text = "a shell was opened\x1b]0;x\x07".to_owned();
    session.events.push(Event::Notice(Notice { t: session.t, kind: "shell-opened".into(), text }));
    session.end();
    insta::assert_snapshot!(session.rows(), @r"
   1  <1ms   test -f x
   1    x4   test -f x
KILL  <1ms   sleep 9
a shell was opened\x1b]0;x\x07
   0  3.0s   /opt/claude --dangerously-skip-permissions
");
}

#[test]
fn a_host_file_is_told_of_between_the_rows() {
    let mut session = Session::new();
    session.command(1, "/usr/bin/touch", &["touch", "x"], 0);
    for (path, change, tracked) in
        [("a b/\x1b[2J.envrc", "new", false), (".husky/x", "changed", true)]
    {
        session.events.push(Event::HostFile(HostFile {
            t: session.t,
            path: path.into(),
            change: change.into(),
            name: ".envrc".into(),
            who: "direnv runs it".into(),
            tracked,
            seen: "live".into(),
        }));
    }
    session.end();
    insta::assert_snapshot!(session.rows(), @r"
   0  <1ms   touch x
new host file $'a b/\e[2J.envrc': direnv runs it
changed host file .husky/x: direnv runs it
   0  3.0s   /opt/claude --dangerously-skip-permissions
");
}

#[test]
fn a_log_that_breaks_off_says_so() {
    let mut view = View::new(options());
    let mut session = Session::new();
    session.exec(Some(1), "/usr/bin/ls", &["ls"]);
    for event in session.events {
        view.event(event);
    }
    view.damaged();
    view.damaged();
    view.broke_off();
    let shown = anstream::adapter::strip_str(&view.take()).to_string();
    assert!(shown.contains("   ?         ls\n"), "{shown}");
    assert!(shown.contains("cannot be read") && shown.contains("the supervisor died"), "{shown}");
}

#[test]
fn time_alone_shows_what_runs_and_what_was_counted() {
    let mut view = View::new(options());
    let mut session = Session::new();
    session.helper("/usr/bin/git", &["git", "status"], 0);
    session.exec(Some(1), "/usr/bin/sleep", &["sleep", "99"]);
    for event in std::mem::take(&mut session.events) {
        view.event(event);
    }
    let before = view.take();
    assert!(!before.contains("sleep"));
    let mut wakeups = 0;
    while let Some(deadline) = view.deadline() {
        view.pass(deadline);
        wakeups += 1;
        assert!(wakeups < 5, "an idle session costs nothing");
    }
    let shown = view.take();
    assert!(shown.contains("sleep 99") && shown.contains("+1") && shown.contains("git"), "{shown}");
}

#[test]
fn memory_is_bounded_by_no_log() {
    let mut view = View::new(options());
    let mut session = Session::new();
    let mut parent = 1;
    for at in 0..20_000_u32 {
        // Processes that never end, ever deeper, and searches that never find.
        let retry_of = (at % 3 == 0).then_some(session.last);
        let argv = vec![at.to_string().as_str().into()];
        let id = session.put(Exec {
            path: "/usr/bin/x".into(),
            argv,
            parent: Some(parent),
            retry_of,
            ..Exec::default()
        });
        parent = if at % 7 == 0 { 1 } else { id };
        for event in session.events.drain(..) {
            view.event(event);
        }
        assert!(view.tree.len() <= 2049, "{}", view.tree.len());
    }
    assert!(view.take().matches('\n').count() > 5_000);
}

/// Any event at all, with few ids and pids so that they meet.
fn any_event() -> impl Strategy<Value = Event> {
    let id = 1_u64..12;
    let pid = 1_i32..8;
    let bytes = prop_oneof![
        3 => Just(Bytes::from("ls")),
        1 => Just(Bytes::from("-c")),
        1 => Just(Bytes::from("/bin/bash")),
        1 => "[ -~\n]{0,30}".prop_map(|text: String| Bytes::from(text.as_str())),
        2 => proptest::collection::vec(any::<u8>(), 0..30).prop_map(Bytes),
    ];
    let argv = proptest::collection::vec(bytes.clone(), 0..4);
    let outcome = proptest::sample::select(vec![
        Outcome::Verified,
        Outcome::Changed,
        Outcome::OwnLoader,
        Outcome::Unverified,
        Outcome::Failed,
        Outcome::ProbablyFailed,
        Outcome::Superseded,
        Outcome::Checked,
        Outcome::Unknown,
    ]);
    let t = (0_u64..10_000_000).prop_map(|t| NOON + t);
    prop_oneof![
        4 => (t.clone(), id.clone(), pid.clone(), bytes.clone(), argv.clone(),
              proptest::option::of(id.clone()), proptest::option::of(id.clone()), any::<bool>(), any::<String>())
            .prop_map(|(t, id, pid, path, argv, parent, retry_of, tool, odd)| {
                let cwd = Some(path.clone());
                Event::Exec(Box::new(Exec {
                    t, id, pid, path, argv, parent, retry_of, tool, cwd, depth: 3,
                    unread: tool.then_some(odd), ..Exec::default()
                }))
            }),
        3 => (t.clone(), id.clone(), outcome, proptest::option::of(argv), any::<String>())
            .prop_map(|(t, id, outcome, argv, errno)| {
                Event::Ran(Ran { t, id, outcome, argv, exe: None, errno: Some(errno) })
            }),
        3 => (t.clone(), id, pid, proptest::option::of(any::<u8>()), proptest::option::of(any::<u8>()), any::<u64>())
            .prop_map(|(t, id, pid, status, signal, dur_us)| {
                Event::Exit(Exit { t, id, pid, status, signal, core: true, dur_us, src: String::new() })
            }),
        1 => (any::<u64>(), any::<String>())
            .prop_map(|(t, text)| Event::Notice(Notice { t, kind: text.clone(), text })),
        1 => (any::<u64>(), any::<String>(), bytes.clone(), any::<bool>()).prop_map(
            |(t, odd, path, tracked)| Event::HostFile(HostFile {
                t, path, change: odd.clone(), name: odd.clone(), who: odd.clone(), tracked, seen: odd,
            })),
        1 => (any::<u64>(), any::<String>(), bytes).prop_map(|(t, odd, agent)| Event::Start(Start {
            t, session: odd.clone(), profile: odd.clone(), network: odd.clone(),
            agent: vec![agent.clone()], project: agent, weakened: vec![odd.clone()],
            helpers: vec!["ls".into(), odd], tool_marker: Some("X".into()), ..Start::default()
        })),
        1 => (t, any::<String>()).prop_map(|(t, odd)| Event::Confined(Confined {
            t, landlock: odd.clone(), landlock_abi: 1,
            exec_log: ExecLogStatus::Unavailable { reason: odd },
        })),
        1 => (any::<u64>(), any::<String>())
            .prop_map(|(t, reason)| Event::End(End { t, execs: 0, code: 1, reason })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn nothing_raw_reaches_the_terminal(
        events in proptest::collection::vec(any_event(), 0..60),
        width in proptest::option::of(20_u16..120),
        all: bool, failed: bool, tree: bool,
    ) {
        let mut view = View::new(Options { all, failed, tree, ..options() });
        view.set_width(width);
        for event in events {
            view.event(event);
        }
        view.finish(true);
        let coloured = view.take();
        // Whatever is left without our own colours must print.
        let mut rest = coloured.as_str();
        let mut plain = String::new();
        while let Some((text, after)) = rest.split_once("\x1b[") {
            plain.push_str(text);
            let (colour, after) = after.split_once('m').unwrap();
            prop_assert!(colour.bytes().all(|byte| byte.is_ascii_digit() || byte == b';'));
            rest = after;
        }
        plain.push_str(rest);
        for line in plain.split('\n') {
            prop_assert!(!line.chars().any(is_invisible), "{:?}", line);
            if let Some(width) = width.filter(|_| !all) {
                let width = usize::from(width.max(30));
                prop_assert!(text::width(line) <= width, "{}: {:?}", width, line);
            }
        }
    }

    #[test]
    fn with_nothing_folded_every_exec_is_a_row(argvs in proptest::collection::vec("[a-z]{3,6}", 1..20)) {
        let mut session = Session::new();
        for (at, argument) in argvs.iter().enumerate() {
            let parent = 1 + at as u64 / 3;
            session.command(parent, "/usr/bin/true", &["true", argument], 0);
        }
        session.end();
        let shown = session.shown(None, |options| options.all = true);
        prop_assert_eq!(shown.matches(" true ").count(), argvs.len(), "{}", shown);
    }
}
