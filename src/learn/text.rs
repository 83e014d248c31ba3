//! The text of a new profile. Everything in it that a run chose by itself is checked to be a plain
//! name, or left out: the text is read by a person, and parsed.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::home::Written;
use super::observed::Observed;
use super::secret;
use crate::log::net::totals::Totals;
use crate::log::net::words;
use crate::network::parse;
use crate::visible::visible;

/// How many names of one kind are written.
const MOST: usize = 40;

/// Everything that is known of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The command.
    pub(crate) argv: Vec<String>,
    /// Its exit code.
    pub(crate) code: u8,
    /// What its session's log says.
    pub(crate) observed: Observed,
    /// What it wrote to its private home.
    pub(crate) written: Written,
    /// Not all of that was looked at.
    pub(crate) cut: bool,
    /// Variables of the caller that may hold what the agent logs in with: names only.
    pub(crate) variables: BTreeSet<String>,
}

/// A profile that names this agent, and in comments what else one can say.
pub(crate) fn skeleton(name: &str) -> String {
    let name = quoted(name);
    format!(
        r#"# A profile of your own. Whatever is not named here is not there inside: no directory of yours, no
# variable, no host. `claudebox profile show base` prints what it builds on; docs/profiles.md has all keys.
# A comment below that begins with a key is an example: take its `#` away and put your own names in.

description = {name}
extends = ["base"]

# Directories of your home that are shared with the agent, so that a login survives. All else that it
# writes to its home stays in a private one. Directories, never single files.
# state = ["~/.config/agent"]

# Of these: what the agent may only read, because it is obeyed or executed outside, too.
# state-readonly = ["~/.config/agent/settings.json"]

[agent]
command = [{name}]
programs = [{name}]

# Programs that it runs for itself; the log pane folds them.
# helpers = ["git"]

[network]
# Hosts, by name; groups of them are printed by `claudebox profile show groups`.
# allow = ["@dev", "api.example.com"]

[environment]
# Variables of yours that are passed on.
# pass = ["AGENT_API_KEY"]
"#
    )
}

/// A profile that is as narrow as one run allows.
pub(crate) fn learned(seen: &Seen) -> String {
    let (argv, left_out) = secret::without(&seen.argv);
    let program = argv.first().map(String::as_str).unwrap_or_default();
    let base = Path::new(program).file_name().and_then(|name| name.to_str()).unwrap_or(program);
    let mut out = String::new();
    let _ = writeln!(
        out,
        "# Written by `claudebox profile new` from one run under the profile `default`, which ended with {}.\n\
         # Look at every line: what the run did not need is not here, and what it was refused, or made by\n\
         # itself, is a comment. Take the `#` away from what you want. Which files it opened is not known:\n\
         # the log has what was executed and connected, and what is new in the private home.\n",
        seen.code
    );
    let _ = writeln!(out, "description = {}\nextends = [\"base\"]", quoted(base));
    state(&mut out, seen);
    let _ = writeln!(out, "\n[agent]");
    if left_out > 0 {
        let _ =
            writeln!(out, "# Left out, since it may be a secret: {}.", many(left_out, "argument"));
    }
    let argv: Vec<String> = argv.iter().map(|word| quoted(word)).collect();
    let _ = writeln!(out, "command = [{}]", argv.join(", "));
    if runs_anything(base) {
        let _ = writeln!(
            out,
            "# No `programs`: every `claudebox run -- {base} ...` would run under this profile, whatever it runs.\n\
             # This one is run by its own name.",
        );
    } else {
        let _ = writeln!(out, "programs = [{}]", quoted(base));
    }
    programs(&mut out, &seen.observed);
    network(&mut out, &seen.observed.network);
    variables(&mut out, &seen.variables);
    out
}

