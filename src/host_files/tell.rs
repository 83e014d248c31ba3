//! What a person reads about the findings. Paths are an agent's words: each is quoted as it would be
//! typed, and ends before the terminal does. Nothing here fails: a terminal that is gone is no reason to
//! leave a file where it is.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::io::Write;

use super::compare::{Change, Finding};
use super::found::{Case, Fate, Found};
use super::path::ways;
use super::record::Record;
use super::screen::{Screen, name};
use crate::log::{quote, text};
use crate::profile::schema::HostFiles;
use crate::visible::visible_path;

/// The most findings that are listed, and that are asked about one by one; the rest is counted.
pub(super) const MOST: usize = 40;
/// The most that are named of what is not moved.
const MOST_STAYING: usize = 400;
/// Longer paths do not push the explanations further to the right.
const WIDEST: usize = 40;

/// Something to read.
pub(super) fn line(out: &mut dyn Write, text: &str) {
    let bold = anstyle::Style::new().bold();
    let _ = writeln!(out, "{bold}claudebox:{bold:#} {text}");
}

/// What was found.
pub(super) fn findings(screen: &mut Screen<'_>, record: &Record, found: &Found) {
    let Screen { out, columns } = screen;
    let project = visible_path(record.project.as_path());
    line(
        *out,
        &format!("{project} has changed in what programs of this host execute by themselves:"),
    );
    let open = found.cases.iter().filter(|case| case.fate.is_none());
    for text in list(open.map(|case| &case.finding), *columns) {
        let _ = writeln!(out, "  {text}");
    }
    if found.in_packages > 0 {
        let _ = writeln!(
            out,
            "  {} more in directories of installed packages, where nothing executes them by itself",
            found.in_packages
        );
    }
    if found.unseen > 0 {
        let red = anstyle::AnsiColor::Red.on_default().bold();
        let _ = writeln!(
            out,
            "  {red}{} directories could not be looked at: there may be more{red:#}",
            found.unseen
        );
    }
}

/// Before the name: the indent, the change and a space.
const BEFORE: usize = 2 + 8 + 1;

fn list<'f>(findings: impl Iterator<Item = &'f Finding>, columns: Option<usize>) -> Vec<String> {
    let row = |finding: &'f Finding| {
        let why = why(finding);
        (name(&finding.path.0, columns, BEFORE + 2 + why.len()), finding, why)
    };
    let rows: Vec<(String, &Finding, String)> = findings.map(row).collect();
    let width = rows.iter().map(|(path, ..)| text::width(path)).max().unwrap_or(0).min(WIDEST);
    let named = named(&rows);
    let (shown, left): (Vec<_>, Vec<_>) =
        rows.iter().enumerate().partition(|(at, _)| named.contains(at));
    let line = |(_, (path, finding, why)): (usize, &(String, &Finding, String))| {
        let gap = " ".repeat(width.saturating_sub(text::width(path)));
        format!("{:<8} {path}{gap}  {why}", finding.change.word())
    };
    let mut lines: Vec<String> = shown.into_iter().map(line).collect();
    let movable = left.iter().filter(|(_, (_, finding, _))| finding.may_be_moved()).count();
    let counted = [
        (movable, "which can be set aside"),
        (left.len() - movable, "which are not moved: git shows them"),
    ];
    let counted = counted.iter().filter(|(count, _)| *count > 0);
    lines.extend(counted.map(|(count, what)| format!("... and {count} more, {what}")));
    lines
}

/// The first of all, and of what is not moved so many that no change hides behind thousands of new ones:
/// what was there at the start goes before what was not, and what lies higher before what lies deeper.
fn named(rows: &[(String, &Finding, String)]) -> BTreeSet<usize> {
    let mut stay: Vec<usize> = (0..rows.len()).filter(|at| !rows[*at].1.may_be_moved()).collect();
    stay.sort_by_key(|at| {
        let finding = rows[*at].1;
        (finding.change == Change::New, ways(&finding.path.0).count())
    });
    (0..rows.len().min(MOST)).chain(stay.into_iter().take(MOST_STAYING)).collect()
}

