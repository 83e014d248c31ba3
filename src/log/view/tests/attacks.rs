//! What must never be folded away, or go by another name: each attack beside what is folded.

use super::*;

#[test]
fn attack_a_program_by_the_name_of_another_is_shown() {
    let mut session = Session::new();
    let shell = session.shell("./x.sh; ls -r dir");
    session.command(shell, "/usr/bin/rm", &["ls", "-r", "dir"], 0);
    session.command(shell, "/usr/bin/ls", &["ls", "-r", "dir"], 0);
    session.exit(shell, 0);
    session.end();
    insta::assert_snapshot!(session.rows(), @r"
0  <1ms   ./x.sh; ls -r dir
0  <1ms     exec -a ls /usr/bin/rm -r dir
0  3.0s   /opt/claude --dangerously-skip-permissions
");
}

#[test]
fn attack_the_words_of_a_line_done_elsewhere_are_shown() {
    let mut session = Session::new();
    let shell = session.shell("./x.sh; rm -r dist");
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
0  <1ms   ./x.sh; rm -r dist
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

/// What a shell's file executes, with the line's words, where these are no command of the line's.
#[test]
fn attack_words_that_are_no_command_hide_none() {
    for line in [
        ". ./x.sh; rm -r dist",
        "./x.sh; files=(rm -r dist)",
        "./x.sh; : \\\n# rm -r dist",
        "./x.sh; : ${NOTE:-this will; rm -r dist; never}",
        "./x.sh; exit; rm -r dist",
    ] {
        let mut session = Session::new();
        let shell = session.shell(line);
        session.command(shell, "/usr/bin/rm", &["rm", "-r", "dist"], 0);
        session.exit(shell, 0);
        session.end();
        let rows = session.rows();
        assert!(rows.contains("    rm -r dist\n"), "{line}: {rows}");
        // Control: the same words as a command.
        session.events.iter_mut().for_each(|event| match event {
            Event::Exec(exec) if exec.id == shell => {
                exec.argv[2] = "./x.sh; rm -r dist".into();
            }
            _ => {}
        });
        let rows = session.rows();
        assert!(!rows.contains("    rm -r dist\n"), "{rows}");
    }
}

/// A line that was called and not executed, and what its process started then.
#[test]
fn attack_what_a_line_that_failed_says_is_shown() {
    let rows = |outcome: Outcome, late: bool| {
        let mut session = Session::new();
        let shell =
            session.exec(Some(1), "/bin/sh", &["sh", "-c", "test -d x && rm -r dist; true"]);
        if !late {
            session.ran(shell, outcome);
        }
        session.command(shell, "/usr/bin/rm", &["rm", "-r", "dist"], 0);
        if late {
            session.ran(shell, outcome);
        }
        session.exit(shell, 0);
        session.end();
        session.rows()
    };
    for outcome in [Outcome::Failed, Outcome::ProbablyFailed, Outcome::Unknown, Outcome::Superseded]
    {
        for late in [false, true] {
            let rows = rows(outcome, late);
            assert!(rows.lines().any(|row| row.ends_with("  rm -r dist")), "{outcome:?}: {rows}");
        }
    }
    // Control: it has run, which may be known only after its child.
    assert_eq!(rows(Outcome::Verified, false), rows(Outcome::Verified, true));
    insta::assert_snapshot!(rows(Outcome::Verified, true), @r"
0  <1ms   test -d x && rm -r dist; true
0  3.0s   /opt/claude --dangerously-skip-permissions
");
}

/// What stands beside the line, the directory and how it ended, takes its room.
#[test]
fn attack_what_a_line_says_where_it_is_cut_is_shown() {
    let shown = |width: u16, cwd: &str, core: bool| {
        let mut session = Session::new();
        let cwd = Some(Bytes::from(cwd));
        let argv = ["sh", "-c", "./x.sh; rm -r dist; echo padding"].map(Bytes::from).to_vec();
        let (path, parent) = ("/bin/sh".into(), Some(1));
        let shell = session.put(Exec { parent, path, argv, cwd: cwd.clone(), ..Exec::default() });
        session.ran(shell, Outcome::Verified);
        let argv = ["rm", "-r", "dist"].map(Bytes::from).to_vec();
        let (path, parent) = ("/usr/bin/rm".into(), Some(shell));
        let rm = session.put(Exec { parent, path, argv, cwd, ..Exec::default() });
        session.ran(rm, Outcome::Verified);
        session.exit(rm, 0);
        session.wait(1500);
        session.kill(shell, 11);
        if let Some(Event::Exit(exit)) = session.events.last_mut() {
            exit.core = core;
        }
        session.end();
        session.shown(Some(width), |_| {})
    };
    let hides = |shown: &str| !shown.lines().any(|row| row.ends_with(" rm -r dist"));
    // The line is 32 columns wide; 22 stand before it, or 12 in a narrow terminal (`SEGV`).
    for (cwd, core, room) in [
        ("/home/u/p/somewhere/else", false, 22 + 16),
        ("/home/u/p", true, 22 + 12),
        ("/home/u/p", false, 12 + 5),
    ] {
        for (width, hidden) in [(room + 32, true), (room + 31, false)] {
            let shown = shown(width, cwd, core);
            assert_eq!(hides(&shown), hidden, "{width} {cwd} {core}: {shown}");
        }
        // Whatever the width is, it is in sight in one row or in the other.
        for width in 40..110 {
            let shown = shown(width, cwd, core);
            assert!(shown.contains("rm -r dist"), "{width} {cwd} {core}: {shown}");
        }
    }
}

/// A path that nobody has read makes no name known.
#[test]
fn attack_a_path_that_was_not_in_sight_is_no_place_that_is_known() {
    let strange = format!("/home/u/p/{}/git", "d".repeat(120));
    let mut session = Session::new();
    session.command(1, &strange, &["git", "status"], 0);
    session.command(1, &strange, &["git", "push"], 1);
    session.end();
    let rows = |width, change: fn(&mut Options)| {
        let shown = session.shown(width, change);
        let ends = |words: &str| shown.lines().filter(|line| line.ends_with(words)).count();
        (ends("git status"), ends("/git push"), ends("  git push"))
    };
    // Cut, and not among what was asked for.
    assert_eq!(rows(Some(80), |_| {}), (0, 0, 0), "both are cut");
    assert_eq!(rows(None, |options| options.failed = true), (0, 1, 0));
    let grep = |options: &mut Options| options.grep = Regex::new("push").ok();
    assert_eq!(rows(None, grep), (0, 1, 0));
    // Control: in sight.
    assert_eq!(rows(None, |_| {}), (1, 0, 1));
    assert_eq!(rows(Some(200), |_| {}), (1, 0, 1));
}

/// The ends of two lines, of which neither is shown, differ.
#[test]
fn attack_a_repeat_is_one_to_its_last_character() {
    let rows = |ends: [&str; 2], argc: Option<u64>| {
        let mut session = Session::new();
        for end in ends {
            let argv = ["true", &"x".repeat(9000), end].map(Bytes::from).to_vec();
            let path = "/usr/bin/true".into();
            let id = session.put(Exec { path, argv, argc, parent: Some(1), ..Exec::default() });
            session.ran(id, Outcome::Verified);
            session.exit(id, 0);
        }
        session.command(1, "/usr/bin/ls", &["ls"], 0);
        session.end();
        session.rows().lines().filter(|line| line.contains("   true xxx")).count()
    };
    assert_eq!(rows(["one", "two"], None), 2);
    assert_eq!(rows(["one", "one"], Some(9)), 2, "of the rest nothing is known");
}

/// The control of the above.
#[test]
fn a_long_line_that_is_the_same_to_its_end_is_a_repeat() {
    let mut session = Session::new();
    for _ in 0..3 {
        session.command(1, "/usr/bin/true", &["true", &"x".repeat(9000), "one"], 0);
    }
    session.end();
    assert!(session.rows().contains("   x2   true xxx"), "{}", session.rows());
}

/// More commands at once than are kept, to have the end of an earlier one forgotten.
#[test]
fn attack_an_end_that_went_wrong_has_a_row_however_many_commands_run() {
    for many in [100, 2_300, 20_000] {
        let mut session = Session::new();
        let shell = session.shell("sleep 8; exit 7");
        session.wait(2500);
        for at in 0..many {
            let argv = ["sleep", &at.to_string()].map(Bytes::from).to_vec();
            let path = "/usr/bin/sleep".into();
            let id = session.put(Exec { path, argv, parent: Some(1), ..Exec::default() });
            session.ran(id, Outcome::Verified);
        }
        session.wait(2500);
        session.exit(shell, 7);
        session.end();
        let failed = session.shown(Some(100), |options| options.failed = true);
        let row = failed.lines().find(|line| line.contains("    7 ")).unwrap_or_default();
        // Of the oldest of tens of thousands only the number is left.
        let words = if many > 10_000 { "(command 2: too long ago;" } else { "sleep 8; exit 7" };
        assert!(row.contains(words), "{many}: {failed}");
        assert!(many > 10_000 || failed.contains(" 7  5."), "{many}: {failed}");
    }
}

/// A line that says a command has other words before it.
#[test]
fn attack_a_command_that_is_asked_for_is_not_folded_into_a_line_that_is_not() {
    let mut session = Session::new();
    let shell = session.shell("cd x; rm -r dist");
    session.command(shell, "/usr/bin/rm", &["rm", "-r", "dist"], 0);
    session.exit(shell, 0);
    session.end();
    let grep = |options: &mut Options| options.grep = Regex::new("^rm").ok();
    assert!(session.shown(Some(100), grep).contains("   rm -r dist\n"));
    // Control: nothing is asked for.
    assert!(!session.shown(Some(100), |_| {}).contains("   rm -r dist\n"));
}
