//! What one profile says, as a flat list: for the questions "what does this file want?" and "does
//! it want more than a stranger may?". It must never leave out a key.
#![forbid(unsafe_code)]

use std::ops::Range;

use toml::Spanned;

use super::amounts::Limit;
use super::schema::{Agent, Assert, Environment, Files, Limits, Network, Profile};
use super::values::{Argv, EntryName, HomePath, JsonKey};

/// One value and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The key with its tables, like `files.read-write`.
    pub key: String,
    /// The value, in TOML's notation as far as a person needs it. Foreign text.
    pub value: String,
    /// Where in the file.
    pub span: Range<usize>,
}

/// Everything a profile says, in the order of the schema. Every table is taken apart by name, so
/// that a new key cannot be forgotten here.
pub fn said(profile: &Profile) -> Vec<Said> {
    let Profile {
        description,
        extends,
        exec_log,
        landlock,
        nested_userns,
        git,
        git_trailer,
        nix,
        nix_accept,
        host_files,
        tools,
        nix_closure,
        state,
        state_readonly,
        state_private,
        state_own,
        state_emptied,
        state_copy,
        state_return,
        state_sync,
        agent,
        files,
        environment,
        network,
        sockets,
        limits,
        assert,
    } = profile;
    let mut all = All::default();
    all.one("description", description.as_ref(), |text| quoted(text));
    all.many("extends", extends.as_deref(), |parent| quoted(parent.as_str()));
    all.one("exec-log", exec_log.as_ref(), word);
    all.one("landlock", landlock.as_ref(), word);
    all.one("nested-userns", nested_userns.as_ref(), bool::to_string);
    all.one("git", git.as_ref(), word);
    all.one("git-trailer", git_trailer.as_ref(), bool::to_string);
    all.one("nix", nix.as_ref(), word);
    all.many("nix-accept", nix_accept.as_deref(), word);
    all.one("host-files", host_files.as_ref(), word);
    all.many("tools", tools.as_deref(), |path| quoted(path.as_str()));
    all.one("nix-closure", nix_closure.as_ref(), |path| quoted(path.as_str()));
    all.many("state", state.as_deref(), |path| quoted(path.as_str()));
    all.many("state-readonly", state_readonly.as_deref(), |path| quoted(path.as_str()));
    all.many("state-private", state_private.as_deref(), |path| quoted(path.as_str()));
    all.many("state-own", state_own.as_deref(), |path| quoted(path.as_str()));
    all.emptied(state_emptied.iter().flatten());
    all.keys("state-copy", state_copy.iter().flatten());
    all.keys("state-return", state_return.iter().flatten());
    all.keys("state-sync", state_sync.iter().flatten());
    if let Some(agent) = agent {
        all.agent(agent);
    }
    if let Some(files) = files {
        all.files(files);
    }
    if let Some(environment) = environment {
        all.environment(environment);
    }
    if let Some(network) = network {
        all.network(network);
    }
    for (name, on) in sockets.iter().flat_map(super::schema::Sockets::named) {
        all.one(&format!("sockets.{name}"), on, bool::to_string);
    }
    if let Some(limits) = limits {
        all.limits(limits);
    }
    if let Some(Assert { must_not_read, must_write, must_not_reach }) = assert {
        all.many("assert.must-not-read", must_not_read.as_deref(), |path| quoted(path.as_str()));
        all.many("assert.must-write", must_write.as_deref(), |path| quoted(path.as_str()));
        all.many("assert.must-not-reach", must_not_reach.as_deref(), |to| quoted(to.as_str()));
    }
    all.0
}

/// A text in quotes.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// Texts as a list.
pub(super) fn listed(words: &[String]) -> String {
    let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
    format!("[{}]", words.join(", "))
}

fn argv(argv: &Argv) -> String {
    listed(argv.as_slice())
}

