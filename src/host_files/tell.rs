//! What a person reads about the findings. Paths are an agent's words: each is made visible. Nothing
//! here fails: a terminal that is gone is no reason to leave a file where it is.
#![forbid(unsafe_code)]

use std::io::Write;

use super::compare::{Change, Finding};
use super::found::{Case, Fate, Found};
use super::record::Record;
use crate::log::text;
use crate::profile::schema::HostFiles;
use crate::visible::{visible, visible_path};

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
pub(super) fn findings(out: &mut dyn Write, record: &Record, found: &Found) {
    let project = visible_path(record.project.as_path());
    line(
        out,
        &format!("{project} has changed in what programs of this host execute by themselves:"),
    );
    let open = found.cases.iter().filter(|case| case.fate.is_none());
    for text in list(open.map(|case| &case.finding)) {
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

fn list<'f>(findings: impl Iterator<Item = &'f Finding>) -> Vec<String> {
    let rows: Vec<(String, &Finding)> =
        findings.map(|finding| (visible(&finding.path), finding)).collect();
    let width = rows.iter().map(|(path, _)| text::width(path)).max().unwrap_or(0).min(WIDEST);
    let mut lines: Vec<String> = rows
        .iter()
        .enumerate()
        .filter(|(at, (_, finding))| *at < MOST || !finding.may_be_moved())
        .map(|(_, (path, finding))| {
            let gap = " ".repeat(width.saturating_sub(text::width(path)));
            format!("{:<8} {path}{gap}  {}", finding.change.word(), why(finding))
        })
        .collect();
    if rows.len() > lines.len() {
        lines.push(format!("... and {} more, which can be set aside", rows.len() - lines.len()));
    }
    lines
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
pub(super) fn outcome(out: &mut dyn Write, id: &str, mode: HostFiles, found: &Found) {
    let moved = aside(found);
    if !moved.is_empty() {
        let shown = moved.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
        let rest = match moved.len().saturating_sub(MOST) {
            0 => String::new(),
            rest => format!(", and {rest} more"),
        };
        line(out, &format!("set aside: {shown}{rest}"));
        let cyan = anstyle::AnsiColor::Cyan.on_default().bold();
        let _ = writeln!(
            out,
            "{cyan}hint:{cyan:#} `claudebox keep {id}` brings all of it back, with PATH... what you name"
        );
    }
    let movable = found.cases.iter().any(|case| case.finding.may_be_moved());
    if mode == HostFiles::Report && movable {
        line(out, "nothing of it was moved (host-files is `report`)");
    }
    for Case { finding, fate } in &found.cases {
        if let Some(Fate::Stays { why }) = fate {
            let path = visible(&finding.path);
            line(out, &format!("{path} could not be set aside, and is still there: {why}"));
        }
    }
}

/// The names of what is set aside.
pub(super) fn aside(found: &Found) -> Vec<String> {
    let moved = |case: &&Case| matches!(case.fate, Some(Fate::Aside { .. }));
    found.cases.iter().filter(moved).map(|case| visible(&case.finding.path)).collect()
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

    fn text(tell: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        tell(&mut out);
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
        insta::assert_snapshot!(text(|out| findings(out, &record, &found)), @r"
        claudebox: /p\n has changed in what programs of this host execute by themselves:
          new      .envrc          direnv runs it
          changed  .husky/\x1b[2J  git hooks of husky; git tracks it, so it is not moved
          gone     a/.mcp.json     agents start the servers that it names; git still tracks it
          7 more in directories of installed packages, for editors and agents only
          2 directories could not be looked at: there may be more
        ");
        found.cases[0].fate = Some(Fate::Aside { number: 1, part: None });
        found.cases[1].fate = Some(Fate::Stays { why: "read-only".into() });
        insta::assert_snapshot!(text(|out| outcome(out, "4k7xq2ab", HostFiles::Ask, &found)), @r"
        claudebox: set aside: .envrc
        hint: `claudebox keep 4k7xq2ab` brings all of it back, with PATH... what you name
        claudebox: .husky/\x1b[2J could not be set aside, and is still there: read-only
        ");
    }

    #[test]
    fn what_stays_is_named_however_much_goes() {
        let decoys = (0..100)
            .map(|at| finding(format!("!{at}.envrc/.envrc").as_bytes(), Change::New, false));
        let mut list: Vec<Finding> = decoys.collect();
        list.push(finding(b".envrc", Change::Changed, true));
        let told = super::list(list.iter());
        assert_eq!(told.len(), MOST + 2);
        assert!(told[MOST].starts_with("changed  .envrc "), "{}", told[MOST]);
        assert_eq!(told[MOST + 1], "... and 60 more, which can be set aside");
    }
}
