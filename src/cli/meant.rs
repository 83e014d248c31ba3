//! What somebody meant who typed a command line that cannot be read: `claudebox codex` and
//! `claudebox run npm test` answer with the line to type. It must never guess a line that runs
//! something else than what stands there.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::visible::visible;

/// The line that was meant, for an error of the parser. `args` begin with the program's name;
/// `is_agent` tells the names for which there is a profile with an agent.
pub fn meant(
    args: &[OsString],
    error: &clap::Error,
    is_agent: impl Fn(&OsStr) -> bool,
) -> Option<String> {
    let words = args.get(1..)?;
    match error.kind() {
        ErrorKind::InvalidSubcommand | ErrorKind::UnknownArgument if !is_option(error) => {}
        _ => return None,
    }
    let command = words.iter().position(|word| !word.as_bytes().starts_with(b"-"))?;
    let (options, rest) = words.split_at(command);
    let (verb, rest) = match rest {
        [verb, rest @ ..] if verb == "run" || verb == "explain" => (visible(verb.as_bytes()), rest),
        rest => ("run".to_owned(), rest),
    };
    let before = rest.iter().take_while(|word| word.as_bytes().starts_with(b"-")).count();
    let (own, command) = rest.split_at(before);
    if command.is_empty() || command.iter().any(|word| word == "--") {
        return None;
    }
    let mut line = format!("claudebox {verb}");
    for word in options.iter().chain(own) {
        push_word(&mut line, word);
    }
    // An agent is named before the dashes, its own arguments stand behind them.
    let (agent, command) = match command {
        [agent, rest @ ..] if is_agent(agent) => (Some(agent), rest),
        all => (None, all),
    };
    if let Some(agent) = agent {
        push_word(&mut line, agent);
    }
    if !command.is_empty() {
        line.push_str(" --");
    }
    for word in command {
        push_word(&mut line, word);
    }
    Some(line)
}

/// Whether the argument that was not understood is an option: then no other line was meant.
fn is_option(error: &clap::Error) -> bool {
    matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(arg)) if arg.starts_with('-'))
}

fn push_word(line: &mut String, word: &OsString) {
    line.push(' ');
    match shlex::bytes::try_quote(word.as_bytes()) {
        Ok(quoted) => line.push_str(&visible(quoted)),
        Err(_) => line.push_str(&visible(word.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser as _;

    fn meant_by(line: &str) -> Option<String> {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let error = Cli::try_parse_from(&args).expect_err("this line should not parse");
        meant(&args, &error, |name| name == "claude")
    }

    #[test]
    fn a_program_in_place_of_a_command() {
        assert_eq!(meant_by("claudebox codex").unwrap(), "claudebox run -- codex");
        assert_eq!(meant_by("claudebox npm test").unwrap(), "claudebox run -- npm test");
    }

    #[test]
    fn an_agent_in_place_of_a_command() {
        assert_eq!(meant_by("claudebox claude").unwrap(), "claudebox run claude");
        assert_eq!(meant_by("claudebox run claude fix").unwrap(), "claudebox run claude -- fix");
    }

    #[test]
    fn a_command_without_its_dashes() {
        assert_eq!(meant_by("claudebox run npm test").unwrap(), "claudebox run -- npm test");
        assert_eq!(
            meant_by("claudebox run --no-monitor npm test").unwrap(),
            "claudebox run --no-monitor -- npm test"
        );
    }

    #[test]
    fn a_mistyped_option_is_not_a_command() {
        assert_eq!(meant_by("claudebox run --no-montor"), None);
    }
}
