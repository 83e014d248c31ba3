//! What held and what did not, for a person.
#![forbid(unsafe_code)]

use std::io::{self, Write};

use super::judge::Verdict;
use crate::visible::visible;

/// One line of the report.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) promise: &'static str,
    pub(super) what: String,
    pub(super) verdict: Verdict,
}

impl Line {
    /// Nothing that is promised was broken.
    pub(super) fn is_fine(&self) -> bool {
        !matches!(self.verdict, Verdict::Broken(_))
    }
}

/// Whether the attacker's own exit code arrived.
pub(super) fn exit_code(code: Option<i32>, wanted: u8) -> Line {
    let verdict = match code {
        Some(code) if code == i32::from(wanted) => Verdict::Held(format!("{code} arrived")),
        Some(code) => Verdict::Broken(format!("{code} arrived instead of {wanted}")),
        None => Verdict::Broken("none arrived".to_owned()),
    };
    Line { promise: "X", what: "exit with a code of its own".to_owned(), verdict }
}

/// Whether the project holds what the attacker made there, and nothing else.
pub(super) fn litter(names: &[String], remains: &[String]) -> Line {
    let more: Vec<&str> =
        names.iter().filter(|name| !remains.contains(name)).map(String::as_str).collect();
    let less: Vec<&str> =
        remains.iter().filter(|name| !names.contains(name)).map(String::as_str).collect();
    let verdict = match (more.as_slice(), less.as_slice()) {
        ([], []) => Verdict::Held("nothing but what the attacker wrote".to_owned()),
        ([], less) => Verdict::Broken(format!("missing: {}", less.join(", "))),
        (more, _) => Verdict::Broken(format!("left: {}", more.join(", "))),
    };
    Line { promise: "L", what: "leave litter in the project".to_owned(), verdict }
}

/// Writes all lines and the sum.
pub(super) fn write(lines: &[Line], out: &mut dyn Write) -> io::Result<()> {
    use anstyle::AnsiColor::{Green, Red, Yellow};
    let width =
        lines.iter().map(|line| line.what.chars().count()).max().unwrap_or_default().min(60);
    for Line { promise, what, verdict } in lines {
        let (color, word, says) = match verdict {
            Verdict::Held(says) => (Green, "held", says.as_str()),
            Verdict::Broken(says) => (Red, "LOST", says.as_str()),
            Verdict::Open(says) => (Yellow, "open", *says),
        };
        let (style, says) = (color.on_default(), visible(says.as_bytes()));
        writeln!(out, "{style}{word}{style:#}  {promise:<6}  {what:<width$}  {says}")?;
    }
    let count = |wanted: fn(&Verdict) -> bool| lines.iter().filter(|l| wanted(&l.verdict)).count();
    let held = count(|verdict| matches!(verdict, Verdict::Held(_)));
    let open = count(|verdict| matches!(verdict, Verdict::Open(_)));
    let lost = lines.len() - held - open;
    writeln!(out, "\n{held} held, {lost} lost, {open} not promised by this profile")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn litter_is_what_nobody_wrote() {
        let names =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert!(litter(&names(&["a"]), &names(&["a"])).is_fine());
        assert!(!litter(&names(&["a", "b"]), &names(&["a"])).is_fine());
        assert!(!litter(&names(&[]), &names(&["a"])).is_fine());
        assert!(exit_code(Some(23), 23).is_fine());
        assert!(!exit_code(None, 23).is_fine());
    }

    #[test]
    fn a_report_counts() {
        let line = |verdict| Line { promise: "W", what: "try".to_owned(), verdict };
        let lines = [
            line(Verdict::Held("EROFS".to_owned())),
            line(Verdict::Broken("\x1b[31m".to_owned())),
            line(Verdict::Open("not asked")),
        ];
        let mut out = Vec::new();
        write(&lines, &mut out).unwrap();
        let text = String::from_utf8(anstream::adapter::strip_bytes(&out).into_vec()).unwrap();
        insta::assert_snapshot!(text, @r"
        held  W       try  EROFS
        LOST  W       try  \x1b[31m
        open  W       try  not asked

        1 held, 1 lost, 1 not promised by this profile
        ");
    }
}