/// Whether this is a shell or another program that runs what its arguments say: by its name nobody knows
/// what it is going to do.
fn runs_anything(program: &str) -> bool {
    const THESE: [&str; 22] = [
        "sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "busybox", "env", "python", "pypy",
        "node", "nodejs", "bun", "deno", "ruby", "perl", "php", "lua", "java", "npx", "uvx",
    ];
    // Also `python3.12`.
    let version = |ch: char| ch.is_ascii_digit() || ch == '.' || ch == '-';
    THESE.contains(&program.trim_end_matches(version))
}

fn state(out: &mut String, seen: &Seen) {
    let Written { directories, files, caches, startup } = &seen.written;
    let home = |path: &Path| plain(path).map(|path| format!("~/{path}"));
    let shown: Vec<(String, usize)> =
        directories.iter().filter_map(|(path, count)| Some((home(path)?, *count))).collect();
    if !shown.is_empty() {
        let _ = writeln!(
            out,
            "\n# Directories of the home that it wrote to. As it stands they are in a private home, one for each\n\
             # project. What you name here is your own directory instead: a login in it is shared, and what the\n\
             # agent writes there is read, and perhaps executed, by the programs outside.\n\
             # state = ["
        );
        for (path, count) in shown.iter().take(MOST) {
            let _ = writeln!(out, "#   {},  # {}", quoted(path), many(*count, "file"));
        }
        let _ = writeln!(out, "# ]");
        more(out, shown.len());
    }
    let mut also = |what: &str, paths: &BTreeSet<PathBuf>| {
        let paths: Vec<String> = paths.iter().filter_map(|path| home(path)).collect();
        if !paths.is_empty() {
            let named: Vec<&str> = paths.iter().take(MOST).map(String::as_str).collect();
            let _ = writeln!(out, "\n# {what}:\n#   {}", named.join(" "));
            more(out, paths.len());
        }
    };
    also(
        "Single files, which stay in the private home (see `state-copy` to take keys over)",
        files,
    );
    also("Caches, which are best left in the private home", caches);
    also("Files that shells and others run by themselves: removed at each start", startup);
    let known = directories.keys().chain(files).chain(caches).chain(startup);
    let unnamed = known.filter(|path| plain(path).is_none()).count();
    if unnamed > 0 {
        let _ = writeln!(
            out,
            "\n# And {} with a name that is not written here.",
            many(unnamed, "path")
        );
    }
    if seen.cut {
        let _ = writeln!(out, "\n# There was more in the private home than was looked at.");
    }
}

fn programs(out: &mut String, observed: &Observed) {
    let Observed { execs, ran, missing, .. } = observed;
    if !execs {
        let _ = writeln!(out, "# Which programs it ran is not known: execs were not observed.");
        return;
    }
    let mut ran: Vec<(&String, &u64)> =
        ran.iter().filter(|(name, _)| !secret::is_secret(name)).collect();
    ran.sort_by_key(|(name, times)| (std::cmp::Reverse(**times), *name));
    if !ran.is_empty() {
        let _ = writeln!(
            out,
            "\n# Programs that it ran. Name those that it runs for itself, and not for you: the log pane folds them.\n\
             # helpers = ["
        );
        for (name, times) in ran.iter().take(MOST) {
            let _ = writeln!(out, "#   {},  # {}", quoted(name), often(**times));
        }
        let _ = writeln!(out, "# ]");
        more(out, ran.len());
    }
    let missing: Vec<&str> =
        missing.iter().filter(|name| !secret::is_secret(name)).map(String::as_str).collect();
    if !missing.is_empty() {
        let named: Vec<&str> = missing.iter().take(MOST).copied().collect();
        let _ = writeln!(
            out,
            "\n# Programs that it looked for and did not find inside (`tools` makes directories of them visible):\n\
             #   {}",
            named.join(" ")
        );
        more(out, missing.len());
    }
}

