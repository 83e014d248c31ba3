//! How a session reads, and what can be selected of it.

use super::*;

/// What a session with Claude Code looks like.
fn claude() -> Session {
    let mut session = Session::new();
    for _ in 0..5 {
        session.helper("/usr/bin/git", &["git", "status"], 0);
    }
    session.helper("/usr/bin/git", &["git", "config", "--get", "user.name"], 1);
    session.helper("/opt/claude", &["rg", "--files"], 0);
    let tool = session.shell("source /home/u/.claude/shell-snapshots/s.sh 2>/dev/null || true && eval 'ls -la && echo hi > made.txt' < /dev/null && pwd -P >| /tmp/claude-1-cwd");
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
00:00:03    0  <1ms   /bin/bash -c "source /home/u/.claude/shell-snapshots/s.sh 2>/dev/null || true && eval 'ls -la && echo hi > made.txt' < /dev/null && pwd -P >| /tmp/claude-1-cwd"
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

/// One command, one that is nowhere along PATH, and one that is found at the second place.
fn searching() -> Session {
    let mut session = Session::new();
    for (name, found) in [("nosuch", false), ("tool", true)] {
        let mut retry_of = None;
        for place in ["/usr/local/bin/", "/usr/bin/"] {
            let path = Bytes::from(format!("{place}{name}").as_str());
            let (pid, argv, parent) = (500, vec![name.into()], Some(1));
            let id = session.put(Exec { pid, parent, path, argv, retry_of, ..Exec::default() });
            let hit = found && place == "/usr/bin/";
            session.ran(id, if hit { Outcome::Verified } else { Outcome::Failed });
            retry_of = Some(id);
            if hit {
                session.exit(id, 1);
            }
        }
    }
    session.end();
    session
}

#[test]
fn the_end_counts_the_same_whatever_is_folded() {
    for all in [false, true] {
        for tree in [false, true] {
            let shown =
                searching().shown(None, |options| (options.all, options.tree) = (all, tree));
            assert!(shown.ends_with(" 5 commands, 2 failed\n"), "{shown}");
        }
    }
    let mut session = Session::new();
    session.end();
    assert!(session.shown(None, |_| {}).ends_with(" 1 command, 0 failed\n"));
}

#[test]
fn a_tree_has_every_command_that_a_line_says() {
    let mut session = Session::new();
    let shell = session.shell("ls | wc; timeout 5 python3 x.py");
    session.command(shell, "/usr/bin/ls", &["ls"], 0);
    session.command(shell, "/usr/bin/wc", &["wc"], 0);
    let timeout =
        session.exec(Some(shell), "/usr/bin/timeout", &["timeout", "5", "python3", "x.py"]);
    session.ran(timeout, Outcome::Verified);
    session.command(timeout, "/usr/bin/python3", &["python3", "x.py"], 2);
    session.exit(timeout, 2);
    session.exit(shell, 2);
    session.end();
    let tree = session.shown(Some(80), |options| options.tree = true);
    let rows: Vec<&str> = tree.lines().filter(|line| line.contains("ms   ")).collect();
    insta::assert_snapshot!(rows.join("\n"), @r"
00:00:03    2   1ms   ls | wc; timeout 5 python3 x.py
00:00:03    0  <1ms   ├─ls
00:00:03    0  <1ms   ├─wc
00:00:03    2  <1ms   └─timeout 5 python3 x.py
00:00:03    2  <1ms     └─python3 x.py
");
    let folded = session.shown(Some(80), |_| {});
    assert!(!folded.contains("  ls\n"), "{folded}");
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
