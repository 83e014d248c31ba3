//! Merging: layers in, settings out, every value with the place it was said. Scalars: the last
//! layer wins. Lists: the union, each value once, at its first place and with its last origin.
//! What one layer denies no other allows. It must never fail: what could be wrong with a layer was
//! found while it was parsed.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::Spanned;

use super::origin::{LayerKind, Settled};
use super::schema::{Agent, Assert, Environment, Files, Limits, Network, Profile, Sockets};
use super::settings::{NetworkSettings, Settings};
use super::source::Source;
use super::values::{EntryName, HiddenPath, HomePath, JsonKey, Pool, PublishedPort, VariableName};

/// One profile file in the merge.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The file.
    pub source: Source,
    /// What it says.
    pub profile: Profile,
    /// Where a file of the system's or the user's is.
    pub file: Option<PathBuf>,
}

/// Everything the layers say. They are ranked by kind; within a kind the given order holds (what a
/// profile extends stands before it).
pub fn merge(mut layers: Vec<Layer>) -> Settings {
    layers.sort_by_key(|layer| layer.source.kind);
    let mut settings = Settings::default();
    for layer in &layers {
        Saying(&layer.source).profile(&mut settings, &layer.profile);
    }
    settings.files = layers.into_iter().filter_map(|layer| layer.file).collect();
    deny(&mut settings);
    settings
}

fn deny(settings: &mut Settings) {
    let denied = std::mem::take(&mut settings.deny_env);
    settings.pass.retain(|name| !is_denied(&denied, &name.value));
    settings.set.retain(|name, _| !is_denied(&denied, name));
    settings.deny_env = denied;
}

/// Whether `environment.deny` names this variable, or (for a pattern) all it could match.
pub fn is_denied(deny: &[Settled<String>], name: &str) -> bool {
    deny.iter().any(|denied| match denied.value.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == denied.value,
    })
}

/// Writes what one source says over what was said before.
struct Saying<'a>(&'a Source);

