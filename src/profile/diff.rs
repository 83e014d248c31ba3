//! `claudebox profile diff`: what holds in one profile and not in another, value by value, with the line
//! that says it. Who says a value is no difference, only what it is.

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::command::{layers, say};
use super::held::{Held, held};
use super::library::Library;
use super::merge::merge;
use crate::error::{Error, Result};
use crate::visible::{visible, visible_path};

/// Longer values push the place behind them out of its column.
const WIDEST: usize = 60;

/// Prints what differs; nothing where nothing does. The exit code is that of diff(1): 0 the same, 1 not.
///
/// # Errors
/// When one of the two is missing or wrong.
pub fn diff(
    library: &Library,
    cwd: &Path,
    [left, right]: [&PathBuf; 2],
    out: &mut dyn Write,
) -> Result<u8> {
    let holds = |name: &Path| Ok::<_, Error>(held(&merge(layers(library, cwd, name)?)));
    let (left_holds, right_holds) = (holds(left)?, holds(right)?);
    let lines = differences(&left_holds, &right_holds);
    if lines.is_empty() {
        return Ok(0);
    }
    let names = [left, right].map(|name| visible_path(name));
    say(out, &table(&names, &lines))?;
    Ok(1)
}

/// On which side something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// What only one side has, by key; the keys in the order of the schema.
fn differences<'h>(left: &'h [Held], right: &'h [Held]) -> Vec<(Side, &'h Held)> {
    let lacks = |others: &[Held], one: &Held| {
        !others.iter().any(|other| other.key == one.key && other.value == one.value)
    };
    let mut lines: Vec<(Side, &Held)> = Vec::new();
    let mut done: Vec<&str> = Vec::new();
    // Both lists have the order of the schema, where a table of files may have keys that the other has not.
    let mut keys: Vec<&str> = left.iter().map(|held| held.key.as_str()).collect();
    for (at, held) in right.iter().enumerate() {
        if !keys.contains(&held.key.as_str()) {
            let before = right[..at].iter().rev().find_map(|earlier| {
                keys.iter().rposition(|key| *key == earlier.key).map(|found| found + 1)
            });
            keys.insert(before.unwrap_or(0), &held.key);
        }
    }
    for key in keys {
        if done.contains(&key) {
            continue;
        }
        done.push(key);
        for (side, own, others) in [(Side::Left, left, right), (Side::Right, right, left)] {
            let only = own.iter().filter(|held| held.key == key && lacks(others, held));
            lines.extend(only.map(|held| (side, held)));
        }
    }
    lines
}

fn table([left, right]: &[String; 2], lines: &[(Side, &Held)]) -> String {
    let mut text = format!("- {left}\n+ {right}\n");
    let shown: Vec<String> = lines.iter().map(|(_, held)| visible(&held.value)).collect();
    let widths = shown.iter().map(|value| value.chars().count());
    let width = widths.filter(|width| *width <= WIDEST).max().unwrap_or(0);
    let mut key = "";
    for ((side, held), value) in lines.iter().zip(&shown) {
        if held.key != key {
            key = &held.key;
            let _ = writeln!(text, "\n{}", visible(key));
        }
        let sign = if *side == Side::Left { '-' } else { '+' };
        let _ = writeln!(text, "  {sign} {value:width$}  {}", held.origin);
    }
    text
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::fixture::Fixture;
    use super::*;

    fn said(fixture: &Fixture, left: &str, right: &str) -> (u8, String) {
        let mut out = Vec::new();
        let names = [left, right].map(PathBuf::from);
        let code = diff(&fixture.library, &fixture.path("project"), names.each_ref(), &mut out);
        let text = String::from_utf8(out).unwrap();
        (code.unwrap(), text.replace(&fixture.path("").display().to_string(), "/"))
    }

    #[test]
    fn each_value_stands_with_its_line() {
        let fixture = Fixture::new();
        fixture
            .user(
                "left",
                "extends = [\"base\"]\ngit = \"none\"\ntools = [\"/a\", \"/b\"]\n\
                 state-copy = { \"~/.l.json\" = [\"k\"] }\nlimits.tmp-size = \"1MiB\"\n\
                 [environment]\nset.A = \"1\\u001b[2J\"\ndeny = [\"LANG\"]\n",
            )
            .user(
                "right",
                "extends = [\"base\"]\n\ntools = [\"/b\", \"/c\"]\n\
                 state-copy = { \"~/.r.json\" = [\"k\"] }\nlimits.tmp-size = \"2GiB\"\n\
                 environment.set.A = \"2\"\nnetwork.allow = [\"@npm\"]\n",
            );
        let (code, text) = said(&fixture, "left", "right");
        assert_eq!(code, 1);
        // Lines of what is built in change with every comment there.
        let built_in = regex_lite::Regex::new(r"\(built in\):\d+").unwrap();
        let text = built_in.replace_all(&text, "(built in):N");
        assert_snapshot!(text, @r#"
        - left
        + right

        git
          - "none"      /user/profiles/left.toml:2
          + "private"   base.toml (built in):N

        tools
          - "/a"        /user/profiles/left.toml:3
          + "/c"        /user/profiles/right.toml:3

        state-copy."~/.r.json"
          + "k"         /user/profiles/right.toml:4

        state-copy."~/.l.json"
          - "k"         /user/profiles/left.toml:4

        environment.pass
          + "LANG"      base.toml (built in):N

        environment.set.A
          - "1\x1b[2J"  /user/profiles/left.toml:7
          + "2"         /user/profiles/right.toml:6

        environment.deny
          - "LANG"      /user/profiles/left.toml:8

        network.allow
          + "@npm"      /user/profiles/right.toml:7

        limits.tmp-size
          - "1MiB"      /user/profiles/left.toml:5
          + "2GiB"      /user/profiles/right.toml:5
        "#);
    }

    #[test]
    fn who_says_it_is_no_difference() {
        let fixture = Fixture::new();
        fixture.user("one", "extends = [\"base\"]\nnetwork.allow = [\"@npm\", \"a.test\"]\n").user(
            "two",
            "extends = [\"one\"]\n\nnetwork.allow = [\"a.test\"]\ngit = \"private\"\n",
        );
        assert_eq!(said(&fixture, "one", "two"), (0, String::new()));
        assert_eq!(said(&fixture, "claude", "claude"), (0, String::new()));
    }

    #[test]
    fn a_file_is_compared_like_a_name() {
        let fixture = Fixture::new();
        fixture.write("project/x.toml", "extends = [\"default\"]\ndescription = \"x\"\n");
        let (code, text) = said(&fixture, "default", "./x.toml");
        assert_eq!(code, 1);
        assert!(text.starts_with("- default\n+ ./x.toml\n\ndescription\n  - "), "{text}");
        assert_eq!(text.lines().count(), 6, "{text}");
    }

    #[test]
    fn what_is_missing_or_wrong_is_an_error() {
        let fixture = Fixture::new();
        fixture.user("broken", "x = 1\n");
        let refused = |left: &str, right: &str| {
            let names = [left, right].map(PathBuf::from);
            let out = &mut Vec::new();
            let error = diff(&fixture.library, Path::new("/"), names.each_ref(), out).unwrap_err();
            assert_eq!(error.kind().exit_code(), 2);
            error.brief().to_owned()
        };
        assert_eq!(refused("claude", "cluade"), "there is no profile `cluade`");
        assert!(refused("broken", "claude").ends_with("unknown key `x`"));
        assert_eq!(refused("groups", "claude"), "`groups` is no profile");
    }
}
