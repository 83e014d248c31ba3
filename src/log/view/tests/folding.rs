//! What is one row, and what must never be folded away.

use super::*;

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

/// Codex, which executes itself with these words, and in the same process what `command` says.
fn codex(setup: &str, command: &[&str]) -> String {
    let mut session = Session::new();
    let codex = session.exec(Some(1), "/opt/codex", &["codex"]);
    session.ran(codex, Outcome::Verified);
    session.wait(2500);
    let setup: Vec<&str> = setup.split(' ').collect();
    let step = session.exec(Some(codex), "/proc/self/exe", &setup);
    session.ran(step, Outcome::Verified);
    let argv = command.iter().map(|argument| Bytes::from(*argument)).collect();
    let pid = session.pids[&step];
    let (path, parent) = ("/bin/bash".into(), Some(step));
    let id = session.put(Exec { pid, parent, path, argv, ..Exec::default() });
    session.ran(id, Outcome::Verified);
    session.exit(id, 0);
    session.exit(codex, 0);
    session.end();
    session.rows()
}

#[test]
fn the_last_exec_of_codex_is_the_command() {
    let setup = "x --codex-run-as-process-setup 7 102 pipe 0 /p /bin/bash bash -c id";
    insta::assert_snapshot!(codex(setup, &["bash", "-c", "id"]), @r"
…         /opt/codex
0  <1ms     id
0  2.5s   /opt/codex
0  5.5s   /opt/claude --dangerously-skip-permissions
");
}

#[test]
fn attack_a_step_of_codex_that_leads_elsewhere_is_shown() {
    let setup = "x --codex-run-as-process-setup 7 102 pipe 0 /p /bin/bash bash -c id";
    let shown = codex(setup, &["bash", "-c", "ls"]);
    assert!(shown.contains("--codex-run-as-process-setup"), "{shown}");
    let setup = "x --codex-run-as-process-setup evil 102 pipe 0 /p /bin/bash bash -c id";
    let shown = codex(setup, &["bash", "-c", "id"]);
    assert!(shown.contains("--codex-run-as-process-setup evil"), "{shown}");
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

#[test]
fn attack_a_program_by_the_name_of_another_is_shown() {
    let mut session = Session::new();
    let shell = session.shell(". ./x.sh; ls -r dir");
    session.command(shell, "/usr/bin/rm", &["ls", "-r", "dir"], 0);
    session.command(shell, "/usr/bin/ls", &["ls", "-r", "dir"], 0);
    session.exit(shell, 0);
    session.end();
    insta::assert_snapshot!(session.rows(), @r"
0  <1ms   . ./x.sh; ls -r dir
0  <1ms     exec -a ls /usr/bin/rm -r dir
0  3.0s   /opt/claude --dangerously-skip-permissions
");
}

#[test]
fn attack_the_words_of_a_line_done_elsewhere_are_shown() {
    let mut session = Session::new();
    let shell = session.shell(". ./x.sh; rm -r dist");
    for cwd in ["/home/u/p", "/home/u/p/other"] {
        let argv = ["rm", "-r", "dist"].map(Bytes::from).to_vec();
        let (path, cwd) = ("/usr/bin/rm".into(), Some(cwd.into()));
        let rm = session.put(Exec { path, argv, cwd, parent: Some(shell), ..Exec::default() });
        session.ran(rm, Outcome::Verified);
        session.exit(rm, 0);
    }
    session.exit(shell, 0);
    session.end();
    insta::assert_snapshot!(session.rows(), @r"
0  <1ms   . ./x.sh; rm -r dist
0  <1ms     other$ rm -r dist
0  3.0s   .$ /opt/claude --dangerously-skip-permissions
");
}

#[test]
fn attack_repeats_in_other_directories_are_shown() {
    let mut session = Session::new();
    for cwd in ["/home/u/p", "/home/u/p", "/home/u/p", "/home/u/p/other", "/home/u/p"] {
        let argv = ["rm", "-r", "dist"].map(Bytes::from).to_vec();
        let (path, cwd) = ("/usr/bin/rm".into(), Some(cwd.into()));
        let rm = session.put(Exec { path, argv, cwd, parent: Some(1), ..Exec::default() });
        session.ran(rm, Outcome::Verified);
        session.exit(rm, 0);
    }
    session.end();
    insta::assert_snapshot!(session.rows(), @r"
0  <1ms   rm -r dist
0    x2   rm -r dist
0  <1ms   other$ rm -r dist
0  <1ms   .$ rm -r dist
0  3.0s   /opt/claude --dangerously-skip-permissions
");
}

#[test]
fn attack_a_place_is_not_remembered_over_a_program_that_a_line_said() {
    let mut session = Session::new();
    session.command(1, "/tmp/ls", &["ls", "-r", "dir"], 0);
    for path in ["/usr/bin/ls", "/tmp/ls"] {
        let shell = session.shell("ls -r dir");
        session.command(shell, path, &["ls", "-r", "dir"], 0);
        session.exit(shell, 0);
    }
    session.end();
    insta::assert_snapshot!(session.rows(), @r"
0  <1ms   /tmp/ls -r dir
0  <1ms   ls -r dir
0  <1ms   ls -r dir
0  <1ms     /tmp/ls -r dir
0  3.0s   /opt/claude --dangerously-skip-permissions
");
}

#[test]
fn attack_an_orphan_that_forgot_its_marker_is_no_helper() {
    let mut session = Session::new();
    let argv = ["git", "push", "evil"].map(Bytes::from).to_vec();
    let (path, parent) = ("/usr/bin/git".into(), Some(1));
    let id = session.put(Exec { ppid: 7, path, argv, parent, ..Exec::default() });
    session.ran(id, Outcome::Verified);
    session.exit(id, 0);
    session.end();
    insta::assert_snapshot!(session.rows(), @r"
0  <1ms   git push evil
0  3.0s   /opt/claude --dangerously-skip-permissions
");
}

/// Unmarked, as by a program that took the marker out of its environment. `root`: as the log has it.
fn unmarked(session: &mut Session, exec: Exec, path: &str, argv: &[&str]) -> ExecId {
    let argv = argv.iter().map(|argument| Bytes::from(*argument)).collect();
    let id = session.put(Exec { path: path.into(), argv, ..exec });
    session.ran(id, Outcome::Verified);
    id
}

#[test]
fn attack_what_an_orphan_starts_is_no_helper() {
    // Adopted by pid 1, and too many forks away from the agent: both have another parent than the
    // agent, and are said to be below it. An older log says that they are a call of its own.
    let rows = [None, Some(2)].map(|root| {
        let mut session = Session::new();
        let lost = Exec { ppid: 7, parent: Some(1), root, ..Exec::default() };
        let shell = unmarked(&mut session, lost, "/bin/sh", &["sh", "x.sh"]);
        let below = Exec { parent: Some(shell), root, ..Exec::default() };
        let push = unmarked(&mut session, below.clone(), "/usr/bin/git", &["git", "push", "evil"]);
        let deeper = Exec { parent: Some(push), ..below };
        let deepest = unmarked(&mut session, deeper, "/usr/bin/git", &["git", "remote-https"]);
        for id in [deepest, push, shell] {
            session.exit(id, 0);
        }
        session.end();
        session.rows()
    });
    assert_eq!(rows[0], rows[1]);
    insta::assert_snapshot!(rows[0], @r"
0  <1ms   sh x.sh
0  <1ms     git push evil
0  <1ms       git remote-https
0  3.0s   /opt/claude --dangerously-skip-permissions
");
}

#[test]
fn attack_a_helper_that_becomes_another_program_passes_nothing_on() {
    let mut session = Session::new();
    let child = || Exec { pid: 500, ppid: 101, parent: Some(1), root: Some(2), ..Exec::default() };
    // One process after the other: a helper, what it was made to run, and that as a helper.
    unmarked(&mut session, child(), "/usr/bin/git", &["git", "status"]);
    unmarked(&mut session, child(), "/home/u/p/evil", &["evil"]);
    let push = unmarked(&mut session, child(), "/usr/bin/git", &["git", "push", "evil"]);
    session.exit(push, 0);
    // And what a file that anybody could have written starts under a helper's name.
    let parent = Exec { parent: Some(1), ..Exec::default() };
    let first = unmarked(&mut session, parent.clone(), "/home/u/.x/rg", &["rg", "a"]);
    session.exit(first, 0);
    let again = unmarked(&mut session, parent, "/home/u/.x/rg", &["rg", "b"]);
    let below = Exec { parent: Some(again), ..Exec::default() };
    let push = unmarked(&mut session, below, "/usr/bin/git", &["git", "push", "more"]);
    session.exit(push, 0);
    session.exit(again, 0);
    session.end();
    insta::assert_snapshot!(session.rows(), @r"
        +1   git
exec           /home/u/p/evil
   0  <1ms     git push evil
   0  <1ms   /home/u/.x/rg a
        +1   rg
   0  <1ms     git push more
   0  3.0s   /opt/claude --dangerously-skip-permissions
");
}

#[test]
fn attack_a_program_that_a_helper_was_made_to_run_has_no_helpers() {
    let mut session = Session::new();
    let status = Exec { parent: Some(1), ..Exec::default() };
    let status = unmarked(&mut session, status, "/usr/bin/git", &["git", "status"]);
    let hook = Exec { parent: Some(status), ..Exec::default() };
    let hook = unmarked(&mut session, hook, "/home/u/p/.git/hook", &["hook"]);
    let push = Exec { parent: Some(hook), ..Exec::default() };
    let push = unmarked(&mut session, push, "/usr/bin/git", &["git", "push", "evil"]);
    // Control: what git starts of git.
    let gc = Exec { parent: Some(status), ..Exec::default() };
    let gc = unmarked(&mut session, gc, "/usr/bin/git", &["git", "gc"]);
    for id in [gc, push, hook, status] {
        session.exit(id, 0);
    }
    session.end();
    insta::assert_snapshot!(session.rows(), @r"
     +1   git
0  <1ms     /home/u/p/.git/hook
0  <1ms       git push evil
     +1   git
0  3.0s   /opt/claude --dangerously-skip-permissions
");
}

/// A helper has no line, so its line says nothing.
#[test]
fn attack_what_a_folded_line_says_is_shown() {
    let rows = |helpers: &[&str]| {
        let mut session = Session::new();
        for event in &mut session.events {
            if let Event::Start(start) = event {
                start.helpers = helpers.iter().map(|name| (*name).to_owned()).collect();
            }
        }
        let own = Exec { parent: Some(1), ..Exec::default() };
        let shell = ["bash", "-c", "sha256sum f; date"];
        let shell = unmarked(&mut session, own, "/bin/bash", &shell);
        for argv in [&["sha256sum", "f"][..], &["date"]] {
            let below = Exec { parent: Some(shell), ..Exec::default() };
            let path = format!("/usr/bin/{}", argv[0]);
            let id = unmarked(&mut session, below, &path, argv);
            session.exit(id, 0);
        }
        session.exit(shell, 0);
        session.end();
        session.rows()
    };
    insta::assert_snapshot!(rows(&["bash"]), @r"
        +1   bash
   0  <1ms     sha256sum f
   0  <1ms     date
   0  3.0s   /opt/claude --dangerously-skip-permissions
");
    // Control: a line that is shown says it.
    insta::assert_snapshot!(rows(&[]), @r"
   0  <1ms   sha256sum f; date
   0  3.0s   /opt/claude --dangerously-skip-permissions
");
}

#[test]
fn attack_the_agents_interpreter_with_another_script_is_no_helper() {
    let mut session = Session::new();
    for event in &mut session.events {
        match event {
            Event::Start(start) => start.helpers = vec!["git".into(), "node".into()],
            Event::Exec(agent) => {
                agent.path = "/usr/bin/node".into();
                agent.argv = ["node", "/opt/agent.js"].map(Bytes::from).to_vec();
            }
            _ => {}
        }
    }
    session.helper("/usr/bin/node", &["node", "/home/u/p/evil.js"], 0);
    session.helper("/usr/bin/node", &["git", "/home/u/p/evil.js"], 0);
    // Control: itself once more, with more memory.
    session.helper("/usr/bin/node", &["node", "--max-old-space-size=9", "/opt/agent.js"], 0);
    session.end();
    insta::assert_snapshot!(session.rows(), @r"
0  <1ms   node /home/u/p/evil.js
0  <1ms   exec -a git /usr/bin/node /home/u/p/evil.js
     +1   node
0  3.0s   node /opt/agent.js
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

/// Two places of a search; this became of the first. `children`: something was started from there.
fn tried(outcome: Outcome, errno: Option<&str>, children: bool) -> Session {
    let mut session = Session::new();
    let exec = |path: &str, retry_of| Exec {
        pid: 500,
        path: path.into(),
        argv: vec!["tool".into()],
        parent: Some(1),
        retry_of,
        ..Exec::default()
    };
    let first = session.put(exec("/opt/a/tool", None));
    session.ran(first, outcome);
    if let Some(Event::Ran(ran)) = session.events.last_mut() {
        ran.errno = errno.map(str::to_owned);
    }
    if children {
        session.command(first, "/usr/bin/rm", &["rm", "x"], 0);
    }
    let second = session.put(exec("/opt/b/tool", Some(first)));
    session.ran(second, Outcome::Verified);
    session.exit(second, 0);
    session.end();
    session
}

#[test]
fn only_what_certainly_failed_is_folded_into_a_search() {
    let shown = |outcome, errno| tried(outcome, errno, false).rows();
    let folded = |outcome, errno| !shown(outcome, errno).contains("/opt/a/tool");
    assert!(folded(Outcome::Failed, Some("ENOENT")));
    assert!(folded(Outcome::Failed, None));
    let others = [
        Outcome::Verified,
        Outcome::Changed,
        Outcome::OwnLoader,
        Outcome::Unverified,
        Outcome::ProbablyFailed,
        Outcome::Superseded,
        Outcome::Unknown,
    ];
    for outcome in others {
        assert!(!folded(outcome, None), "{outcome:?}");
        assert!(!folded(outcome, Some("ENOENT")), "{outcome:?}");
    }
    assert!(tried(Outcome::Failed, None, true).rows().contains("/opt/a/tool"));
    insta::assert_snapshot!(shown(Outcome::ProbablyFailed, Some("ENOENT")), @r"
   0  <1ms   /opt/b/tool
   0  3.0s   /opt/claude --dangerously-skip-permissions
fail       ? /opt/a/tool ENOENT
");
    insta::assert_snapshot!(shown(Outcome::Unknown, None), @r"
0  <1ms ? /opt/a/tool
0  <1ms     /opt/b/tool
0  3.0s   /opt/claude --dangerously-skip-permissions
");
}

/// The control of the above: where nothing can be told of processes, the files' word has to do.
#[test]
fn where_nothing_can_be_told_a_place_without_a_file_is_a_miss() {
    for (errno, rows) in [(Some("ENOENT"), 0), (None, 1)] {
        let mut session = tried(Outcome::ProbablyFailed, errno, false);
        for event in &mut session.events {
            if let Event::Confined(Confined {
                exec_log: ExecLogStatus::On { verifies, .. }, ..
            }) = event
            {
                *verifies = false;
            }
        }
        assert_eq!(session.rows().matches("/opt/a/tool").count(), rows, "{errno:?}");
    }
}

/// What a helper is called is hearsay, until it is confirmed.
#[test]
fn what_is_uncertain_is_no_housekeeping() {
    for outcome in [Outcome::Unverified, Outcome::Unknown, Outcome::ProbablyFailed] {
        let mut session = Session::new();
        session.helper("/usr/bin/git", &["git", "status"], 0);
        let mut helper = session.events.split_off(session.events.len() - 2);
        if let Some(Event::Ran(ran)) = helper.first_mut() {
            ran.outcome = outcome;
        }
        session.events.append(&mut helper);
        session.end();
        assert!(session.rows().contains("git status"), "{outcome:?}: {}", session.rows());
    }
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
fn where_nothing_is_marked_a_helper_is_what_the_agent_starts_without_a_shell() {
    let mut session = Session::new();
    if let Some(Event::Start(start)) = session.events.first_mut() {
        start.tool_marker = None;
    }
    let mut put = |pid, parent, root, path: &str, argv: &[&str]| {
        let argv = argv.iter().map(|argument| Bytes::from(*argument)).collect();
        let (path, parent) = (path.into(), Some(parent));
        let id = session.put(Exec { pid, parent, root, path, argv, ..Exec::default() });
        session.ran(id, Outcome::Verified);
        id
    };
    // It asks git, which starts another, and that a program of the user's.
    let asked = put(500, 1, Some(2), "/usr/bin/git", &["git", "status"]);
    let below = put(501, asked, Some(2), "/usr/bin/git", &["git", "gc"]);
    let alias = put(502, below, Some(2), "/bin/sh", &["sh", "-c", "deploy"]);
    // A command that it was asked to run: the shell turns into git.
    let shell = put(503, 1, Some(5), "/bin/bash", &["bash", "-c", "git push"]);
    let push = put(503, shell, Some(5), "/usr/bin/git", &["git", "push"]);
    for id in [alias, below, asked, push] {
        session.exit(id, 0);
    }
    session.wait(1000);
    session.end();
    insta::assert_snapshot!(session.rows(), @r"
     +2   git
0  <1ms       deploy
0  <1ms   git push
0  4.0s   /opt/claude --dangerously-skip-permissions
");
}
