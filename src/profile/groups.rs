//! Names for sets of hosts: `@npm` in a rule stands for the hosts of that registry. The groups that
//! ship are in `profiles/groups.toml`; the system and the user add groups, and hosts to groups, in
//! files of the same kind. A project has none: a stranger's text gives no names their meaning.
//! It must never leave a name without a meaning: an unknown one is a mistake, not an empty set.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::mistake::nearest;
use super::origin::Settled;
use super::schema;
use super::source::Source;
use super::values::{AllowRule, GroupName};
use crate::error::Result;

/// A file of groups.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct File {
    /// Each group's rules, or other groups.
    #[schemars(with = "BTreeMap<String, Vec<String>>")]
    groups: BTreeMap<Spanned<GroupName>, Vec<Spanned<AllowRule>>>,
}

/// What each group stands for: rules and groups as written, with the place of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups(BTreeMap<String, Vec<Settled<String>>>);

impl Groups {
    /// The groups of these files, weakest first. Files of one name add up.
    ///
    /// # Errors
    /// When one has a mistake.
    pub fn read(sources: &[Source]) -> Result<Self> {
        let mut groups = Self::default();
        let mut references = Vec::new();
        for source in sources {
            let File { groups: said } = source.parse()?;
            for (name, rules) in said {
                let known = groups.0.entry(name.get_ref().as_str().to_owned()).or_default();
                for rule in &rules {
                    let origin = source.origin(&rule.span());
                    known.push(Settled { value: rule.get_ref().as_str().to_owned(), origin });
                }
                references.extend(rules.into_iter().map(|rule| (source, rule)));
            }
        }
        for (source, rule) in &references {
            groups.check_one(source, rule.get_ref().as_str(), rule)?;
        }
        Ok(groups)
    }

    /// Looks that a layer names no group that there is not.
    pub(super) fn check(&self, source: &Source, profile: &schema::Profile) -> Result<()> {
        let Some(network) = &profile.network else { return Ok(()) };
        for rule in network.allow.iter().flatten() {
            self.check_one(source, rule.get_ref().as_str(), rule)?;
        }
        for rule in network.deny.iter().flatten() {
            self.check_one(source, rule.get_ref().as_str(), rule)?;
        }
        Ok(())
    }

    fn check_one<T>(&self, source: &Source, rule: &str, at: &Spanned<T>) -> Result<()> {
        match rule.strip_prefix('@') {
            Some(name) if !self.0.contains_key(name) => Err(source
                .error(at.span(), &format!("there is no group `@{name}`"))
                .hint(self.near(name))),
            _ => Ok(()),
        }
    }

    /// A hint for a group that there is not.
    pub fn near(&self, name: &str) -> String {
        match nearest(name, self.names()) {
            Some(near) => format!("did you mean `@{near}`?"),
            None => format!(
                "there are: {}",
                self.names().map(|name| format!("@{name}")).collect::<Vec<_>>().join(", ")
            ),
        }
    }

    /// What to say of a host that has the name of a group.
    pub fn taken_for_host(name: &str, by: &str) -> String {
        format!("{by} {name} is the host of that name; the group of hosts is `@{name}`")
    }

    /// The names of all groups, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The rules that a group stands for, those of the groups in it included, each once; `None`
    /// where there is no such group. Groups that name each other are one set.
    pub fn rules(&self, name: &str) -> Option<Vec<&Settled<String>>> {
        let (name, _) = self.0.get_key_value(name)?;
        let (mut rules, mut seen) = (Vec::new(), BTreeSet::new());
        self.collect(name, &mut seen, &mut rules);
        Some(rules)
    }