fn network(out: &mut String, network: &Totals) {
    let _ = writeln!(out, "\n[network]");
    if network.mode != "allow" {
        let _ = writeln!(
            out,
            "# In that run the network was `{}`: which hosts it needs is not known.",
            visible(&network.mode)
        );
    }
    let _ = writeln!(out, "# What it reached, and what it was refused.\nallow = [");
    let mut written = BTreeSet::new();
    for reached in &network.reached {
        let by_rule = matches!(reached.via.as_str(), "direct" | "connect" | "socks");
        let Some(rule) =
            by_rule.then(|| reached_by(&reached.host, reached.port, &reached.rule.text))
        else {
            continue;
        };
        let Some(rule) = rule.filter(|rule| written.insert(rule.clone())) else { continue };
        let failed = if reached.failed > 0 {
            format!(", {} of which failed", reached.failed)
        } else {
            String::new()
        };
        let times = often(reached.connections);
        let _ = writeln!(out, "  {},  # {times}{failed}", quoted(&rule));
    }
    let mut unwritten = 0;
    for denied in &network.refused {
        let rule = denied.last.allow.as_deref().and_then(as_rule);
        match rule {
            Some(rule) if written.insert(rule.clone()) && written.len() <= MOST * 4 => {
                let why = words::why(&denied.last);
                let _ = writeln!(out, "  # {},  # {}: {why}", quoted(&rule), often(denied.times));
            }
            Some(rule) if written.contains(&rule) => {}
            _ => unwritten += 1,
        }
    }
    let _ = writeln!(out, "]");
    if unwritten > 0 {
        let _ = writeln!(
            out,
            "# And {} that no rule of this list would allow: `claudebox net` has them.",
            many(unwritten, "refusal")
        );
    }
    let ports: BTreeSet<String> = network
        .reached
        .iter()
        .filter(|reached| reached.via == "host-port")
        .map(|reached| reached.port.to_string())
        .collect();
    if !ports.is_empty() {
        let ports: Vec<String> = ports.into_iter().collect();
        let _ = writeln!(
            out,
            "\n# Ports of this machine that it used.\nhost-ports = [{}]",
            ports.join(", ")
        );
    }
}

fn variables(out: &mut String, variables: &BTreeSet<String>) {
    if variables.is_empty() {
        return;
    }
    let names: Vec<String> = variables.iter().take(MOST).map(|name| quoted(name)).collect();
    let _ = writeln!(
        out,
        "\n[environment]\n# Set in your environment, and not passed on. The agent may need one of them.\n\
         # pass = [{}]",
        names.join(", ")
    );
}

/// The rule for a target that a rule allowed, with the words that stood behind it.
fn reached_by(host: &str, port: u16, rule: &str) -> Option<String> {
    let target = words::target(host, Some(port));
    let target = target.strip_suffix(":443").unwrap_or(&target);
    let says = |word: &str| rule.split(' ').skip(1).any(|said| said == word);
    let behind = ["raw", "private"].into_iter().filter(|word| says(word));
    as_rule(&behind.fold(target.to_owned(), |rule, word| rule + " " + word))
}

/// A text that is a rule, and nothing else.
fn as_rule(text: &str) -> Option<String> {
    let rule = parse::allow(text, "").ok()?;
    let text = rule.to_string();
    Some(text.strip_suffix(":443").unwrap_or(&text).to_owned())
}

/// A path that is text in which nothing is hidden.
fn plain(path: &Path) -> Option<&str> {
    path.to_str()
        .filter(|path| visible(path) == *path && !path.contains(['\\', '"', '#', '$', ' ']))
}

fn more(out: &mut String, all: usize) {
    if all > MOST {
        let _ = writeln!(out, "# ... and {} more", all - MOST);
    }
}

