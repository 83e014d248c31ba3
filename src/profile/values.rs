//! The kinds of text a profile may hold, each checked where it is parsed, so that a mistake is
//! reported at its own place and nothing behind it has to doubt. It must never look at the disk.
//!
//! The first line of an error says what is wrong, each further line is a hint.
#![forbid(unsafe_code)]

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use crate::visible::visible;

/// Declares a checked string: a newtype whose only way in is its check.
macro_rules! checked {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(String);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_string(Checked(Self::try_from))
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                $check(&text).map(|()| Self(text))
            }
        }

        impl $name {
            /// The text as written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}

mod network;

pub use network::{
    AllowRule, DenyRule, GroupName, Pool, Port, PublishedPort, parse_pool, parse_publish,
};

checked! {
    /// A path on the host: absolute, or below `~` or `${PROJECT}`; without `..`.
    HostPath, check_host_path
}
checked! {
    /// A path below the home: `~/NAME...`; without `..`.
    HomePath, check_home_path
}
checked! {
    /// A path to hide: a [`HostPath`], or (in a project's own file) relative to the project.
    HiddenPath, check_hidden_path
}
checked! {
    /// The name of an environment variable.
    VariableName, check_variable
}
checked! {
    /// The name of an environment variable, or its beginning and `*`.
    VariablePattern, check_pattern
}
checked! {
    /// A program's name as execve(2) gets it after a search along PATH: no slash.
    ProgramName, check_program
}
checked! {
    /// A profile: its name, or a path that starts with `./`, `../`, `~/` or `/`.
    ProfileRef, check_profile_ref
}
checked! {
    /// The name of a profile.
    ProfileName, check_profile_name
}
checked! {
    /// `NAME` or `NAME=VALUE`.
    Assignment, check_assignment
}
checked! {
    /// The name of a file or directory in a directory.
    EntryName, check_entry
}
checked! {
    /// A key of a JSON object.
    JsonKey, check_json_key
}

checked! {
    /// `HOST:PORT`; an IPv6 address stands in brackets.
    Endpoint, check_endpoint
}
/// Runs a check inside the deserializer, which then knows the place even within a list
/// (`try_from` would be called behind it, where only the place of the list is known).
struct Checked<T>(fn(String) -> Result<T, String>);

impl<T> Visitor<'_> for Checked<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text.to_owned()).map_err(E::custom)
    }
}

/// A command in argv form: at least a program, and no NUL anywhere.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Argv(Vec<String>);

impl TryFrom<Vec<String>> for Argv {
    type Error = String;

    fn try_from(argv: Vec<String>) -> Result<Self, String> {
        if argv.first().is_none_or(String::is_empty) {
            return Err("a command needs a program\nwrite it like [\"aider\", \"--yes\"]".into());
        }
        argv.iter().try_for_each(|arg| no_nul(arg))?;
        Ok(Self(argv))
    }
}

impl Argv {
    /// The arguments, the program first.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

/// A size in bytes, written like `"512MiB"`, `"2G"` or `"1048576"`. Units are powers of 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Size(pub u64);

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_size(&text).map(Self)
    }
}

/// `"512MiB"` in bytes.
pub fn parse_size(text: &str) -> Result<u64, String> {
    const HINT: &str = "write a whole number and a unit: \"512MiB\", \"2GiB\"";
    let digits = text.find(|ch: char| !ch.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 =
        number.parse().map_err(|_| format!("{} is not a size\n{HINT}", quote(text)))?;
    let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(format!("{} is not a unit of size\n{HINT}", quote(unit))),
    };
    match number.checked_mul(1 << shift) {
        Some(0) => Err(format!("a size of nothing leaves nothing to work with\n{HINT}")),
        Some(bytes) => Ok(bytes),
        None => Err(format!("{} is larger than any machine", quote(text))),
    }
}

