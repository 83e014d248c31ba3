//! What somebody meant who typed a command line that cannot be read: `claudebox codex`, `claudebox run
//! npm test` and `claudebox lst` answer with the line to type. It must never guess a line that runs
//! something else than what stands there.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use strsim::damerau_levenshtein;

use super::Cli;
use crate::visible::visible;

/// Words that are near no command's name, and mean one.
const SYNONYMS: [(&str, &str); 2] = [("sessions", "ls"), ("status", "ls")];

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
    let first = words.iter().position(|word| !word.as_bytes().starts_with(b"-"))?;
    let (options, verb, rest) = match named(&words[first]) {
        Some(name) if name == "run" || name == "explain" => {
            (&words[..first], name, &words[first + 1..])
        }
        // The parser has said what is wrong with the words of a command.
        Some(_) => return None,
        None => {
            // In front of it there may be values of options.
            let (options, rest) = words.split_at(refused(error, words).unwrap_or(first));
            let (word, others) = rest.split_first()?;
            if let Some(name) = near(word).filter(|_| options.is_empty() && !is_agent(word)) {
                return Some(line(&name, others));
            }
            (options, "run".to_owned(), rest)
        }
    };
    let before = rest.iter().take_while(|word| word.as_bytes().starts_with(b"-")).count();
    let (own, command) = rest.split_at(before);
    if command.is_empty() || command.iter().any(|word| word == "--") {
        return None;
    }
    let mut line = line(&verb, options.iter().chain(own));
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

/// The command of this name, or with this other name.
fn named(word: &OsStr) -> Option<String> {
    if word == "help" {
        return Some("help".to_owned());
    }
    Cli::command().find_subcommand(word).map(|command| command.get_name().to_owned())
}

/// The command whose name is nearly this word.
fn near(word: &OsStr) -> Option<String> {
    let word = word.to_str()?;
    if let Some((_, name)) = SYNONYMS.iter().find(|(synonym, _)| *synonym == word) {
        return Some((*name).to_owned());
    }
    let command = Cli::command();
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    let distance = |name: &str| (damerau_levenshtein(word, name), 1 + name.len() / 4);
    let all = shown.flat_map(|command| {
        let names = std::iter::once(command.get_name()).chain(command.get_visible_aliases());
        names.map(|name| (distance(name), command.get_name().to_owned()))
    });
    let near = all.filter(|((distance, most), _)| distance <= most);
    near.min_by_key(|((distance, _), _)| *distance).map(|(_, name)| name)
}

/// Where the word stands that the parser could not read.
fn refused(error: &clap::Error, words: &[OsString]) -> Option<usize> {
    let Some(ContextValue::String(refused)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    words.iter().position(|word| word == refused.as_str())
}

fn line<'w>(verb: &str, words: impl IntoIterator<Item = &'w OsString>) -> String {
    let mut line = format!("claudebox {verb}");
    words.into_iter().for_each(|word| push_word(&mut line, word));
    line
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

    #[test]
    fn a_mistyped_command() {
        for (typed, expected) in [
            ("claudebox lst", "claudebox ls"),
            ("claudebox logs --failed", "claudebox log --failed"),
            ("claudebox status", "claudebox ls"),
            ("claudebox worktre list", "claudebox worktree list"),
            ("claudebox rnu -- npm test", "claudebox run -- npm test"),
            ("claudebox make", "claudebox run -- make"),
            ("claudebox --network none npm test", "claudebox run --network none -- npm test"),
        ] {
            assert_eq!(meant_by(typed).as_deref(), Some(expected), "{typed}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_commands_words_is_the_parsers_to_say() {
        for line in ["worktree lst", "profile foo", "ls foo", "help --help", "list foo"] {
            assert_eq!(meant_by(&format!("claudebox {line}")), None, "{line}");
        }
    }

    #[test]
    fn the_names_of_lists_are_interchangeable() {
        for line in ["list", "ls", "worktree ls", "worktree list", "profile ls", "profile list"] {
            let words = ["claudebox"].into_iter().chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }
}
