//! `claudebox allow`: a running session may reach a host from now on, and with `--always` every later
//! one. It must never change a profile but the user's own, and never the project's.

use std::io::Write;

use crate::error::{Error, Result, printed};
use crate::network::parse::{self, Mistake};
use crate::network::rule::To;
use crate::network::suffix;
use crate::profile::edit;
use crate::profile::groups::Groups;
use crate::profile::library::Library;
use crate::session::Found;
use crate::supervisor::{self, Allowed};
use crate::visible::visible_path;

/// Who says so, in the log and in `claudebox net`.
const ORIGIN: &str = "claudebox allow";

/// What is to be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// As it was typed, and as a profile has it: `@npm`.
    text: String,
    /// The rules that it stands for.
    rules: Vec<String>,
}

/// What the words of the command line mean, checked; and what there is to warn of.
pub(super) fn wanted(words: &[String], library: &Library) -> Result<(Wanted, Vec<String>)> {
    let text = words.join(" ");
    let several =
        (words.len() > 1).then(|| "of several hosts each is a call of its own".to_owned());
    let wrong = |Mistake { what, hint }: Mistake| {
        hint.into_iter().chain(several.clone()).fold(Error::usage(what), Error::hint)
    };
    let groups = library.named_groups()?;
    let rules = match parse::group(&text).map_err(wrong)? {
        None => vec![text.clone()],
        Some(name) => {
            let rules = groups.rules(name).ok_or_else(|| {
                Error::usage(format!("there is no group `@{name}`")).hint(groups.near(name))
            })?;
            rules.into_iter().map(|rule| rule.value.clone()).collect()
        }
    };
    let mut warnings = Vec::new();
    if groups.rules(&text).is_some() {
        warnings.push(Groups::taken_for_host(&text, ORIGIN));
    }
    for rule in &rules {
        let rule = parse::allow(rule, ORIGIN).map_err(wrong)?;
        if matches!(&rule.to, To::Below(name) if suffix::is_public(name)) {
            warnings.push(format!(
                "anybody can have a name of `{rule}`: what is inside can send there what it reads"
            ));
        }
    }
    Ok((Wanted { text, rules }, warnings))
}

/// Allows it in this session, and with `always` in the profile of that name, too.
pub(super) fn allow(
    wanted: &Wanted,
    always: bool,
    found: &Found,
    library: &Library,
    out: &mut dyn Write,
) -> Result<()> {
    let Found { session, record, state } = found;
    let has_rules = record.network == "allow";
    let mut lines = Vec::new();
    if state.lives() && (has_rules || !always) {
        let allowed = supervisor::allow(&session.runtime, &wanted.text, &wanted.rules, ORIGIN)?;
        lines.extend(told(&allowed, &format!("session {}", session.id)));
    } else if !always {
        return Err(Error::usage(format!("session {} is over: {state}", session.id))
            .hint("`--always` allows it in every later session of its profile"));
    }
    // What holds already is said whatever becomes of the rest.
    say(&lines, out)?;
    if always {
        let edited = edit::allow_always(library, &record.profile, &wanted.text)?;
        let path = visible_path(&edited.path);
        let line = if edited.changed {
            format!("later sessions of the profile `{}` may reach it, too: {path}", record.profile)
        } else {
            format!("{path} says so already")
        };
        say(&[line], out)?;
    }
    Ok(())
}

fn say(lines: &[String], out: &mut dyn Write) -> Result<()> {
    printed(lines.iter().try_for_each(|line| writeln!(out, "{line}")).and_then(|()| out.flush()))
}

/// What became of the rules, a line for each.
fn told(allowed: &Allowed, session: &str) -> Vec<String> {
    let added = allowed.added.iter().map(|rule| format!("{session} may reach {rule} from now on"));
    let already = allowed
        .already
        .iter()
        .map(|(rule, by)| format!("{session} may reach {rule} already: {by}"));
    added.chain(already).collect()
}