/// bwrap reads its arguments NUL-separated; a NUL in one would make two of it (the argument
/// injection of CVE-2024-32462).
fn no_nul(text: &str) -> Result<(), String> {
    if text.contains('\0') { Err("a NUL byte cannot be part of this".into()) } else { Ok(()) }
}

/// Foreign text within a message. A newline in it must not begin a hint of its own.
fn quote(text: &str) -> String {
    format!("`{}`", visible(text))
}

fn check_host_path(text: &str) -> Result<(), String> {
    check_components(text)?;
    let from_root = ["~", "${PROJECT}", ""]
        .iter()
        .any(|root| text == *root || text.strip_prefix(root).is_some_and(|r| r.starts_with('/')));
    match text {
        "" => Err("a path cannot be empty".into()),
        _ if from_root => Ok(()),
        _ if text.starts_with('$') => Err(format!(
            "{} does not start with a variable that is known here\n\
             write `~/` for the home and `${{PROJECT}}/` for the project",
            quote(text)
        )),
        _ if text.starts_with('~') => {
            Err(format!("{} is another user's home\nwrite an absolute path", quote(text)))
        }
        _ => Err(format!(
            "{} is a relative path\nstart it with `/`, `~/` or `${{PROJECT}}/`",
            quote(text)
        )),
    }
}

fn check_home_path(text: &str) -> Result<(), String> {
    check_components(text)?;
    match text.strip_prefix("~/") {
        Some(rest) if !rest.trim_matches('/').is_empty() => Ok(()),
        _ => {
            Err(format!("{} is not a path below the home\nwrite it like \"~/.agent\"", quote(text)))
        }
    }
}

fn check_hidden_path(text: &str) -> Result<(), String> {
    if text.starts_with(['/', '~', '$']) {
        return check_host_path(text);
    }
    check_components(text)?;
    if text.is_empty() { Err("a path cannot be empty".into()) } else { Ok(()) }
}

/// `..` is refused everywhere: what a rule covers must be plain to read, and must not change when
/// a directory on the way becomes a link.
fn check_components(text: &str) -> Result<(), String> {
    no_nul(text)?;
    if text.split('/').any(|part| part == "..") {
        return Err(format!("{} contains `..`\nwrite the path that is meant", quote(text)));
    }
    Ok(())
}

fn check_variable(text: &str) -> Result<(), String> {
    let mut chars = text.chars();
    let first = chars.next().is_some_and(|ch| ch.is_ascii_alphabetic() || ch == '_');
    if first && chars.all(|ch| ch.is_ascii_alphanumeric() || ch == '_') {
        return Ok(());
    }
    let hint = if text.contains('=') {
        "only the name stands here; values stand in `environment.set`"
    } else {
        "letters, digits and `_`, like \"EDITOR\""
    };
    Err(format!("{} is not the name of an environment variable\n{hint}", quote(text)))
}

fn check_assignment(text: &str) -> Result<(), String> {
    no_nul(text)?;
    check_variable(text.split_once('=').map_or(text, |(name, _)| name))
}

fn check_pattern(text: &str) -> Result<(), String> {
    match text.strip_suffix('*') {
        Some("") => Err("`*` would be every variable there is\nname at least the beginning".into()),
        Some(beginning) => check_variable(beginning),
        None => check_variable(text),
    }
}

fn check_program(text: &str) -> Result<(), String> {
    no_nul(text)?;
    if text.is_empty() || text.contains('/') {
        return Err(format!(
            "{} is not a program's name\nwrite it without directories",
            quote(text)
        ));
    }
    Ok(())
}

fn check_entry(text: &str) -> Result<(), String> {
    no_nul(text)?;
    if matches!(text, "" | "." | "..") || text.contains('/') {
        return Err(format!(
            "{} is not the name of a file or directory\nwrite it without directories",
            quote(text)
        ));
    }
    Ok(())
}

fn check_json_key(text: &str) -> Result<(), String> {
    if text.is_empty() { Err("a key cannot be empty".into()) } else { Ok(()) }
}

