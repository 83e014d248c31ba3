//! `claudebox verify`: which logs are checked, one line for each that names its session, and one
//! exit code for all. It must never pass over a session in which anything ran, and whose log it
//! cannot check.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use crate::cli::VerifyArgs;
use crate::error::{Result, printed};
use crate::log::segment;
use crate::log::verify::{Verdict, verify as check};
use crate::session::id::Id;
use crate::session::inside::{self, Inside};
use crate::session::{Found, Sessions, State};
use crate::visible::visible;

/// Checks the session that is meant from `here` (canonical), or all; the exit code is that of the
/// worst verdict.
pub(super) fn verify(
    args: &VerifyArgs,
    sessions: Sessions<'_>,
    here: &Path,
    out: &mut dyn Write,
) -> Result<u8> {
    let mut worst = Verdict::Ok;
    let mut say = |id: &Id, (verdict, text): (Verdict, String), project: &str| {
        worst = worst.or_worse(verdict);
        printed(writeln!(out, "{}", format!("{id}  {text}  {project}").trim_end()))
    };
    let found =
        if args.all { sessions.all() } else { vec![sessions.find(args.session.as_deref(), here)?] };
    for found in found {
        let (session, project) = (&found.session, visible(&found.record.project));
        let finding = if args.all && never_began(&found) {
            (Verdict::Ok, "nothing to verify: it never began".to_owned())
        } else {
            check(&session.directory)
        };
        // The project last: it is foreign text, and could look like a verdict.
        say(&session.id, finding, &project)?;
    }
    if args.all {
        for id in sessions.without_record() {
            let text = "cannot verify: session.json is missing or cannot be read".to_owned();
            say(&id, (Verdict::Unverifiable, text), "")?;
        }
    }
    Ok(worst.exit_code())
}

/// Whether claudebox could not even begin a session: nothing ran, so there is nothing that a log could
/// be missing. One whose log was taken away while it ran has written down who was inside.
fn never_began(Found { session, state, .. }: &Found) -> bool {
    let failed =
        matches!(state, State::Ended(status) if status.message.is_some() && status.head.is_none());
    failed
        && inside::wait(&session.directory, Duration::ZERO) == Inside::Never
        && segment::list(&session.directory).is_ok_and(|numbers| numbers.is_empty())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::log::event::{End, Event, FORMAT_VERSION, Start};
    use crate::log::sink::Sink as _;
    use crate::log::writer::{Limits, Writer};
    use crate::session::Session;
    use crate::session::record::Status;
    use crate::session::tests::{dirs, draft};

    /// A log with nothing but its start, and an end if it has one.
    fn log(session: &Session, ended: bool) {
        let mut writer =
            Writer::create(&session.directory, session.id.as_str(), Limits::default()).unwrap();
        let start =
            Start { v: FORMAT_VERSION, session: session.id.to_string(), ..Start::default() };
        writer.write(&Event::Start(start)).unwrap();
        if ended {
            let end = End { t: 0, execs: 0, code: 0, reason: "agent-exited".into(), dur_us: None };
            writer.write(&Event::End(end)).unwrap();
        }
        writer.flush().unwrap();
    }

    #[test]
    fn each_line_names_its_session_and_the_worst_verdict_is_the_code() {
        let root = tempfile::tempdir().unwrap();
        let dirs = dirs(root.path());
        let sessions = Sessions::new(&dirs);
        let (whole, _whole_locks) = sessions.create(draft("/p")).unwrap();
        let (cut, _cut_locks) = sessions.create(draft("/q\u{1b}[2J")).unwrap();
        log(&whole, true);
        log(&cut, false);
        let said = |args: &VerifyArgs| {
            let mut out = Vec::new();
            let code = verify(args, sessions, Path::new("/p/src"), &mut out).unwrap();
            (code, String::from_utf8(out).unwrap())
        };
        let all = VerifyArgs { all: true, ..VerifyArgs::default() };
        let (code, text) = said(&all);
        assert_eq!(code, 2, "{text}");
        let line = |id: &str| text.lines().find(|line| line.starts_with(id)).unwrap();
        assert!(line(whole.id.as_str()).contains("  ok: 2 events, head "), "{text}");
        assert!(line(whole.id.as_str()).ends_with("  /p"), "{text}");
        assert!(line(cut.id.as_str()).contains("  incomplete: "), "{text}");
        assert!(line(cut.id.as_str()).ends_with(r"  /q\x1b[2J"), "{text}");
        let (code, text) = said(&VerifyArgs::default());
        assert_eq!((code, text.lines().count()), (0, 1), "{text}");
        assert!(text.starts_with(whole.id.as_str()), "{text}");

        fs::remove_file(whole.record_path()).unwrap();
        let (code, text) = said(&all);
        assert_eq!(code, 3, "{text}");
        assert!(text.contains(&format!("{}  cannot verify: session.json", whole.id)), "{text}");
        // Changed beats everything else.
        let log = cut.directory.join("events.jsonl");
        let changed = fs::read_to_string(&log).unwrap().replace("\"v\":1", "\"v\":2");
        fs::write(&log, changed).unwrap();
        assert_eq!(said(&all).0, 1);
    }

    #[test]
    fn a_session_that_never_began_has_nothing_to_verify() {
        let root = tempfile::tempdir().unwrap();
        let dirs = dirs(root.path());
        let sessions = Sessions::new(&dirs);
        let (failed, locks) = sessions.create(draft("/p")).unwrap();
        let error = crate::error::Error::launcher("tmux could not use this terminal");
        failed.write_status(&Status::of_failure(&error, 7)).unwrap();
        drop(locks);
        let said = |all| {
            let mut out = Vec::new();
            let args = VerifyArgs { all, ..VerifyArgs::default() };
            let code = verify(&args, sessions, Path::new("/p"), &mut out).unwrap();
            (code, String::from_utf8(out).unwrap())
        };
        let (code, text) = said(true);
        assert_eq!(code, 0, "{text}");
        assert!(text.contains("  nothing to verify: it never began  /p"), "{text}");
        // Of one that is asked for by itself, that there is no log is the answer.
        assert_eq!(said(false).0, 3);
        // Control: something ran in it, and its log was taken away.
        fs::write(failed.directory.join("inside.json"), "").unwrap();
        let (code, text) = said(true);
        assert_eq!(code, 3, "{text}");
        assert!(text.contains("cannot verify: there is no log"), "{text}");
    }
}
