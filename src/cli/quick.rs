//! Lines that are read in every session, without the parser of all commands: to make that takes as long
//! as a third of a millisecond, of which a session's start has few. It must never say what is wrong with a
//! line: what it cannot read, the whole parser reads.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};

use clap::Parser;

use super::{Cli, Command, RunArgs, RunOptions};
use crate::sandbox::inner;

/// The line of `claudebox run`, from that word on.
#[derive(Debug, Parser)]
#[command(disable_help_flag = true)]
struct Run {
    #[command(flatten)]
    args: RunArgs,
}

/// What a line means, where it is one of those.
pub(super) fn read(args: &[OsString]) -> Option<Cli> {
    let [_, words @ ..] = args else { return None };
    let command = match words {
        [word, socket, plan] if word == inner::WORD => {
            Command::Inner { socket: number(socket)?, plan: number(plan)? }
        }
        [word, ..] if word == "run" => Command::Run(Run::try_parse_from(words).ok()?.args),
        _ => return None,
    };
    Some(Cli { command: Some(command), agent_args: Vec::new(), run: RunOptions::default() })
}

fn number(word: &OsStr) -> Option<i32> {
    word.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(args: &[OsString]) -> Option<String> {
        Cli::try_parse_from(args).ok().map(|cli| format!("{cli:?}"))
    }

    fn line(words: &[&str]) -> Vec<OsString> {
        ["claudebox"].iter().chain(words).map(OsString::from).collect()
    }

    #[test]
    fn what_every_session_says_is_read_here() {
        for words in [
            &["__inner", "13", "50"][..],
            &["run"],
            &["run", "--no-monitor", "--", "true"],
            &["run", "claude", "--", "-p", "--help"],
            &["run", "--network", "none", "--bind", "/x", "--bind", "/y", "-w", "fix", "demo"],
        ] {
            let args = line(words);
            let read = read(&args).map(|cli| format!("{cli:?}"));
            assert!(read.is_some(), "{words:?}");
            assert_eq!(read, whole(&args));
        }
    }

    #[test]
    fn help_and_mistakes_are_the_whole_parsers() {
        for words in [
            &["run", "--help"][..],
            &["run", "-h"],
            &["run", "--version"],
            &["run", "npm", "test"],
            &["run", "--network", "mars"],
            &["run", "--base", "x"],
            &["__inner", "13"],
            &["__inner", "13", "x"],
            &["ls"],
            &[],
        ] {
            assert!(read(&line(words)).is_none(), "{words:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_here_means_the_same(
            words in proptest::collection::vec(
                proptest::sample::select(vec![
                    "--", "-v", "-w", "x", "--bind", "/x", "--network", "none", "--no-monitor", "--monitor",
                    "--git", "shared", "--profile", "-h", "--help", "--project", "--env", "A=b", "run",
                    "--network=host", "--base", "--allow", "-x", "",
                ]), 0..6),
        ) {
            let args: Vec<&str> = ["run"].into_iter().chain(words).collect();
            let args = line(&args);
            if let Some(cli) = read(&args) {
                prop_assert_eq!(Some(format!("{cli:?}")), whole(&args));
            }
        }
    }
}