    fn collect<'a>(
        &'a self,
        name: &'a str,
        seen: &mut BTreeSet<&'a str>,
        rules: &mut Vec<&'a Settled<String>>,
    ) {
        if !seen.insert(name) {
            return;
        }
        for rule in self.0.get(name).into_iter().flatten() {
            match rule.value.strip_prefix('@') {
                Some(inner) => self.collect(inner, seen, rules),
                None if rules.iter().any(|known| known.value == rule.value) => {}
                None => rules.push(rule),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::ProfileChoice;
    use super::super::fixture::Fixture;
    use super::super::origin::LayerKind;
    use super::*;

    fn groups(files: &[&str]) -> Result<Groups> {
        let sources: Result<Vec<Source>> = files
            .iter()
            .map(|text| Source::new(LayerKind::User, "groups.toml", text.as_bytes().to_vec()))
            .collect();
        Groups::read(&sources?)
    }

    fn rules<'g>(groups: &'g Groups, name: &str) -> Vec<&'g str> {
        groups.rules(name).unwrap().iter().map(|rule| rule.value.as_str()).collect()
    }

    #[test]
    fn files_add_up_and_groups_nest() {
        let groups = groups(&[
            "[groups]\na = [\"x.example\", \"@b\"]\nb = [\"y.example:22\", \"@a\"]\n",
            "[groups]\na = [\"z.example\", \"x.example\"]\nc = []\n",
        ])
        .unwrap();
        assert_eq!(rules(&groups, "a"), ["x.example", "y.example:22", "z.example"]);
        assert_eq!(rules(&groups, "b"), ["y.example:22", "x.example", "z.example"]);
        assert_eq!(groups.rules("c"), Some(Vec::new()));
        assert_eq!(groups.rules("d"), None);
    }

    #[test]
    fn mistakes_point_into_the_file() {
        let mistake = |text: &str| {
            let error = groups(&[text]).unwrap_err();
            let hints = error.hints().iter().map(|hint| format!("\nhint: {hint}"));
            format!("{error}{}", hints.collect::<String>())
        };
        let said = [
            "[groups]\nnpm = [\"registry.npmjs.org\", \"@nmp\"]\n",
            "[groups]\nNPM = []\n",
            "[groups]\nnpm = [\"*\"]\n",
            "[group]\n",
        ]
        .map(mistake);
        assert_snapshot!(said.join("\n\n"), @r#"
        there is no group `@nmp`
         --> groups.toml:2:30
          |
        2 | npm = ["registry.npmjs.org", "@nmp"]
          |                              ^^^^^^
        hint: did you mean `@npm`?

        `NPM` is not the name of a group
         --> groups.toml:2:1
          |
        2 | NPM = []
          | ^^^
        hint: a name has small letters, digits and `-`

        `*` allows everything
         --> groups.toml:2:8
          |
        2 | npm = ["*"]
          |        ^^^
        hint: name the hosts; `network.mode = "host"` (--network host) is all of the host's network

        unknown key `group`
         --> groups.toml:1:2
          |
        1 | [group]
          |  ^^^^^
        hint: did you mean `groups`?
        "#);
    }

    /// What ships can be read, and stands for hosts that anybody may look up.
    #[test]
    fn the_built_in_groups_are_right() {
        let groups = Fixture::new().library.named_groups().unwrap();
        for name in groups.names() {
            for rule in groups.rules(name).unwrap() {
                let parsed = crate::network::parse::allow(&rule.value, "").unwrap();
                assert!(!parsed.private, "@{name}: {}", rule.value);
                let crate::network::rule::To::Below(below) = parsed.to else { continue };
                assert!(!crate::network::suffix::is_public(&below), "@{name}: {}", rule.value);
            }
        }
    }

    #[test]
    fn a_profile_names_only_groups_that_there_are() {
        let fixture = Fixture::new();
        let settle = |fixture: &Fixture| fixture.settle(&ProfileChoice::ForCommand, &["true"]);
        fixture.user("default", "network.allow = [\"@npn\"]\n");
        assert_snapshot!(fixture.shown(&settle(&fixture).unwrap_err()), @r#"
        there is no group `@npn`
         --> /user/profiles/default.toml:1:18
          |
        1 | network.allow = ["@npn"]
          |                  ^^^^^^
        hint: did you mean `@npm`?
        "#);
        fixture.user("default", "network.deny = [\"@mine\"]\n");
        assert!(settle(&fixture).is_err(), "a denial of nothing would be no denial");
        fixture
            .write("user/groups.toml", "[groups]\nmine = [\"a.example\"]\nnpm = [\"b.example\"]\n");
        let settings = settle(&fixture).unwrap();
        assert_eq!(rules(&settings.network.groups, "mine"), ["a.example"]);
        assert!(rules(&settings.network.groups, "npm").ends_with(&["b.example"]));
        fixture.write("system-groups.toml", "[groups]\nmine = [\"c.example\"]\n");
        let settings = settle(&fixture).unwrap();
        assert_eq!(rules(&settings.network.groups, "mine"), ["c.example", "a.example"]);
        // A project's own file has no groups.
        fixture.write("project/groups.toml", "[groups]\nmine = [\"evil.example\"]\n");
        assert_eq!(settle(&fixture).unwrap(), settings);
    }
}
