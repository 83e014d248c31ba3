//! What holds in the end, when all layers of a profile are merged, as a flat list: each value with the
//! line that says it. It must never leave out a key.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use super::amounts::{Limit, Memory};
use super::origin::{Origin, Settled};
use super::said::{listed, processors, quoted, word};
use super::settings::{LimitSettings, NetworkSettings, Settings};
use crate::network::plan::Publish;

/// One value that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// The key with its tables, like `files.read-write`.
    pub(super) key: String,
    /// The value, or one of a list, in TOML's notation as far as a person needs it. Foreign text.
    pub(super) value: String,
    /// Who says it.
    pub(super) origin: Origin,
}

/// Everything that the settings hold, in the order of the schema. They are taken apart by name, so
/// that a new key cannot be forgotten here.
pub(super) fn held(settings: &Settings) -> Vec<Held> {
    let Settings {
        name: _,
        remarks: _,
        files: _,
        description,
        exec_log,
        landlock,
        nested_userns,
        git,
        git_trailer,
        nix,
        nix_accept,
        host_files,
        nix_closure,
        tools,
        state,
        state_readonly,
        state_private,
        state_own,
        state_emptied,
        state_copy,
        state_return,
        state_sync,
        command,
        note,
        programs,
        tool_marker,
        helpers,
        shell,
        system,
        read_only,
        read_write,
        hide,
        pass,
        set,
        deny_env,
        network,
        sockets,
        tmp_size,
        run_size,
        must_not_read,
        must_write,
        must_not_reach,
        limits,
    } = settings;
    let mut all = All::default();
    all.one("description", description.as_ref(), |text| quoted(text));
    all.one("exec-log", exec_log.as_ref(), word);
    all.one("landlock", landlock.as_ref(), word);
    all.one("nested-userns", nested_userns.as_ref(), bool::to_string);
    all.one("git", git.as_ref(), word);
    all.one("git-trailer", git_trailer.as_ref(), bool::to_string);
    all.one("nix", nix.as_ref(), word);
    all.many("nix-accept", nix_accept, word);
    all.one("host-files", host_files.as_ref(), word);
    all.one("nix-closure", nix_closure.as_ref(), |path| quoted(path));
    all.texts("tools", tools);
    all.texts("state", state);
    all.texts("state-readonly", state_readonly);
    all.texts("state-private", state_private);
    all.texts("state-own", state_own);
    for (directory, names) in state_emptied {
        let key = format!("state-emptied.{}", quoted(directory));
        all.one(&key, Some(names), |names| listed(names));
    }
    all.keys("state-copy", state_copy);
    all.keys("state-return", state_return);
    all.keys("state-sync", state_sync);
    all.one("agent.command", command.as_ref(), |argv| listed(argv));
    all.one("agent.note", note.as_ref(), |text| quoted(text));
    all.texts("agent.programs", programs);
    all.one("agent.tool-marker", tool_marker.as_ref(), |name| quoted(name));
    all.texts("agent.helpers", helpers);
    all.one("agent.shell", shell.as_ref(), |argv| listed(argv));
    all.texts("files.system", system);
    all.texts("files.read-only", read_only);
    all.texts("files.read-write", read_write);
    all.texts("files.hide", hide);
    all.texts("environment.pass", pass);
    for (name, value) in set {
        all.one(&format!("environment.set.{name}"), Some(value), |value| quoted(value));
    }
    all.texts("environment.deny", deny_env);
    all.network(network);
    for (name, on) in sockets {
        all.one(&format!("sockets.{name}"), Some(on), bool::to_string);
    }
    all.one("limits.tmp-size", tmp_size.as_ref(), |bytes| size(*bytes));
    all.one("limits.run-size", run_size.as_ref(), |bytes| size(*bytes));
    all.limits(limits);
    all.texts("assert.must-not-read", must_not_read);
    all.texts("assert.must-write", must_write);
    all.texts("assert.must-not-reach", must_not_reach);
    all.0
}

#[derive(Default)]
struct All(Vec<Held>);

