//! A session that is still being written, or never was to its end.

use super::*;

#[test]
fn what_is_told_between_the_rows_is_selected_like_them() {
    let session = host_files();
    let failed = session.shown(None, |options| options.failed = true);
    assert!(!failed.contains("host file") && failed.contains("claudebox's own words"), "{failed}");
    let grep = Regex::new("changed host file").ok();
    let found = session.shown(None, |options| options.grep = grep);
    assert!(found.contains(".husky") && !found.contains(".envrc"), "{found}");
    assert!(!found.contains("own words"), "{found}");
}

#[test]
fn a_host_file_is_told_of_between_the_rows() {
    insta::assert_snapshot!(host_files().rows(), @r"
   0  <1ms   touch x
new host file $'a b/\e[2J.envrc': direnv runs it
changed host file .husky/x: direnv runs it
claudebox's own words
   0  3.0s   /opt/claude --dangerously-skip-permissions
");
}

fn host_files() -> Session {
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
    let text = "claudebox's own words".to_owned();
    session.events.push(Event::Notice(Notice { t: session.t, kind: "limits".into(), text }));
    session.end();
    session
}

#[test]
fn what_git_brings_back_is_told_of_between_the_rows() {
    let mut session = Session::new();
    for (what, submodule, text) in [
        ("imported", None, "branch main is at 0123456789 in refs/claudebox/4k7xq2ab/heads/main"),
        ("held", Some("a b".into()), "branch \x1b[2J stays as it is here"),
        ("forwarded", None, "branch main moved 0123456789..9876543210"),
    ] {
        let asked = what == "forwarded";
        let (t, what, text) = (session.t, what.into(), text.into());
        let git = Git { t, what, submodule, text, asked, ..Git::default() };
        session.events.push(Event::Git(git));
    }
    session.end();
    insta::assert_snapshot!(session.rows(), @r"
git: branch main is at 0123456789 in refs/claudebox/4k7xq2ab/heads/main
git: 'a b': branch \x1b[2J stays as it is here
git sync: branch main moved 0123456789..9876543210
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

#[test]
fn a_clock_that_is_set_back_holds_nothing_up() {
    let mut view = View::new(options());
    let mut session = Session::new();
    for _ in 0..2 {
        let t = session.t;
        let host = "evil.example".into();
        session.events.push(Event::Refused(Refused { t, host, times: 1, ..Refused::default() }));
    }
    session.helper("/usr/bin/git", &["git", "status"], 0);
    session.exec(Some(1), "/usr/bin/sleep", &["sleep", "99"]);
    for event in std::mem::take(&mut session.events) {
        view.event(event);
    }
    view.take();
    // Two threads of the supervisor, each with its own look at the clock.
    view.pass(session.t - SET_BACK);
    assert_eq!(view.take(), "");
    view.pass(session.t - 86_400_000_000);
    let shown = anstream::adapter::strip_str(&view.take()).to_string();
    for waited in ["sleep 99", "+1   git", "evil.example"] {
        assert!(shown.contains(waited), "{waited}: {shown}");
    }
    assert_eq!(view.deadline(), None);
}

#[test]
fn how_long_it_was_is_told_by_a_clock_that_nobody_sets() {
    let mut view = View::new(options());
    let mut session = Session::new();
    session.end();
    for event in session.events {
        view.event(match event {
            Event::End(end) => {
                Event::End(End { t: end.t + 86_400_000_000, dur_us: Some(3_000_000), ..end })
            }
            other => other,
        });
    }
    let shown = anstream::adapter::strip_str(&view.take()).to_string();
    assert!(shown.contains(" after 3.0s,"), "{shown}");
}

/// Each started by the one before, and all of them waiting for it, until the first ends.
#[test]
fn no_chain_of_commands_is_too_deep() {
    for tree in [false, true] {
        let mut view = View::new(Options { tree, ..options() });
        let mut session = Session::new();
        let mut parent = 1;
        let mut all = Vec::new();
        for _ in 0..5_000 {
            let argv = vec!["x".into()];
            let exec = Exec { path: "/usr/bin/x".into(), argv, ..Exec::default() };
            parent = session.put(Exec { parent: Some(parent), ..exec });
            // Too fast for anything to be shown as running.
            session.t -= 100;
            all.push(parent);
        }
        for id in all.into_iter().rev() {
            session.exit(id, 1);
        }
        session.end();
        for event in session.events {
            view.event(event);
        }
        let shown = view.take();
        assert!(shown.contains("5001 commands, 5000 failed"), "{shown}");
    }
}

#[test]
fn attack_what_was_shown_as_running_and_was_not_executed_ends_when_it_is_known() {
    for outcome in [Outcome::Failed, Outcome::ProbablyFailed, Outcome::Superseded, Outcome::Unknown]
    {
        let mut session = Session::new();
        session.exec(Some(1), "/usr/bin/slow", &["slow"]);
        session.wait(5000);
        session.ran(2, outcome);
        session.wait(5000);
        session.end();
        let shown = session.shown(Some(100), |_| {});
        let times: Vec<_> =
            shown.lines().filter(|line| line.contains("slow")).map(|line| &line[..8]).collect();
        assert_eq!(times, ["00:00:03", "00:00:08"], "{outcome:?}: {shown}");
        assert!(!shown.contains("1970"), "{shown}");
    }
}

#[test]
fn what_was_shown_as_running_and_became_another_ends_at_that_moment() {
    let mut session = Session::new();
    let shell = session.shell("exec $ONE");
    let pid = session.pids[&shell];
    for name in ["one", "two"] {
        let (path, argv) = (Bytes::from(format!("/usr/bin/{name}").as_str()), vec![name.into()]);
        let id = session.put(Exec { pid, path, argv, parent: Some(shell), ..Exec::default() });
        session.ran(id, Outcome::Verified);
        session.wait(5000);
    }
    session.exit(session.last, 0);
    session.end();
    let shown = session.shown(Some(100), |_| {});
    assert!(shown.contains("00:00:08 exec"), "{shown}");
    assert!(!shown.contains("1970"), "{shown}");
}