impl Saying<'_> {
    /// Takes every table apart by name, so that a new key cannot be forgotten here.
    fn profile(&self, to: &mut Settings, profile: &Profile) {
        let Profile {
            description,
            extends: _,
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
        self.scalar(&mut to.description, description.as_ref(), Clone::clone);
        self.scalar(&mut to.exec_log, exec_log.as_ref(), |value| *value);
        self.scalar(&mut to.landlock, landlock.as_ref(), |value| *value);
        self.scalar(&mut to.nested_userns, nested_userns.as_ref(), |value| *value);
        self.scalar(&mut to.git, git.as_ref(), |value| *value);
        self.scalar(&mut to.git_trailer, git_trailer.as_ref(), |value| *value);
        self.scalar(&mut to.nix, nix.as_ref(), |value| *value);
        self.list(&mut to.nix_accept, nix_accept.as_deref(), |hole| *hole);
        self.scalar(&mut to.host_files, host_files.as_ref(), |value| *value);
        self.list(&mut to.tools, tools.as_deref(), |path| path.as_str().into());
        self.scalar(&mut to.nix_closure, nix_closure.as_ref(), |path| path.as_str().into());
        self.list(&mut to.state, state.as_deref(), |path| path.as_str().into());
        self.list(&mut to.state_readonly, state_readonly.as_deref(), |path| path.as_str().into());
        self.list(&mut to.state_private, state_private.as_deref(), |path| path.as_str().into());
        self.list(&mut to.state_own, state_own.as_deref(), |path| path.as_str().into());
        self.emptied(&mut to.state_emptied, state_emptied.as_ref());
        self.keys(&mut to.state_copy, state_copy.as_ref());
        self.keys(&mut to.state_return, state_return.as_ref());
        self.keys(&mut to.state_sync, state_sync.as_ref());
        self.agent(to, agent.as_ref());
        self.files(to, files.as_ref());
        self.environment(to, environment.as_ref());
        self.network(&mut to.network, network.as_ref());
        self.sockets(to, sockets.as_ref());
        self.limits(to, limits.as_ref());
        if let Some(Assert { must_not_read, must_write, must_not_reach }) = assert {
            self.list(&mut to.must_not_read, must_not_read.as_deref(), |path| path.as_str().into());
            self.list(&mut to.must_write, must_write.as_deref(), |path| path.as_str().into());
            self.list(&mut to.must_not_reach, must_not_reach.as_deref(), |to| to.as_str().into());
        }
    }

    fn network(&self, to: &mut NetworkSettings, network: Option<&Network>) {
        let Some(network) = network else { return };
        let Network { mode, allow, deny, host_ports, publish, proxy, pool, transparent } = network;
        self.scalar(&mut to.mode, mode.as_ref(), |mode| *mode);
        self.list(&mut to.allow, allow.as_deref(), |rule| rule.as_str().to_owned());
        self.list(&mut to.deny, deny.as_deref(), |rule| rule.as_str().to_owned());
        self.list(&mut to.host_ports, host_ports.as_deref(), |port| port.0);
        self.list(&mut to.publish, publish.as_deref(), PublishedPort::ports);
        self.scalar(&mut to.proxy, proxy.as_ref(), |on| *on);
        self.scalar(&mut to.pool, pool.as_ref(), Pool::net);
        self.scalar(&mut to.transparent, transparent.as_ref(), |demand| *demand);
    }

    fn limits(&self, to: &mut Settings, limits: Option<&Limits>) {
        let Some(limits) = limits else { return };
        let Limits { tmp_size, run_size, enforce, processes, open_files, file_size, memory, cpu } =
            limits;
        self.scalar(&mut to.tmp_size, tmp_size.as_ref(), |size| size.0);
        self.scalar(&mut to.run_size, run_size.as_ref(), |size| size.0);
        let to = &mut to.limits;
        self.scalar(&mut to.enforce, enforce.as_ref(), |demand| *demand);
        self.scalar(&mut to.processes, processes.as_ref(), |count| count.0);
        self.scalar(&mut to.open_files, open_files.as_ref(), |count| count.0);
        self.scalar(&mut to.file_size, file_size.as_ref(), |size| size.0);
        self.scalar(&mut to.memory, memory.as_ref(), |size| size.0);
        self.scalar(&mut to.cpu, cpu.as_ref(), |share| share.0);
    }

    fn agent(&self, to: &mut Settings, agent: Option<&Agent>) {
        let Some(Agent { command, note, programs, tool_marker, helpers, shell }) = agent else {
            return;
        };
        self.scalar(&mut to.command, command.as_ref(), |argv| argv.as_slice().to_vec());
        self.scalar(&mut to.note, note.as_ref(), Clone::clone);
        self.list(&mut to.programs, programs.as_deref(), |name| name.as_str().into());
        self.scalar(&mut to.tool_marker, tool_marker.as_ref(), |name| name.as_str().into());
        self.list(&mut to.helpers, helpers.as_deref(), |name| name.as_str().into());
        self.scalar(&mut to.shell, shell.as_ref(), |argv| argv.as_slice().to_vec());
    }

    fn files(&self, to: &mut Settings, files: Option<&Files>) {
        let Some(Files { system, read_only, read_write, hide }) = files else { return };
        self.list(&mut to.system, system.as_deref(), |path| path.as_str().into());
        self.list(&mut to.read_only, read_only.as_deref(), |path| path.as_str().into());
        self.list(&mut to.read_write, read_write.as_deref(), |path| path.as_str().into());
        self.list(&mut to.hide, hide.as_deref(), |path| self.hidden(path));
    }

    /// A project's own file hides relative to the project.
    fn hidden(&self, path: &HiddenPath) -> String {
        match path.as_str() {
            path if self.0.kind == LayerKind::Project && !path.starts_with(['/', '~', '$']) => {
                format!("${{PROJECT}}/{}", path.trim_start_matches("./"))
            }
            path => path.to_owned(),
        }
    }

    fn environment(&self, to: &mut Settings, environment: Option<&Environment>) {
        let Some(Environment { pass, set, deny }) = environment else { return };
        self.list(&mut to.pass, pass.as_deref(), |name| name.as_str().into());
        self.list(&mut to.deny_env, deny.as_deref(), |name| name.as_str().into());
        for (name, value) in set.iter().flatten() {
            self.variable(to, name, value);
        }
    }

    fn variable(&self, to: &mut Settings, name: &Spanned<VariableName>, value: &Spanned<String>) {
        let settled = self.settled(value, Clone::clone);
        to.set.insert(name.get_ref().as_str().to_owned(), settled);
    }

    fn sockets(&self, to: &mut Settings, sockets: Option<&Sockets>) {
        let Some(sockets) = sockets else { return };
        for (name, on) in sockets.named() {
            if let Some(on) = on {
                to.sockets.insert(name, self.settled(on, |on| *on));
            }
        }
    }

    /// Keys of JSON files.
    fn keys(
        &self,
        to: &mut BTreeMap<String, Vec<Settled<String>>>,
        said: Option<&BTreeMap<Spanned<HomePath>, Vec<Spanned<JsonKey>>>>,
    ) {
        for (file, keys) in said.into_iter().flatten() {
            let known = to.entry(file.get_ref().as_str().to_owned()).or_default();
            self.list(known, Some(keys), |key| key.as_str().into());
        }
    }

    /// Directories, and the names in them that stay.
    fn emptied(
        &self,
        to: &mut BTreeMap<String, Settled<Vec<String>>>,
        said: Option<&BTreeMap<Spanned<HomePath>, Vec<Spanned<EntryName>>>>,
    ) {
        for (directory, names) in said.into_iter().flatten() {
            let mut settled = self.settled(directory, |_| Vec::new());
            let path = directory.get_ref().as_str();
            if let Some(known) = to.remove(path) {
                settled.value = known.value;
            }
            for name in names.iter().map(|name| name.get_ref().as_str()) {
                if !settled.value.iter().any(|known| known == name) {
                    settled.value.push(name.to_owned());
                }
            }
            to.insert(path.to_owned(), settled);
        }
    }

    fn scalar<T, U>(
        &self,
        to: &mut Option<Settled<U>>,
        said: Option<&Spanned<T>>,
        value: impl Fn(&T) -> U,
    ) {
        if let Some(said) = said {
            *to = Some(self.settled(said, value));
        }
    }

    fn list<T, U: PartialEq>(
        &self,
        to: &mut Vec<Settled<U>>,
        said: Option<&[Spanned<T>]>,
        value: impl Fn(&T) -> U,
    ) {
        for said in said.into_iter().flatten() {
            let settled = self.settled(said, &value);
            match to.iter_mut().find(|known| known.value == settled.value) {
                Some(known) => *known = settled,
                None => to.push(settled),
            }
        }
    }

    fn settled<T, U>(&self, said: &Spanned<T>, value: impl Fn(&T) -> U) -> Settled<U> {
        Settled { value: value(said.get_ref()), origin: self.0.origin(&said.span()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};

    use super::super::schema::{Git, NetworkMode};
    use super::*;

    fn layer(kind: LayerKind, name: &str, text: &str) -> Layer {
        let source = Source::new(kind, name, text.as_bytes().to_vec()).unwrap();
        let profile = source.parse().unwrap();
        Layer { source, profile, file: None }
    }

    fn values(list: &[Settled<String>]) -> Vec<&str> {
        list.iter().map(|settled| settled.value.as_str()).collect()
    }

    #[test]
    fn every_value_knows_its_file_and_line() {
        let settings = merge(vec![
            layer(LayerKind::BuiltIn, "base", "git = \"shared\"\ntools = [\"/a\",\n\"/b\"]\n"),
            layer(
                LayerKind::User,
                "mine",
                "\ntools = [\"/b\", \"/c\"]\n[network]\nmode = \"none\"\n",
            ),
        ]);
        let git = settings.git.unwrap();
        assert_eq!((git.value, git.origin.source.as_str()), (Git::Shared, "base"));
        assert_eq!(values(&settings.tools), ["/a", "/b", "/c"]);
        let lines: Vec<_> = settings.tools.iter().map(|tool| tool.origin.line).collect();
        assert_eq!(lines, [2, 2, 2], "/b was said last on line 2 of mine");
        assert_eq!(settings.tools[1].origin.source, "mine");
        let network = settings.network.mode.unwrap();
        assert_eq!((network.value, network.origin.line), (NetworkMode::None, 4));
    }

    #[test]
    fn what_is_denied_is_neither_passed_nor_set() {
        let settings = merge(vec![
            layer(LayerKind::Project, "p", "[environment]\ndeny = [\"A_*\", \"B\"]\n"),
            layer(
                LayerKind::Config,
                "c",
                "[environment]\npass = [\"A_1\", \"A_X*\", \"B\", \"BB\", \"A*\"]\nset.B = \"1\"\n",
            ),
        ]);
        assert_eq!(values(&settings.pass), ["BB", "A*"]);
        assert!(settings.set.is_empty());
        assert!(is_denied(&settings.deny_env, "A_2"), "what `A*` would match is still denied");
    }

    #[test]
    fn a_project_hides_below_itself() {
        let hide = "[files]\nhide = [\"./.env\", \"secrets\"]\n";
        let settings = merge(vec![layer(LayerKind::Project, "p", hide)]);
        assert_eq!(values(&settings.hide), ["${PROJECT}/.env", "${PROJECT}/secrets"]);
    }

    #[test]
    fn copied_keys_add_up() {
        let settings = merge(vec![
            layer(LayerKind::BuiltIn, "a", "[state-copy]\n\"~/.x.json\" = [\"one\", \"two\"]\n"),
            layer(LayerKind::User, "b", "[state-copy]\n\"~/.x.json\" = [\"two\", \"three\"]\n"),
        ]);
        assert_eq!(values(&settings.state_copy["~/.x.json"]), ["one", "two", "three"]);
    }

    #[test]
    fn what_stays_in_an_emptied_directory_adds_up() {
        let settings = merge(vec![
            layer(LayerKind::BuiltIn, "a", "[state-emptied]\n\"~/.x\" = [\"one\", \"two\"]\n"),
            layer(LayerKind::User, "b", "[state-emptied]\n\"~/.x\" = [\"two\", \"three\"]\n"),
        ]);
        let emptied = &settings.state_emptied["~/.x"];
        assert_eq!(emptied.value, ["one", "two", "three"]);
        assert_eq!(emptied.origin.source, "b");
    }

    const KINDS: [LayerKind; 4] =
        [LayerKind::BuiltIn, LayerKind::System, LayerKind::User, LayerKind::Project];

    prop_compose! {
        /// A layer that says a bit of everything that merges differently.
        fn any_layer()(
            kind in select(&KINDS[..]),
            name in "[a-z]{1,4}",
            tools in subsequence(vec!["/a", "/b", "~/c"], 0..=3),
            hide in subsequence(vec!["/x", "/y", "~/z"], 0..=3),
            pass in subsequence(vec!["A", "B", "BB", "C*"], 0..=4),
            deny in subsequence(vec!["A", "B*", "C*"], 0..=3),
            set in subsequence(vec!["A = \"1\"", "BC = \"2\"", "D = \"3\""], 0..=3),
            git in proptest::option::of(select(vec!["private", "shared", "read-only", "none"])),
            docker: Option<bool>,
        ) -> Layer {
            let git = git.map_or(String::new(), |git| format!("git = \"{git}\"\n"));
            let docker = docker.map_or(String::new(), |on| format!("docker = {on}\n"));
            layer(kind, &name, &format!(
                "{git}tools = {tools:?}\n[files]\nhide = {hide:?}\n[environment]\npass = {pass:?}\n\
                 deny = {deny:?}\n[sockets]\n{docker}[environment.set]\n{}\n", set.join("\n"),
            ))
        }
    }

    proptest! {
        #[test]
        fn saying_it_twice_changes_nothing(layers in prop::collection::vec(any_layer(), 0..5)) {
            let mut ranked = layers;
            ranked.sort_by_key(|layer| layer.source.kind);
            let twice = ranked.iter().flat_map(|layer| [layer.clone(), layer.clone()]).collect();
            prop_assert_eq!(merge(ranked), merge(twice));
        }

        #[test]
        fn rank_decides_and_not_the_order_of_arrival(
            mut layers in prop::collection::vec(any_layer(), 0..5),
        ) {
            let settled = merge(layers.clone());
            layers.sort_by_key(|layer| layer.source.kind);
            prop_assert_eq!(settled, merge(layers));
        }

        #[test]
        fn the_last_word_is_that_of_the_highest_layer(
            layers in prop::collection::vec(any_layer(), 0..5), last in any_layer(),
        ) {
            let mut last = last;
            last.source.kind = LayerKind::Config;
            let said = merge(vec![last.clone()]);
            let all = merge(layers.into_iter().chain([last]).collect());
            prop_assert!(said.git.is_none() || all.git == said.git);
            for (name, on) in said.sockets {
                prop_assert_eq!(&all.sockets[name], &on);
            }
        }

        #[test]
        fn no_layer_can_take_back_a_denial(
            layers in prop::collection::vec(any_layer(), 0..5), more in any_layer(),
        ) {
            let before = merge(layers.clone());
            let after = merge(layers.into_iter().chain([more]).collect());
            for hidden in values(&before.hide) {
                prop_assert!(values(&after.hide).contains(&hidden));
            }
            for denied in values(&before.deny_env) {
                prop_assert!(is_denied(&after.deny_env, denied));
            }
            for name in values(&after.pass).into_iter().chain(after.set.keys().map(String::as_str)) {
                prop_assert!(!is_denied(&before.deny_env, name), "{} came back", name);
            }
        }
    }
}