impl All {
    fn network(&mut self, network: &NetworkSettings) {
        // What groups stand for is no value of a profile.
        let NetworkSettings {
            mode,
            allow,
            deny,
            host_ports,
            publish,
            proxy,
            pool,
            transparent,
            groups: _,
        } = network;
        self.one("network.mode", mode.as_ref(), word);
        self.texts("network.allow", allow);
        self.texts("network.deny", deny);
        self.many("network.host-ports", host_ports, u16::to_string);
        self.many("network.publish", publish, |publish| published(*publish));
        self.one("network.proxy", proxy.as_ref(), bool::to_string);
        self.one("network.pool", pool.as_ref(), |net| quoted(&net.to_string()));
        self.one("network.transparent", transparent.as_ref(), word);
    }

    fn limits(&mut self, limits: &LimitSettings) {
        let LimitSettings { enforce, processes, open_files, file_size, memory, cpu } = limits;
        self.one("limits.enforce", enforce.as_ref(), word);
        self.one("limits.processes", processes.as_ref(), Limit::to_string);
        self.one("limits.open-files", open_files.as_ref(), Limit::to_string);
        self.one("limits.file-size", file_size.as_ref(), |limit| match limit {
            Limit::AtMost(bytes) => size(*bytes),
            unlimited @ Limit::Unlimited => unlimited.to_string(),
        });
        self.one("limits.memory", memory.as_ref(), |limit| match limit {
            Limit::AtMost(Memory::Bytes(bytes)) => size(*bytes),
            other => other.to_string(),
        });
        self.one("limits.cpu", cpu.as_ref(), |share| processors(*share));
    }

    /// A table of files, each with keys in it.
    fn keys(&mut self, table: &str, files: &BTreeMap<String, Vec<Settled<String>>>) {
        for (file, keys) in files {
            self.texts(&format!("{table}.{}", quoted(file)), keys);
        }
    }

    fn texts(&mut self, key: &str, values: &[Settled<String>]) {
        self.many(key, values, |text| quoted(text));
    }

    fn one<T>(&mut self, key: &str, value: Option<&Settled<T>>, text: impl Fn(&T) -> String) {
        self.many(key, value.map(std::slice::from_ref).unwrap_or_default(), text);
    }

    fn many<T>(&mut self, key: &str, values: &[Settled<T>], text: impl Fn(&T) -> String) {
        self.0.extend(values.iter().map(|Settled { value, origin }| Held {
            key: key.to_owned(),
            value: text(value),
            origin: origin.clone(),
        }));
    }
}

fn published(publish: Publish) -> String {
    if publish.inside == publish.outside {
        return quoted(&publish.inside.to_string());
    }
    quoted(&format!("{}:{}", publish.inside, publish.outside))
}

/// Exactly so many bytes, in the largest unit of which they are a whole number.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["", "KiB", "MiB", "GiB", "TiB"];
    let (mut number, mut unit) = (bytes, 0);
    while number > 0 && number.is_multiple_of(1024) && unit + 1 < UNITS.len() {
        number /= 1024;
        unit += 1;
    }
    quoted(&format!("{number}{}", UNITS[unit]))
}

#[cfg(test)]
mod tests {
    use super::super::merge::{Layer, merge};
    use super::super::origin::LayerKind;
    use super::super::said::said;
    use super::super::source::Source;
    use super::*;

    /// What one profile says is what holds where it is the only one; but for `extends`, which is
    /// followed and holds nothing. (That `said` has every key, its own test says.)
    #[test]
    fn every_key_that_can_be_said_is_held() {
        let text = super::super::said::tests::EVERYTHING;
        let source = Source::new(LayerKind::User, "x", text.as_bytes().to_vec()).unwrap();
        let profile = source.parse().unwrap();
        let keys: Vec<_> = said(&profile).into_iter().map(|said| said.key).collect();
        let mut expected: Vec<_> = keys.into_iter().filter(|key| key != "extends").collect();
        let settings = merge(vec![Layer { source, profile, file: None }]);
        let mut known: Vec<_> = held(&settings).into_iter().map(|held| held.key).collect();
        expected.sort();
        known.sort();
        assert_eq!(known, expected);
    }

    #[test]
    fn sizes_are_exact() {
        assert_eq!(size(2 << 30), "\"2GiB\"");
        assert_eq!(size((1 << 20) + 1), "\"1048577\"");
        assert_eq!(size(3 << 9), "\"1536\"");
        assert_eq!(size(5 << 50), "\"5120TiB\"");
    }
}