/// Names behind a word of ours: in one line where they fit, else one below the other.
pub(super) fn names(screen: &mut Screen<'_>, what: &str, paths: &[&[u8]]) {
    let Screen { out, columns } = screen;
    let all = format!("{what}: {}", some(paths));
    if columns.is_none_or(|columns| "claudebox: ".len() + text::width(&all) < columns) {
        return line(*out, &all);
    }
    line(*out, &format!("{what}:"));
    for path in paths.iter().take(MOST) {
        let _ = writeln!(out, "  {}", name(path, columns.map(|columns| columns - 1), 2));
    }
    if let Some(rest) = rest(paths) {
        let _ = writeln!(out, "  {rest}");
    }
}

/// The first of these names, and how many more there are, in one line.
pub(super) fn some(paths: &[&[u8]]) -> String {
    let shown = paths.iter().take(MOST).map(|path| quote::word(path));
    shown.chain(rest(paths)).collect::<Vec<_>>().join(", ")
}

fn rest(paths: &[&[u8]]) -> Option<String> {
    let rest = paths.len().checked_sub(MOST).filter(|rest| *rest > 0)?;
    Some(format!("and {rest} more"))
}

/// Why a finding matters, and what is not done about it.
fn why(finding: &Finding) -> String {
    let tracked = match (finding.tracked, finding.change) {
        (true, Change::Gone) => "; git still tracks it",
        (true, Change::Reached) => "; git tracks it as it is, and a link leads to it now",
        (true, _) => "; git tracks it, so it is not moved",
        (false, _) if finding.older => {
            "; it is older than the session, so it is not moved: look at what is in it"
        }
        (false, _) => "",
    };
    format!("{}{tracked}", finding.entry.who)
}

/// What became of it.
pub(super) fn outcome(screen: &mut Screen<'_>, id: &str, mode: HostFiles, found: &Found) {
    let moved = aside(found);
    if !moved.is_empty() {
        names(screen, "set aside", &moved);
    }
    let Screen { out, columns } = screen;
    if !moved.is_empty() {
        let cyan = anstyle::AnsiColor::Cyan.on_default().bold();
        let _ = writeln!(
            out,
            "{cyan}hint:{cyan:#} `claudebox keep {id}` brings all of it back, with PATH... what you name"
        );
    }
    let movable = found.cases.iter().any(|case| case.finding.may_be_moved());
    if mode == HostFiles::Report && movable {
        line(*out, "nothing of it was moved (host-files is `report`)");
    }
    let stays = |case: &&Case| matches!(case.fate, Some(Fate::Stays { .. }));
    for Case { finding, fate } in found.cases.iter().filter(stays).take(MOST_STAYING) {
        if let Some(Fate::Stays { why }) = fate {
            let path = name(&finding.path.0, *columns, "claudebox: ".len());
            line(*out, &format!("{path} could not be set aside, and is still there: {why}"));
        }
    }
    let rest = found.cases.iter().filter(stays).count().saturating_sub(MOST_STAYING);
    if rest > 0 {
        line(*out, &format!("{rest} more could not be set aside, and are still there"));
    }
}