/// Processors, of hundredths of one.
pub(super) fn processors(share: Limit<u32>) -> String {
    match share {
        Limit::AtMost(hundredths) => (f64::from(hundredths) / 100.0).to_string(),
        unlimited @ Limit::Unlimited => unlimited.to_string(),
    }
}

/// A word of the schema as TOML writes it.
pub(super) fn word<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[derive(Default)]
struct All(Vec<Said>);

impl All {
    fn emptied<'a>(
        &mut self,
        directories: impl Iterator<Item = (&'a Spanned<HomePath>, &'a Vec<Spanned<EntryName>>)>,
    ) {
        for (directory, names) in directories {
            let key = format!("state-emptied.{}", quoted(directory.get_ref().as_str()));
            // It says something without a name too: that all of it goes.
            self.one(&key, Some(directory), |_| {
                let names: Vec<_> =
                    names.iter().map(|name| quoted(name.get_ref().as_str())).collect();
                format!("[{}]", names.join(", "))
            });
        }
    }

    /// A table of files, each with keys in it.
    fn keys<'a>(
        &mut self,
        table: &str,
        files: impl Iterator<Item = (&'a Spanned<HomePath>, &'a Vec<Spanned<JsonKey>>)>,
    ) {
        for (file, keys) in files {
            let key = format!("{table}.{}", quoted(file.get_ref().as_str()));
            self.many(&key, Some(keys), |key| quoted(key.as_str()));
        }
    }

    fn agent(&mut self, agent: &Agent) {
        let Agent { command, note, programs, tool_marker, helpers, shell } = agent;
        self.one("agent.command", command.as_ref(), argv);
        self.one("agent.note", note.as_ref(), |text| quoted(text));
        self.many("agent.programs", programs.as_deref(), |name| quoted(name.as_str()));
        self.one("agent.tool-marker", tool_marker.as_ref(), |name| quoted(name.as_str()));
        self.many("agent.helpers", helpers.as_deref(), |name| quoted(name.as_str()));
        self.one("agent.shell", shell.as_ref(), argv);
    }

    fn files(&mut self, files: &Files) {
        let Files { system, read_only, read_write, hide } = files;
        self.many("files.system", system.as_deref(), |path| quoted(path.as_str()));
        self.many("files.read-only", read_only.as_deref(), |path| quoted(path.as_str()));
        self.many("files.read-write", read_write.as_deref(), |path| quoted(path.as_str()));
        self.many("files.hide", hide.as_deref(), |path| quoted(path.as_str()));
    }

    fn environment(&mut self, environment: &Environment) {
        let Environment { pass, set, deny } = environment;
        self.many("environment.pass", pass.as_deref(), |name| quoted(name.as_str()));
        for (name, value) in set.iter().flatten() {
            let key = format!("environment.set.{}", name.get_ref().as_str());
            self.one(&key, Some(value), |value| quoted(value));
        }
        self.many("environment.deny", deny.as_deref(), |name| quoted(name.as_str()));
    }

    fn network(&mut self, network: &Network) {
        let Network { mode, allow, deny, host_ports, publish, proxy, pool, transparent } = network;
        self.one("network.mode", mode.as_ref(), word);
        self.many("network.allow", allow.as_deref(), |rule| quoted(rule.as_str()));
        self.many("network.deny", deny.as_deref(), |rule| quoted(rule.as_str()));
        self.many("network.host-ports", host_ports.as_deref(), |port| port.0.to_string());
        self.many("network.publish", publish.as_deref(), |port| quoted(port.as_str()));
        self.one("network.proxy", proxy.as_ref(), bool::to_string);
        self.one("network.pool", pool.as_ref(), |pool| quoted(pool.as_str()));
        self.one("network.transparent", transparent.as_ref(), word);
    }

    fn limits(&mut self, limits: &Limits) {
        let Limits { tmp_size, run_size, enforce, processes, open_files, file_size, memory, cpu } =
            limits;
        self.one("limits.tmp-size", tmp_size.as_ref(), |size| size.0.to_string());
        self.one("limits.run-size", run_size.as_ref(), |size| size.0.to_string());
        self.one("limits.enforce", enforce.as_ref(), word);
        self.one("limits.processes", processes.as_ref(), |count| count.0.to_string());
        self.one("limits.open-files", open_files.as_ref(), |count| count.0.to_string());
        self.one("limits.file-size", file_size.as_ref(), |size| size.0.to_string());
        self.one("limits.memory", memory.as_ref(), |size| size.0.to_string());
        self.one("limits.cpu", cpu.as_ref(), |share| processors(share.0));
    }

    fn one<T>(&mut self, key: &str, said: Option<&Spanned<T>>, text: impl Fn(&T) -> String) {
        self.many(key, said.map(std::slice::from_ref), text);
    }

    fn many<T>(&mut self, key: &str, said: Option<&[Spanned<T>]>, text: impl Fn(&T) -> String) {
        for said in said.into_iter().flatten() {
            let (value, span) = (text(said.get_ref()), said.span());
            self.0.push(Said { key: key.to_owned(), value, span });
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Says each key there is.
    pub(in super::super) const EVERYTHING: &str = "description = \"d\"\nextends = [\"base\"]\nexec-log = \"off\"\n\
            landlock = \"off\"\nnested-userns = true\ngit = \"none\"\ngit-trailer = true\n\
            nix = \"none\"\nnix-accept = [\"trust\"]\nhost-files = \"report\"\ntools = [\"/t\"]\n\
            nix-closure = \"/c\"\n\
            state = [\"~/s\"]\nstate-readonly = [\"~/s/r\"]\nstate-private = [\"~/s/p\"]\n\
            state-own = [\"~/s/o\"]\nstate-emptied = { \"~/e\" = [] }\n\
            state-copy = { \"~/s.json\" = [\"k\"] }\nstate-return = { \"~/s.json\" = [\"k\"] }\n\
            state-sync = { \"~/s.json\" = [\"k\"] }\n\
            agent = { command = [\"a\"], note = \"n\", programs = [\"a\"], tool-marker = \"A\", \
            helpers = [\"h\"], shell = [\"sh\"] }\n\
            files = { system = [\"/s\"], read-only = [\"/r\"], read-write = [\"/w\"], \
            hide = [\"/h\"] }\nenvironment = { pass = [\"P\"], set = { S = \"1\" }, \
            deny = [\"D\"] }\nnetwork = { mode = \"none\", allow = [\"a.x\"], deny = [\"*\"], \
            host-ports = [1], publish = [\"1\"], proxy = true, pool = \"10.0.0.0/8\", \
            transparent = \"off\" }\nsockets = { ssh-agent = true, \
            gpg-agent = true, xdg-runtime = true, docker = true, wayland = true, x11 = true, \
            dbus = true, pipewire = true }\n\
            limits = { tmp-size = \"1M\", run-size = \"1M\", enforce = \"off\", \
            processes = 99, open-files = 99, file-size = \"1M\", memory = \"1%\", cpu = 1 }\n\
            assert = { must-not-read = [\"/r\"], must-write = [\"/w\"], \
            must-not-reach = [\"h:1\"] }\n";

    /// Counts leaves of a schema; so a key that `said` forgets is found without a list of keys.
    #[test]
    fn every_key_of_the_schema_is_listed() {
        let profile: Profile = toml::from_str(EVERYTHING).unwrap();
        let schema = schemars::schema_for!(Profile).to_value();
        let keys = |table: &serde_json::Value| {
            table["properties"].as_object().map_or(0, serde_json::Map::len)
        };
        let definitions = schema["$defs"].as_object().unwrap();
        let tables: Vec<_> = definitions.values().filter(|def| keys(def) > 0).collect();
        let leaves = keys(&schema) - tables.len() + tables.iter().map(|t| keys(t)).sum::<usize>();
        let listed: std::collections::BTreeSet<_> =
            said(&profile).into_iter().map(|said| said.key).collect();
        assert_eq!(listed.len(), leaves, "{listed:?}");
    }
}
