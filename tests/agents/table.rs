//! docs/agents.md: what is written in it of each agent is made of its record, of its profile and of the
//! version that is pinned; so it can say nothing that no run has shown.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::record::{self, Record};

/// What stands between these lines is made here.
const MARKS: [&str; 2] = ["<!-- made by `make test-agents` -->\n", "<!-- until here -->\n"];

#[test]
fn docs_agents_md_is_what_the_last_run_showed() {
    let docs = fs::read_to_string(file()).unwrap();
    assert!(docs == with(&docs, &made()), "docs/agents.md is not current: run `make test-agents`");
}

#[test]
fn every_record_is_of_the_version_that_is_pinned() {
    for name in record::names() {
        let record = record::read(&name).unwrap_or_else(|| panic!("{name} was never driven"));
        assert_eq!(record.version, record::pinned(&name).1, "{name}: run `make test-agents`");
        let driven = !record.headless.is_empty() && !record.interactive.is_empty();
        assert!(driven || record.not_driven.is_some(), "{name}: it is not said why not");
    }
}

/// Writes it anew.
pub(crate) fn write() {
    let docs = fs::read_to_string(file()).unwrap();
    fs::write(file(), with(&docs, &made())).unwrap();
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/agents.md")
}

fn with(docs: &str, made: &str) -> String {
    let (before, rest) = docs.split_once(MARKS[0]).expect("the mark stands in docs/agents.md");
    let (_, after) = rest.split_once(MARKS[1]).expect("so does the other");
    [before, MARKS[0], made, MARKS[1], after].concat()
}

fn made() -> String {
    let mut text = String::from("\n");
    for name in record::names() {
        let Some(record) = record::read(&name) else { continue };
        agent(&mut text, &name, &record);
    }
    text
}

fn agent(text: &mut String, name: &str, record: &Record) {
    let profile = profile(name);
    let parents = strings(profile.get("extends"));
    let parents = parents.iter().filter(|parent| *parent != "base");
    // What it says itself, and what the agent says on which it builds.
    let all: Vec<Table> =
        parents.map(|parent| self::profile(parent)).chain([profile.clone()]).collect();
    let said = |of: &dyn Fn(&Table) -> Option<Value>| -> Vec<String> {
        all.iter().flat_map(|profile| strings(of(profile).as_ref())).collect()
    };
    let (package, version) = record::pinned(name);
    let mut rows = vec![("tested", format!("`{package}` {version}, {}", or_never(&record.date)))];
    rows.push(("without a terminal", users(&record.headless)));
    rows.push(("in the pane, with keys", users(&record.interactive)));
    if let Some(why) = &record.not_driven {
        rows.push(("not driven", why.clone()));
    }
    let mut command = strings(profile.get("agent").and_then(|it| it.get("command")));
    // A script of several lines stands in the profile.
    command.iter_mut().filter(|word| word.contains('\n')).for_each(|word| "…".clone_into(word));
    rows.push(("runs as", code(&[command.join(" ")])));
    for (key, meaning) in [
        ("state", "shared with the host"),
        ("state-sync", "login, passed both ways"),
        ("state-copy", "taken over from the host"),
        ("state-return", "given to the host where it has none"),
        ("state-readonly", "the host's, read-only"),
        ("state-emptied", "the project's own, emptied but for data"),
        ("state-private", "fresh each time"),
    ] {
        let paths = said(&|profile| profile.get(key).cloned());
        if !paths.is_empty() {
            rows.push((meaning, code(&paths)));
        }
    }
    let allowed = said(&|profile| profile.get("network").and_then(|it| it.get("allow")).cloned());
    rows.push(("hosts it may reach", code(&allowed)));
    rows.push(("reached in the tests", code(&Vec::from_iter(record.reached.clone()))));
    rows.push(("asked for, and refused", code(&Vec::from_iter(record.refused.clone()))));
    let _ = writeln!(text, "## `{name}`\n\n| | |\n|---|---|");
    for (what, value) in rows {
        let value = if value.is_empty() { "nothing" } else { &value };
        let _ = writeln!(text, "| {what} | {value} |");
    }
    text.push('\n');
}

fn profile(name: &str) -> Table {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("profiles/{name}.toml"));
    fs::read_to_string(file).unwrap().parse().unwrap()
}

/// The words of a list, or the keys of a table.
fn strings(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(words)) => {
            words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect()
        }
        Some(Value::Table(table)) => table.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

fn code(words: &[String]) -> String {
    let words = words.iter().map(|word| format!("`{}`", word.replace('|', "\\|")));
    words.collect::<Vec<String>>().join(", ")
}

fn users(users: &BTreeSet<String>) -> String {
    let named =
        users.iter().map(|user| if user == "root" { "as root" } else { "as an ordinary user" });
    named.collect::<Vec<&str>>().join(", ")
}

fn or_never(date: &str) -> &str {
    if date.is_empty() { "never run" } else { date }
}
