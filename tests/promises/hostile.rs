//! The hostile programs of `tests/programs/`: each tries a table of attacks and prints a line for
//! each, `NAME ok` or the name and why not.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use claudebox::bytes::Bytes;
use claudebox::plan::{Arg, ErrnoFilter, Plan};

use crate::common::must_have;
use crate::common::place::Place;
use crate::supervised::{self, Room};

/// What became of each attack.
pub(crate) type Outcomes = BTreeMap<String, String>;

/// A compiled program, where everyone can execute it. It goes away with this.
#[derive(Debug)]
pub(crate) struct Hostile {
    _directory: tempfile::TempDir,
    program: PathBuf,
}

impl Hostile {
    /// Compiles `tests/programs/NAME.c`.
    pub(crate) fn new(name: &str, options: &[&str]) -> Self {
        must_have(&["cc"]);
        let directory = tempfile::tempdir_in("/var/tmp").unwrap();
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(directory.path(), open).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
        let program = directory.path().join(name);
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-o"]).arg(&program).args(options);
        let built = cc.arg(source.join(name).with_extension("c")).status().unwrap();
        assert!(built.success(), "{name}.c");
        Self { _directory: directory, program }
    }

    /// Where it is on the host.
    pub(crate) fn path(&self) -> &Path {
        &self.program
    }

    /// Puts it into a project, as an agent would have compiled it there.
    pub(crate) fn put_into(&self, place: &Place) {
        let copied = Command::new("cp").arg(&self.program).arg(place.project()).status().unwrap();
        assert!(copied.success());
    }

    /// A plan that runs it, in a sandbox in which of the second layers only this errno filter is
    /// there: namespaces are not forbidden, and Landlock forbids no mount.
    pub(crate) fn plan(&self, arguments: &[&str], filter: ErrnoFilter) -> Plan {
        let words: Vec<&str> = ["/run/hostile"].iter().chain(arguments).copied().collect();
        let mut plan = supervised::plan(&words);
        let bind = ["--ro-bind", self.program.to_str().unwrap(), "/run/hostile"];
        plan.args.extend(bind.map(|word| Arg::Literal(Bytes::from(word))));
        plan.inner.landlock.files = false;
        plan.inner.errno_filter = filter;
        plan
    }

    /// Runs that plan to its end.
    pub(crate) fn run(
        &self,
        arguments: &[&str],
        filter: ErrnoFilter,
        user: supervised::User,
    ) -> Outcomes {
        let output = Room::new(&self.plan(arguments, filter), user).output();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        outcomes(&String::from_utf8_lossy(&output.stdout))
    }
}

/// What a hostile program printed.
pub(crate) fn outcomes(printed: &str) -> Outcomes {
    let pair = |line: &str| {
        let (name, outcome) = line.split_once(' ')?;
        Some((name.to_owned(), outcome.to_owned()))
    };
    printed.lines().filter_map(pair).collect()
}

/// A table of attacks and what should become of them.
pub(crate) fn expected(table: &[(&str, &str)]) -> Outcomes {
    table.iter().map(|(name, outcome)| ((*name).to_owned(), (*outcome).to_owned())).collect()
}

/// Which of these attacks did not succeed.
pub(crate) fn failed(outcomes: &Outcomes) -> Outcomes {
    outcomes.clone().into_iter().filter(|(_, outcome)| outcome != "ok").collect()
}
