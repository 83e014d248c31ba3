//! Sessions that are built through the library instead of being typed, so that a test can take away
//! the one defence whose absence lets an attack succeed. The real supervisor and inner stage run them.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use claudebox::dirs::Dirs;
use claudebox::host::{Disk, Host};
use claudebox::plan::{Arg, Plan};
use claudebox::policy::invocation::{BindArgument, Invocation};
use claudebox::policy::{Policy, project, resolve};
use claudebox::profile::origin::{LayerKind, Origin, Settled};
use claudebox::profile::schema::NetworkMode;
use claudebox::profile::settings::{NetworkSettings, Settings};
use claudebox::sandbox::compile;

use crate::common::place::Place;
use crate::common::run::{Output, Run};
use crate::common::user::User;
use crate::supervised;

/// A session to be.
pub(crate) struct Built<'a> {
    place: &'a Place,
    pub(crate) host: Host,
    pub(crate) settings: Settings,
    pub(crate) invocation: Invocation,
}

fn said<T>(value: T) -> Settled<T> {
    let origin = Origin { layer: LayerKind::User, source: "test".into(), line: 1 };
    Settled { value, origin }
}

fn list(values: &[&str]) -> Vec<Settled<String>> {
    values.iter().map(|value| said((*value).to_owned())).collect()
}

impl<'a> Built<'a> {
    /// This command in the place's project, with `/usr` and little else.
    pub(crate) fn new(place: &'a Place, command: &[&str]) -> Self {
        let settings = Settings {
            name: "test".into(),
            system: list(&["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache"]),
            network: NetworkSettings {
                mode: Some(said(NetworkMode::None)),
                ..NetworkSettings::default()
            },
            tmp_size: Some(said(1 << 20)),
            run_size: Some(said(1 << 20)),
            pass: list(&["PATH"]),
            ..Settings::default()
        };
        let argv = command.iter().map(OsString::from).collect();
        let invocation = Invocation { argv, ..Invocation::default() };
        Self { place, host: host(place), settings, invocation }
    }

    /// As `--ro-bind SOURCE:DESTINATION`.
    pub(crate) fn ro_bind(
        mut self,
        source: impl Into<PathBuf>,
        destination: impl Into<PathBuf>,
    ) -> Self {
        let (source, destination) = (source.into(), Some(destination.into()));
        let bind = BindArgument { source, destination, writable: false };
        self.invocation.binds.push(bind);
        self
    }

    /// Changes what a profile would say.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    pub(crate) fn policy(&self) -> Policy {
        let project = project::find(None, &self.host, &Disk).unwrap();
        resolve(&self.settings, &self.invocation, &self.host, &project, &Disk)
            .unwrap_or_else(|err| panic!("{err} {:?}", err.hints()))
    }

    pub(crate) fn plan(&self) -> Plan {
        self.plan_of(&self.policy())
    }

    pub(crate) fn plan_of(&self, policy: &Policy) -> Plan {
        compile::plan(policy, &self.host).unwrap()
    }

    /// A plan, ready to run.
    pub(crate) fn run(&self, plan: &Plan) -> Run {
        let place = self.place;
        let directory = tempfile::Builder::new().prefix("plan-").tempdir_in(place.root()).unwrap();
        let directory = directory.keep();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
        let path = directory.join("plan");
        fs::write(&path, serde_json::to_vec(plan).unwrap()).unwrap();
        place.user().own(&path);
        place.user().own(&directory);
        let run = place.command(supervised::program());
        run.args([&path, &directory, &directory.join("events")]).args(["users"])
    }

    /// Runs what was built as it is.
    pub(crate) fn output(&self) -> Output {
        self.run(&self.plan()).run()
    }
}

/// This machine, with the place's user and home.
fn host(place: &Place) -> Host {
    let mut host = Host::probe().unwrap();
    let state = place.home().join(".local/state/claudebox");
    host.home = place.home();
    host.environment = place.environment().into_iter().collect();
    host.cwd = place.project();
    place.executable().clone_into(&mut host.executable);
    host.dirs = Dirs {
        config: place.home().join(".config/claudebox"),
        cache: place.home().join(".cache/claudebox"),
        runtime: state.join("run"),
        state,
    };
    if let User::Unprivileged { uid, gid } = place.user() {
        (host.uid, host.gid) = (uid, gid);
    }
    host
}

/// Makes every read-only bind of this destination a writable one: the mount defence is away, and the
/// second layer is told nothing of it.
pub(crate) fn writable(plan: &mut Plan, destination: &std::path::Path) {
    let word = |word: &str| Arg::Literal(word.into());
    let here = word(destination.to_str().unwrap());
    let at = plan.args.iter().position(|arg| *arg == here).unwrap();
    let option = plan.args.get_mut(at - 2).unwrap();
    assert_eq!(*option, word("--ro-bind-fd"));
    *option = word("--bind-fd");
}
