//! What counts as the agent's own, and what would like to.

use super::*;

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
