//! What is one row.

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
