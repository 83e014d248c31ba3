//! What was seen of each agent, in `tests/agents/NAME/record.json`, from which docs/agents.md is made.
//! `make test-agents` writes it (`CLAUDEBOX_TEST_RECORD`); any other run of the tests leaves it alone.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::common::user::User;
use crate::table;

/// The last real run of an agent.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Record {
    /// Which version of the npm package that its directory pins.
    pub(crate) version: String,
    /// The day, in UTC.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) date: String,
    /// As whom it was driven without a terminal: `root`, `user`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) headless: BTreeSet<String>,
    /// As whom in the pane, with keys.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) interactive: BTreeSet<String>,
    /// Whom it reached.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) reached: BTreeSet<String>,
    /// Whom it asked for and was refused.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) refused: BTreeSet<String>,
    /// Why it cannot be driven, or not in every way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) not_driven: Option<String>,
}

/// The agents whose record was begun anew by this process.
static BEGUN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// An agent did all that it must.
pub(crate) fn driven(
    name: &'static str,
    what: &str,
    user: User,
    reached: Vec<String>,
    refused: Vec<String>,
) {
    if std::env::var_os("CLAUDEBOX_TEST_RECORD").is_none() {
        return;
    }
    let mut begun = BEGUN.lock().unwrap_or_else(PoisonError::into_inner);
    let last = read(name).unwrap_or_default();
    let mut record = if begun.insert(name) {
        Record { not_driven: last.not_driven, ..Record::default() }
    } else {
        last
    };
    record.version = pinned(name).1;
    record.date = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    let user = if user.is_root() { "root" } else { "user" }.to_owned();
    match what {
        "headless" => {
            record.headless.insert(user);
        }
        "interactive" => {
            record.interactive.insert(user);
        }
        // It was only started.
        _ => {}
    }
    record.reached.extend(reached);
    record.refused.extend(refused);
    let text = serde_json::to_string_pretty(&record).unwrap();
    fs::write(directory(name).join("record.json"), text + "\n").unwrap();
    table::write();
}

/// An agent's record, if there is one.
pub(crate) fn read(name: &str) -> Option<Record> {
    let text = fs::read_to_string(directory(name).join("record.json")).ok()?;
    Some(serde_json::from_str(&text).unwrap_or_else(|err| panic!("record of {name}: {err}")))
}

/// The npm package of an agent, which is the only one that its directory depends on (what it needs
/// beside itself is optional there), and its version.
pub(crate) fn pinned(name: &str) -> (String, String) {
    let text = fs::read_to_string(directory(name).join("package.json")).unwrap();
    let package: Value = serde_json::from_str(&text).unwrap();
    let dependencies = package["dependencies"].as_object().unwrap();
    assert_eq!(dependencies.len(), 1, "{name}: which of these is the agent?");
    let (package, version) = dependencies.iter().next().unwrap();
    (package.clone(), version.as_str().unwrap().to_owned())
}

/// The agents that have a directory here.
pub(crate) fn names() -> BTreeSet<String> {
    let entries = fs::read_dir(here()).unwrap().map(|entry| entry.unwrap());
    let agents = entries.filter(|entry| entry.path().join("package.json").exists());
    agents.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

fn directory(name: &str) -> PathBuf {
    here().join(name)
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agents")
}
