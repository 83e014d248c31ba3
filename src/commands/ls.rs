//! `claudebox ls`: sessions as a table for a person, or one JSON object a line. Project paths and
//! program names are foreign text and must never reach the terminal unescaped.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use crate::bytes::Bytes;
use crate::cli::LsArgs;
use crate::error::{Result, printed};
use crate::host_files;
use crate::log::clock::{age, now};
use crate::log::encode;
use crate::log::event::Micros;
use crate::log::text;
use crate::session::record::Mode;
use crate::session::{Found, Sessions, State};
use crate::visible::visible;

/// Prints the sessions of the project that `here` (canonical) is in, those in its worktrees among
/// them, or all. `columns` is how wide
/// the terminal is, where it is one.
pub(super) fn ls(
    args: &LsArgs,
    sessions: Sessions<'_>,
    here: &Path,
    columns: Option<u16>,
    out: &mut dyn Write,
) -> Result<()> {
    let mut found = sessions.all();
    if !args.all {
        let project = sessions.project_at(here);
        found.retain(|found| project.has(found));
    }
    printed(if args.json {
        write_json(&found, out)
    } else {
        write_table(&found, now(), columns.map(usize::from), out)
    })
}

/// The state, and what is open about a session that is over, or lies in its directory.
fn state_and_files(found: &Found) -> String {
    let state = found.state.to_string();
    if found.session.is_pending() {
        return format!("{state}, host files pending");
    }
    let aside = host_files::found::Found::read(&found.session.directory);
    match aside.map(|found| found.map_or(0, |found| found.aside())) {
        Ok(0) => state,
        Ok(aside) => format!("{state}, {aside} set aside"),
        Err(_) => format!("{state}, what is set aside is unknown"),
    }
}

const HEAD: [&str; 7] = ["ID", "STATE", "AGE", "PROFILE", "COMMAND", "EXECS", "PROJECT"];

/// What a narrow terminal goes without, in this order.
const SPARED: [&str; 3] = ["EXECS", "PROFILE", "AGE"];

fn write_table(
    sessions: &[Found],
    now: Micros,
    columns: Option<usize>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(sessions.iter().map(|found| row(found, now)));
    let mut table: Vec<Vec<String>> = rows.into_iter().map(Vec::from).collect();
    for name in SPARED {
        let at = table[0].iter().position(|head| head == name);
        let (Some(at), Some(columns)) = (at, columns) else { continue };
        if widths(&table).iter().map(|width| width + 2).sum::<usize>() > columns + 2 {
            for row in &mut table {
                row.remove(at);
            }
        }
    }
    let widths = widths(&table);
    for row in &table {
        let Some((last, cells)) = row.split_last() else { continue };
        for (cell, width) in cells.iter().zip(&widths) {
            write!(out, "{cell}{:gap$}", "", gap = width - text::width(cell) + 2)?;
        }
        writeln!(out, "{last}")?;
    }
    Ok(())
}

fn widths(table: &[Vec<String>]) -> Vec<usize> {
    let width = |at: usize| table.iter().map(|row| text::width(&row[at])).max().unwrap_or(0);
    (0..table[0].len()).map(width).collect()
}

fn row(found: &Found, now: Micros) -> [String; 7] {
    let Found { session, record, state } = found;
    let execs = match state {
        // Without the end of its log nobody counted.
        State::Ended(status) if status.head.is_some() => status.execs.to_string(),
        _ => "-".into(),
    };
    [
        session.id.to_string(),
        state_and_files(found),
        age(now.saturating_sub(record.created)),
        visible(&record.profile),
        visible(&record.command),
        execs,
        visible(&record.project),
    ]
}

/// One line of `ls --json`. Fields may be added; none may change its meaning.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    state: &'static str,
    created: Micros,
    project: &'a Bytes,
    cwd: &'a Bytes,
    profile: &'a str,
    network: &'a str,
    command: &'a Bytes,
    mode: Mode,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<Micros>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execs: Option<u64>,
    /// Nobody has seen yet to the host-executable files that it left behind.
    host_files_pending: bool,
}

fn write_json(sessions: &[Found], out: &mut dyn Write) -> io::Result<()> {
    for Found { session, record, state } in sessions {
        let status = match state {
            State::Ended(status) => Some(status),
            _ => None,
        };
        let line = Line {
            id: session.id.as_str(),
            state: match state {
                State::Starting => "starting",
                State::Running => "running",
                State::Ended(_) => "ended",
                State::Crashed => "crashed",
            },
            created: record.created,
            project: &record.project,
            cwd: &record.cwd,
            profile: &record.profile,
            network: &record.network,
            command: &record.command,
            mode: record.mode,
            ended: status.map(|status| status.ended),
            code: status.map(|status| status.code),
            reason: status.map(|status| status.reason.as_str()),
            execs: status.map(|status| status.execs),
            host_files_pending: session.is_pending(),
        };
        writeln!(out, "{}", encode::printable(&serde_json::to_string(&line)?))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::{dirs, draft};
    use insta::assert_snapshot;

    fn listed(args: &LsArgs, sessions: Sessions<'_>, here: &str) -> String {
        let mut out = Vec::new();
        ls(args, sessions, Path::new(here), None, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_line_up_and_foreign_text_is_escaped() {
        let root = tempfile::tempdir().unwrap();
        let dirs = dirs(root.path());
        let sessions = Sessions::new(&dirs);
        let (session, _locks) = sessions.create(draft("/p\u{1b}[2J")).unwrap();
        let text = listed(&LsArgs { all: true, ..LsArgs::default() }, sessions, "/");
        assert_snapshot!(text.replace(session.id.as_str(), "4k7xq2ab"), @r"
        ID        STATE     AGE  PROFILE  COMMAND  EXECS  PROJECT
        4k7xq2ab  starting  0s   claude   claude   -      /p\x1b[2J
        ");
    }

    #[test]
    fn a_narrow_terminal_goes_without_the_less_important_columns() {
        let root = tempfile::tempdir().unwrap();
        let dirs = dirs(root.path());
        let sessions = Sessions::new(&dirs);
        let (_session, _locks) = sessions.create(draft("/home/me/project")).unwrap();
        let heads = |columns: u16| {
            let mut out = Vec::new();
            ls(
                &LsArgs { all: true, json: false },
                sessions,
                Path::new("/"),
                Some(columns),
                &mut out,
            )
            .unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(
                text.lines().all(|line| text::width(line) <= usize::from(columns.max(47))),
                "{text}"
            );
            text.lines().next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(heads(70), "ID STATE AGE PROFILE COMMAND EXECS PROJECT");
        assert_eq!(heads(65), "ID STATE AGE PROFILE COMMAND PROJECT");
        assert_eq!(heads(55), "ID STATE AGE COMMAND PROJECT");
        assert_eq!(heads(40), "ID STATE COMMAND PROJECT");
    }

    #[test]
    fn only_this_projects_sessions_unless_all_are_asked_for() {
        let root = tempfile::tempdir().unwrap();
        let dirs = dirs(root.path());
        let sessions = Sessions::new(&dirs);
        let (_p, _p_locks) = sessions.create(draft("/p")).unwrap();
        let (_q, _q_locks) = sessions.create(draft("/q")).unwrap();
        let json = LsArgs { json: true, ..LsArgs::default() };
        assert_eq!(listed(&json, sessions, "/p/src").lines().count(), 1);
        assert!(listed(&json, sessions, "/p/src").contains(r#""project":"/p""#));
        assert_eq!(listed(&LsArgs { all: true, ..json }, sessions, "/p").lines().count(), 2);
    }
}
