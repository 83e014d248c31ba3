//! Holds `docs/syscalls.md` against the table: the page shows it as it is, or the test prints what
//! the page should show.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::table::{NONE, Refusal, TABLE, Value, When};

const PAGE: &str = include_str!("../../../docs/syscalls.md");

fn shown() -> String {
    let mut text = String::from("| calls | when | answer | why |\n|---|---|---|---|\n");
    for refusal in TABLE {
        let calls: Vec<_> = refusal.calls.iter().map(|call| format!("`{}`", call.name)).collect();
        let star = if refusal.nesting { "¹" } else { "" };
        let (when, answer) = (when(&refusal.when), answer(refusal));
        let calls = calls.join(" ");
        writeln!(text, "| {calls}{star} | {when} | `{answer}` | {} |", refusal.why).unwrap();
    }
    text
}

fn when(when: &When) -> String {
    let names = |values: &[Value]| {
        values.iter().map(|value| format!("`{}`", value.name)).collect::<Vec<_>>().join(", ")
    };
    match when {
        When::Always => "always".to_owned(),
        When::AnyBit(_, values) => format!("with any of {}", names(values)),
        When::OneOf(_, values) => format!("for {}", names(values)),
        When::NoneOf(_, values) => format!("but for {}", names(values)),
    }
}

fn answer(refusal: &Refusal) -> String {
    format!("{:?}", nix::errno::Errno::from_raw(refusal.answer))
}

#[test]
fn the_page_shows_the_table() {
    let shown = shown();
    assert!(PAGE.contains(&shown), "docs/syscalls.md should show:\n{shown}");
}

#[test]
fn the_page_counts_right() {
    let calls = TABLE.iter().flat_map(|refusal| refusal.calls);
    let calls = calls.filter(|call| call.numbers.iter().any(|number| *number != NONE));
    let count = calls.map(|call| call.name).collect::<BTreeSet<_>>().len();
    assert!(PAGE.contains(&format!("{count} system calls")), "{count} system calls");
}