/// The paths of what is set aside.
pub(super) fn aside(found: &Found) -> Vec<&[u8]> {
    let moved = |case: &&Case| matches!(case.fate, Some(Fate::Aside { .. }));
    found.cases.iter().filter(moved).map(|case| case.finding.path.0.as_slice()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::compare::Findings;
    use super::super::table;
    use super::*;

    fn finding(path: &[u8], change: Change, tracked: bool) -> Finding {
        let (_, entry) = table::unit(path).unwrap();
        Finding { path: path.into(), entry, change, tracked, older: false }
    }

    fn text(columns: Option<usize>, tell: impl Fn(&mut Screen<'_>)) -> String {
        let mut out = Vec::new();
        tell(&mut Screen { out: &mut out, columns });
        anstream::adapter::strip_bytes(&out).into_vec().try_into().unwrap()
    }

    #[test]
    fn everything_is_named_and_foreign_text_is_harmless() {
        let list = vec![
            finding(b".envrc", Change::New, false),
            finding(b".husky/\x1b[2J", Change::Changed, true),
            finding(b"a/.mcp.json", Change::Gone, true),
        ];
        let mut found = Found::new(Findings { list, unseen: 2, in_packages: 7 });
        let record = Record { project: "/p\n".into(), ..Record::default() };
        insta::assert_snapshot!(text(None, |out| findings(out, &record, &found)), @r"
        claudebox: /p\n has changed in what programs of this host execute by themselves:
          new      .envrc           direnv runs it
          changed  $'.husky/\e[2J'  git hooks of husky; git tracks it, so it is not moved
          gone     a/.mcp.json      agents start the servers that it names; git still tracks it
          7 more in directories of installed packages, where nothing executes them by itself
          2 directories could not be looked at: there may be more
        ");
        found.cases[0].fate = Some(Fate::Aside { number: 1, part: None });
        found.cases[1].fate = Some(Fate::Stays { why: "read-only".into() });
        insta::assert_snapshot!(text(None, |out| outcome(out, "4k7xq2ab", HostFiles::Ask, &found)), @r"
        claudebox: set aside: .envrc
        hint: `claudebox keep 4k7xq2ab` brings all of it back, with PATH... what you name
        claudebox: $'.husky/\e[2J' could not be set aside, and is still there: read-only
        ");
    }

    #[test]
    fn what_stays_is_named_however_much_goes() {
        let decoys = (0..100)
            .map(|at| finding(format!("!{at}.envrc/.envrc").as_bytes(), Change::New, false));
        let mut list: Vec<Finding> = decoys.collect();
        list.push(finding(b".envrc", Change::Changed, true));
        let told = super::list(list.iter(), None);
        assert_eq!(told.len(), MOST + 2);
        assert!(told[MOST].starts_with("changed  .envrc "), "{}", told[MOST]);
        assert_eq!(told[MOST + 1], "... and 60 more, which can be set aside");
        let tracked =
            (0..20_000).map(|at| finding(format!("!{at}/.envrc").as_bytes(), Change::New, true));
        let list: Vec<Finding> = tracked.chain(list).collect();
        let told = super::list(list.iter(), None);
        assert!(told.iter().any(|line| line.starts_with("changed  .envrc ")));
        assert!(told.len() < MOST + MOST_STAYING + 3, "{}", told.len());
        assert!(told.last().unwrap().ends_with("which are not moved: git shows them"));
    }

    #[test]
    fn attack_no_name_is_a_line_of_its_own() {
        let forged =
            |at: usize| format!("d{at}{}claudebox: set aside: .envrc/.envrc", " ".repeat(60));
        let list = (0..3).map(|at| finding(forged(at).as_bytes(), Change::New, false)).collect();
        let mut found = Found::new(Findings { list, unseen: 0, in_packages: 0 });
        for (case, number) in found.cases.iter_mut().zip(1..) {
            case.fate = Some(Fate::Aside { number, part: None });
        }
        let record = Record { project: "/p".into(), ..Record::default() };
        let told = |found: &Found| {
            text(Some(80), |screen| outcome(screen, "4k7xq2ab", HostFiles::Ask, found))
        };
        let aside = told(&found);
        found.cases.iter_mut().for_each(|case| case.fate = None);
        let open = text(Some(80), |screen| findings(screen, &record, &found));
        found.cases.iter_mut().for_each(|case| case.fate = Some(Fate::Stays { why: "x".into() }));
        for text in [&aside, &open, &told(&found)] {
            let named: Vec<&str> = text.lines().filter(|line| line.contains("'d")).collect();
            assert_eq!(named.len(), 3, "{text}");
            for line in named {
                assert!(text::width(line.split('…').next().unwrap()) < 80, "{line}");
                assert!(!line.contains("  claudebox:"), "{line}");
            }
        }
        // Control: without an edge nothing is cut.
        let list = vec![finding(forged(1).as_bytes(), Change::New, false)];
        let found = Found::new(Findings { list, unseen: 0, in_packages: 0 });
        let whole = text(None, |screen| findings(screen, &record, &found));
        assert!(whole.contains("claudebox: set aside: .envrc/.envrc'"), "{whole}");
    }
}
