//! What agents wrap around a command, and who else wraps it around one.

use super::*;

/// npm's codex as the agent, a script that starts `engine`; then `caller`, which executes itself with
/// the words of `setup`, and in the same process what `command` says.
fn codex(engine: &str, caller: &str, setup: &str, command: &[&str]) -> String {
    let mut session = Session::new();
    for event in &mut session.events {
        if let Event::Exec(agent) = event {
            (agent.path, agent.argv) = ("/opt/bin/codex".into(), vec!["codex".into()]);
        }
    }
    let argv = ["node", "/opt/bin/codex"].map(Bytes::from).to_vec();
    let (pid, path) = (session.pids[&1], "/usr/bin/node".into());
    let node = session.put(Exec { pid, path, argv, parent: Some(1), ..Exec::default() });
    if let Some(Event::Exec(exec)) = session.events.last_mut() {
        exec.depth = 0;
    }
    session.ran(node, Outcome::Verified);
    let mut parent = session.exec(Some(1), engine, &["codex"]);
    session.ran(parent, Outcome::Verified);
    let engine = parent;
    if caller != "itself" {
        parent = session.exec(Some(engine), caller, &["codex"]);
        session.ran(parent, Outcome::Verified);
    }
    session.wait(2500);
    let setup: Vec<&str> = setup.split(' ').collect();
    let step = session.exec(Some(parent), "/proc/self/exe", &setup);
    session.ran(step, Outcome::Verified);
    let argv = command.iter().map(|argument| Bytes::from(*argument)).collect();
    let pid = session.pids[&step];
    let (path, parent) = ("/bin/bash".into(), Some(step));
    let id = session.put(Exec { pid, parent, path, argv, ..Exec::default() });
    session.ran(id, Outcome::Verified);
    session.exit(id, 0);
    session.exit(engine, 0);
    session.end();
    session.rows()
}

const SETUP: &str = "x --codex-run-as-process-setup 7 102 pipe 0 /p /bin/bash bash -c id";

#[test]
fn the_last_exec_of_codex_is_the_command() {
    insta::assert_snapshot!(codex("/opt/lib/codex", "itself", SETUP, &["bash", "-c", "id"]), @r"
…         /opt/lib/codex
0  <1ms     id
0  2.5s   /opt/lib/codex
0  5.5s   /opt/bin/codex
");
}

#[test]
fn attack_a_step_of_codex_that_leads_elsewhere_is_shown() {
    let shown = codex("/opt/lib/codex", "itself", SETUP, &["bash", "-c", "ls"]);
    assert!(shown.contains("--codex-run-as-process-setup"), "{shown}");
    let setup = SETUP.replace(" 7 ", " evil ");
    let shown = codex("/opt/lib/codex", "itself", &setup, &["bash", "-c", "id"]);
    assert!(shown.contains("--codex-run-as-process-setup evil"), "{shown}");
}

/// Somebody's file by the name of `codex` can do as it likes before it executes what it says.
#[test]
fn attack_a_step_of_another_codex_is_shown() {
    for (engine, caller) in [
        ("/opt/lib/codex", "/home/u/p/codex"),
        ("/opt/lib/codex", "./codex"),
        ("/opt/lib/server", "/home/u/p/codex"),
    ] {
        let shown = codex(engine, caller, SETUP, &["bash", "-c", "id"]);
        assert!(shown.contains("--codex-run-as-process-setup"), "{engine} {caller}: {shown}");
    }
    // Control: the agent's own.
    for (engine, caller) in [("/opt/lib/codex", "/opt/lib/codex"), ("/opt/lib/codex", "itself")] {
        let shown = codex(engine, caller, SETUP, &["bash", "-c", "id"]);
        assert!(!shown.contains("--codex-run-as-process-setup"), "{engine} {caller}: {shown}");
    }
}

/// Claude Code's wrapper reads a file, which can make `ls` what it likes.
#[test]
fn attack_the_wrapper_of_claude_from_another_is_shown() {
    let rows = |change: fn(&mut Start), deep: bool, directory: &str| {
        let mut session = Session::new();
        for event in &mut session.events {
            if let Event::Start(start) = event {
                change(start);
            }
        }
        let above = if deep { session.command(1, "/usr/bin/make", &["make"], 0) } else { 1 };
        let script = format!(
            "source {directory}/e 2>/dev/null || true && eval 'ls -l' && pwd -P >| /tmp/claude-1-cwd"
        );
        let shell = session.exec(Some(above), "/bin/bash", &["bash", "-c", &script]);
        session.ran(shell, Outcome::Verified);
        session.exit(shell, 0);
        session.end();
        session.rows().contains("source ")
    };
    let own = "/home/u/.claude/shell-snapshots";
    assert!(rows(|_| {}, true, own), "not started by the agent");
    assert!(rows(|_| {}, false, "./shell-snapshots"));
    assert!(rows(|_| {}, false, "/home/u/p/.claude/shell-snapshots"));
    assert!(rows(|_| {}, false, "/home/u/.claude/shell-snapshots/../../p"));
    assert!(rows(|start| start.tool_marker = None, false, own), "another agent");
    assert!(rows(|start| start.home = None, false, own), "whose home is not known");
    // Control.
    assert!(!rows(|_| {}, false, own));
}

#[test]
fn attack_a_script_that_talks_of_codexs_snapshot_is_shown() {
    let mut session = Session::new();
    let program = "import os; os.execvp('ls', ['ls', '-la']) # __CODEX_SNAPSHOT";
    for (path, argv) in [
        ("/usr/bin/python3", ["python3", "-c", program]),
        ("/bin/sh", ["sh", "-c", "echo x > evil; exec $X # __CODEX_SNAPSHOT"]),
    ] {
        let step = session.exec(Some(1), path, &argv);
        session.ran(step, Outcome::Verified);
        let (pid, argv) = (session.pids[&step], vec!["ls".into(), "-la".into()]);
        let (path, parent) = ("/usr/bin/ls".into(), Some(step));
        let ls = session.put(Exec { pid, parent, path, argv, ..Exec::default() });
        session.ran(ls, Outcome::Verified);
        session.exit(ls, 0);
    }
    session.end();
    insta::assert_snapshot!(session.rows(), @r#"
0  <1ms   python3 -c "import os; os.execvp('ls', ['ls', '-la']) # __CODEX_SNAPSHOT"
0  <1ms     ls -la
0  <1ms   echo x > evil; exec $X # __CODEX_SNAPSHOT
0  <1ms     ls -la
0  3.0s   /opt/claude --dangerously-skip-permissions
"#);
}