fn check_endpoint(text: &str) -> Result<(), String> {
    let hint = "write it like \"example.com:443\" or \"[::1]:80\"";
    let (host, port) =
        text.rsplit_once(':').ok_or_else(|| format!("{} has no port\n{hint}", quote(text)))?;
    if !port.parse::<u16>().is_ok_and(|port| port != 0) {
        return Err(format!("{} is not a port\n{hint}", quote(port)));
    }
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let allowed = |ch: char| ch.is_ascii_alphanumeric() || matches!(ch, '-' | '_' | '.');
    let is_host = bracketed.map_or_else(
        || !host.is_empty() && host.chars().all(allowed),
        |address| address.parse::<std::net::Ipv6Addr>().is_ok(),
    );
    if is_host { Ok(()) } else { Err(format!("{} is not a host\n{hint}", quote(host))) }
}

fn check_profile_ref(text: &str) -> Result<(), String> {
    no_nul(text)?;
    if is_path(text) { Ok(()) } else { check_profile_name(text) }
}

/// Whether this names a file, not a profile.
pub fn is_path(text: &str) -> bool {
    ["/", "./", "../", "~/"].iter().any(|start| text.starts_with(start))
}

/// Names become file names and are typed in shells; so nothing in them can act as either.
pub fn check_profile_name(text: &str) -> Result<(), String> {
    let safe = |ch: char| ch.is_ascii_alphanumeric() || matches!(ch, '-' | '_' | '.' | '+');
    if text.starts_with(|ch: char| ch.is_ascii_alphanumeric()) && text.chars().all(safe) {
        return Ok(());
    }
    Err(format!(
        "{} is not the name of a profile\n\
         a name has letters, digits, `-`, `_`, `.`; a file starts with `./`, `~/` or `/`",
        quote(text)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(parse_size("1"), Ok(1));
        assert_eq!(parse_size("512MiB"), Ok(512 << 20));
        assert_eq!(parse_size("2 g"), Ok(2 << 30));
        for wrong in ["", "MiB", "-1", "1.5G", "1Zi", "0", "99999999999T", "1 MiB x"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn paths_start_somewhere_certain() {
        for right in ["/", "/usr", "~", "~/.cargo/bin", "${PROJECT}/x", "${PROJECT}"] {
            assert_eq!(check_host_path(right), Ok(()), "{right}");
        }
        for wrong in ["", "usr", "./x", "~root/x", "$HOME/x", "${PROJECTS}/x", "/a/../b", "/a\0b"] {
            assert!(check_host_path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn state_stays_below_the_home() {
        assert_eq!(check_home_path("~/.claude/"), Ok(()));
        for wrong in ["~", "~/", "/etc", "~/../x", ".claude"] {
            assert!(check_home_path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_endpoint_has_a_host_and_a_port() {
        for right in ["example.com:443", "127.0.0.1:1", "[::1]:80", "localhost:65535"] {
            assert_eq!(check_endpoint(right), Ok(()), "{right}");
        }
        for wrong in ["", "x", ":1", "x:0", "x:65536", "::1:80", "http://x:80", "[x]:1", "a b:1"] {
            assert!(check_endpoint(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn variable_names_are_those_of_a_shell() {
        assert_eq!(check_pattern("LC_*"), Ok(()));
        for wrong in ["", "*", "1A", "A=b", "A B", "A*B", "Ä"] {
            assert!(check_pattern(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_profile_name_can_never_leave_its_directory(name in ".*") {
            if check_profile_name(&name).is_ok() {
                prop_assert!(!name.contains('/') && !name.starts_with('.') && !name.is_empty());
            }
        }

        #[test]
        fn a_size_survives_being_written(bytes in 1_u64..u64::MAX) {
            prop_assert_eq!(parse_size(&bytes.to_string()), Ok(bytes));
        }
    }
}
