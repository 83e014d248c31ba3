//! What a person reads about the findings. Paths are an agent's words: each is quoted as it would be
//! typed, and ends before the terminal does. Nothing here fails: a terminal that is gone is no reason to leave a file where it is.
#![forbid(unsafe_code)]

use std::io::Write;

use super::compare::{Change, Finding};
use super::found::{Case, Fate, Found};
use super::record::Record;
use super::screen::{Screen, name};
use crate::log::{quote, text};
use crate::profile::schema::HostFiles;
use crate::visible::visible_path;

/// The most findings that are listed; the rest is counted.
const MOST: usize = 40;
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
            "  {} more in directories of installed packages, for editors and agents only",
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
    let mut lines: Vec<String> = rows
        .iter()
        .enumerate()
        .filter(|(at, (_, finding, _))| *at < MOST || !finding.may_be_moved())
        .map(|(_, (path, finding, why))| {
            let gap = " ".repeat(width.saturating_sub(text::width(path)));
            format!("{:<8} {path}{gap}  {why}", finding.change.word())
        })
        .collect();
    if rows.len() > lines.len() {
        lines.push(format!("... and {} more, which can be set aside", rows.len() - lines.len()));
    }
    lines
}

/// Names behind a word of ours: in one line where they fit, else one below the other.
pub(super) fn names(screen: &mut Screen<'_>, what: &str, paths: &[&[u8]]) {
    let Screen { out, columns } = screen;
    let rest = match paths.len().saturating_sub(MOST) {
        0 => String::new(),
        rest => format!("and {rest} more"),
    };
    let shown = paths.iter().take(MOST);
    let mut words: Vec<String> = shown.clone().map(|path| quote::word(path)).collect();
    words.extend(Some(rest.clone()).filter(|rest| !rest.is_empty()));
    let all = format!("{what}: {}", words.join(", "));
    if columns.is_none_or(|columns| "claudebox: ".len() + text::width(&all) < columns) {
        return line(*out, &all);
    }
    line(*out, &format!("{what}:"));
    for path in shown {
        let _ = writeln!(out, "  {}", name(path, columns.map(|columns| columns - 1), 2));
    }
    if !rest.is_empty() {
        let _ = writeln!(out, "  {rest}");
    }
}

/// Why a finding matters, and what is not done about it.
fn why(finding: &Finding) -> String {
    let tracked = match (finding.tracked, finding.change) {
        (true, Change::Gone) => "; git still tracks it",
        (true, _) => "; git tracks it, so it is not moved",
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
    for Case { finding, fate } in &found.cases {
        if let Some(Fate::Stays { why }) = fate {
            let path = name(&finding.path.0, *columns, "claudebox: ".len());
            line(*out, &format!("{path} could not be set aside, and is still there: {why}"));
        }
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
        Finding { path: path.into(), entry, change, tracked }
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
          7 more in directories of installed packages, for editors and agents only
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