fn many(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn often(times: u64) -> String {
    if times == 1 { "once".to_owned() } else { format!("{times} times") }
}

/// A text as TOML has it: a string of JSON is one, but for DEL.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json.replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;
    use crate::log::event::{Connect, Event, Refused, RuleSaid, Start};
    use crate::profile::schema::Profile;

    fn network() -> Totals {
        let mut totals = Totals::default();
        let rule = |text: &str| RuleSaid { text: text.into(), origin: "x".into() };
        let connect = |host: &str, port, text: &str, via: &str| {
            let (host, via) = (host.into(), via.into());
            Event::Connect(Connect { host, port, rule: rule(text), via, ..Connect::default() })
        };
        let refused = |host: &str, allow: Option<&str>, why: &str, times| {
            let (host, why) = (host.into(), why.into());
            let allow = allow.map(str::to_owned);
            Event::Refused(Refused {
                host,
                why,
                times,
                allow,
                port: Some(443),
                ..Refused::default()
            })
        };
        let events = [
            Event::Start(Start { network: "allow".into(), ..Start::default() }),
            connect("registry.npmjs.org", 443, "@npm", "direct"),
            connect("registry.npmjs.org", 443, "@npm", "direct"),
            connect("db.corp", 5432, "*.corp:5432 private", "connect"),
            connect("127.0.0.1", 11434, "11434", "host-port"),
            refused("telemetry.test", Some("telemetry.test"), "not-listed", 12),
            refused("a\"]\n[files]\nread-write = [\"~", Some("a\"]\n[files]"), "not-listed", 1),
            refused("169.254.169.254", None, "private", 2),
        ];
        for event in events {
            totals.event(event);
        }
        totals
    }

    fn seen() -> Seen {
        let ran = [("git", 34), ("node", 1)].map(|(name, times)| (name.to_owned(), times));
        let mut observed = Observed::default();
        observed.execs = true;
        observed.ran = ran.into();
        observed.missing = ["rg".to_owned()].into();
        observed.network = network();
        let files =
            [".aider/a", ".aider/b", ".aider.json", ".cache/x/y", ".bashrc", "a\n[files]/x"];
        Seen {
            argv: ["aider", "--yes", "--api-key", "sk-0123456789abcdef"].map(Into::into).into(),
            observed,
            written: Written::of(&files.map(PathBuf::from), &[".bashrc"]),
            variables: ["OPENAI_API_KEY".to_owned()].into(),
            ..Seen::default()
        }
    }

    fn parsed(text: &str) -> Profile {
        toml::from_str(text).unwrap_or_else(|err| panic!("{err}\n{text}"))
    }

    #[test]
    fn a_learned_profile_is_one() {
        let text = learned(&seen());
        parsed(&text);
        assert_snapshot!(text, @r#"
        # Written by `claudebox profile new` from one run under the profile `default`, which ended with 0.
        # Look at every line: what the run did not need is not here, and what it was refused, or made by
        # itself, is a comment. Take the `#` away from what you want. Which files it opened is not known:
        # the log has what was executed and connected, and what is new in the private home.

        description = "aider"
        extends = ["base"]

        # Directories of the home that it wrote to. As it stands they are in a private home, one for each
        # project. What you name here is your own directory instead: a login in it is shared, and what the
        # agent writes there is read, and perhaps executed, by the programs outside.
        # state = [
        #   "~/.aider",  # 2 files
        # ]

        # Single files, which stay in the private home (see `state-copy` to take keys over):
        #   ~/.aider.json

        # Caches, which are best left in the private home:
        #   ~/.cache/x

        # Files that shells and others run by themselves: removed at each start:
        #   ~/.bashrc

        # And 1 path with a name that is not written here.

        [agent]
        # Left out, since it may be a secret: 2 arguments.
        command = ["aider", "--yes"]
        programs = ["aider"]

        # Programs that it ran. Name those that it runs for itself, and not for you: the log pane folds them.
        # helpers = [
        #   "git",  # 34 times
        #   "node",  # once
        # ]

        # Programs that it looked for and did not find inside (`tools` makes directories of them visible):
        #   rg

        [network]
        # What it reached, and what it was refused.
        allow = [
          "registry.npmjs.org",  # 2 times
          "db.corp:5432 private",  # once
          # "telemetry.test",  # 12 times: is not allowed
        ]
        # And 2 refusals that no rule of this list would allow: `claudebox net` has them.

        # Ports of this machine that it used.
        host-ports = [11434]

        [environment]
        # Set in your environment, and not passed on. The agent may need one of them.
        # pass = ["OPENAI_API_KEY"]
        "#);
    }

    #[test]
    fn with_every_comment_of_a_list_taken_away_it_is_still_one() {
        let text = learned(&seen());
        let is_list = |line: &str| {
            let bare = line.trim_start_matches([' ', '#']);
            let is_comment = line.trim_start().starts_with('#');
            is_comment && (bare.starts_with(['"', ']']) || bare.contains(" = ["))
        };
        let open: Vec<String> = text
            .lines()
            .map(|line| if is_list(line) { line.replacen('#', "", 1) } else { line.to_owned() })
            .collect();
        let profile = parsed(&open.join("\n"));
        assert_eq!(profile.state.unwrap()[0].get_ref().as_str(), "~/.aider");
        assert_eq!(profile.agent.unwrap().helpers.unwrap().len(), 2);
        assert_eq!(profile.network.unwrap().allow.unwrap().len(), 3);
        assert_eq!(profile.environment.unwrap().pass.unwrap().len(), 1);
    }

    #[test]
    fn a_profile_of_a_shell_is_taken_by_its_name_only() {
        for (program, named) in
            [("sh", false), ("/usr/bin/python3.12", false), ("npx", false), ("aider", true)]
        {
            let argv = [program, "-c", "x"].map(Into::into).into();
            let text = learned(&Seen { argv, ..seen() });
            let profile = parsed(&text);
            assert_eq!(profile.agent.unwrap().programs.is_some(), named, "{text}");
            assert_eq!(text.contains("# No `programs`"), !named, "{text}");
        }
    }

    #[test]
    fn a_skeleton_is_a_profile() {
        let profile = parsed(&skeleton("aider"));
        let agent = profile.agent.unwrap();
        assert_eq!(agent.command.unwrap().get_ref().as_slice(), ["aider"]);
        let open: Vec<String> = skeleton("aider")
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.contains(" = [") => rest.to_owned(),
                _ => line.to_owned(),
            })
            .collect();
        parsed(&open.join("\n"));
    }

    proptest! {
        /// Whatever a run calls things, the text stays a profile, and says of itself only what was typed.
        #[test]
        fn names_cannot_break_out(
            names in prop::collection::vec("(?s)[a#\"\\]\\[=\n\r\u{7f}\u{202e}/. ]{0,12}", 0..6),
            argv in prop::collection::vec("(?s)[a\"\\\\\n\u{7f}]{0,6}", 0..3),
        ) {
            let mut seen = seen();
            for name in &names {
                let refused = Refused { host: name.clone(), allow: Some(name.clone()), ..Refused::default() };
                seen.observed.network.event(Event::Refused(refused));
                let connect = Connect { host: name.clone(), port: 443, via: "direct".into(), ..Connect::default() };
                seen.observed.network.event(Event::Connect(connect));
            }
            let files: Vec<PathBuf> = names.iter().map(|name| PathBuf::from(format!("{name}/x"))).collect();
            seen.written = Written::of(&files, &[]);
            seen.argv = ["p".to_owned()].into_iter().chain(argv).collect();
            let text = learned(&seen);
            let profile = toml::from_str::<Profile>(&text);
            prop_assert!(profile.is_ok(), "{}", text);
            let profile = profile.unwrap();
            prop_assert!(profile.files.is_none() && profile.state.is_none());
            let command = profile.agent.unwrap().command.unwrap();
            prop_assert_eq!(command.get_ref().as_slice(), &seen.argv[..]);
        }
    }
}
