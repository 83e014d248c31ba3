//! The policy while it is being made: the mounts so far and what must be made ready for them.
//! Where two rules name one destination it decides which holds.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::invocation::Invocation;
use super::mount::{Access, Class, Mount, Node, Source, Step};
use super::paths::{Variables, place};
use super::program::Need;
use super::project::Project;
use crate::error::{Error, Result};
use crate::hex::hexadecimal;
use crate::host::{Facts, Host};
use crate::plan::{Mirror, Prepare};
use crate::profile::origin::{Origin, Settled};
use crate::profile::schema::Nix;
use crate::profile::settings::Settings;
use crate::session::homes::HOMES;
use crate::visible::visible_path;

/// See the module.
pub(super) struct Draft<'a> {
    pub(super) settings: &'a Settings,
    pub(super) invocation: &'a Invocation,
    pub(super) host: &'a Host,
    pub(super) project: &'a Project,
    pub(super) facts: &'a dyn Facts,
    pub(super) variables: Variables<'a>,
    pub(super) private_home: PathBuf,
    /// The git directory of the project, where it is a linked worktree that gets a private one.
    pub(super) git_dir: Option<PathBuf>,
    /// Files of the configuration of git that are the machine's or the user's, as git said where it was asked.
    pub(super) told_by_git: Vec<PathBuf>,
    pub(super) nix: Settled<Nix>,
    /// Paths of the host's store that something visible leads to; only with a private store.
    pub(super) store_paths: BTreeSet<PathBuf>,
    /// What the agent's program needs of the store.
    pub(super) store_needs: Vec<Need>,
    pub(super) steps: Vec<Step>,
    pub(super) prepare: Vec<Prepare>,
    pub(super) mirrors: Vec<Mirror>,
    /// What is not on the host yet and will be when bwrap starts.
    pub(super) created: BTreeMap<PathBuf, Node>,
    /// Variables that a mount brings along.
    pub(super) extra_environment: Vec<(&'static str, PathBuf)>,
    /// Names are the sandbox's own: what cannot be reached by one cannot be reached.
    pub(super) own_names: bool,
    pub(super) weakened: Vec<String>,
    /// What the user should hear before the session starts.
    pub(super) remarks: Vec<String>,
    pub(super) left_out: Vec<String>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(
        settings: &'a Settings,
        invocation: &'a Invocation,
        host: &'a Host,
        project: &'a Project,
        facts: &'a dyn Facts,
    ) -> Self {
        let private_home = host.dirs.state.join(HOMES).join(home_name(settings, project));
        Self {
            settings,
            invocation,
            host,
            project,
            facts,
            variables: Variables {
                home: &host.home,
                project: &project.root,
                start: &project.start,
            },
            private_home,
            git_dir: None,
            told_by_git: Vec::new(),
            nix: settings.nix.clone().unwrap_or_else(|| super::default(Nix::Store)),
            store_paths: BTreeSet::new(),
            store_needs: Vec::new(),
            steps: Vec::new(),
            prepare: Vec::new(),
            mirrors: Vec::new(),
            created: BTreeMap::new(),
            extra_environment: Vec::new(),
            own_names: false,
            weakened: Vec::new(),
            remarks: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// Adds a mount. One destination is mounted once: a later rule replaces an earlier one, except
    /// that nothing replaces the project, its git pins or what claudebox needs for itself.
    pub(super) fn add(&mut self, step: Step) -> Result<()> {
        let destination = step.mount.destination().to_owned();
        // Clean paths are one if their bytes are; comparing components takes ten times as long.
        let same = |other: &Step| other.mount.destination().as_os_str() == destination.as_os_str();
        let Some(index) = self.steps.iter().position(same) else {
            self.steps.push(step);
            return Ok(());
        };
        let other = &self.steps[index];
        if other.mount == step.mount {
            return Ok(());
        }
        if may_be_replaced(other, &step) {
            self.steps[index] = step;
            return Ok(());
        }
        let shown = visible_path(&destination);
        let by = |step: &Step| match &step.origin {
            Some(origin) if place(origin) != step.why => {
                format!("{} ({})", step.why, place(origin))
            }
            _ => step.why.clone(),
        };
        Err(Error::usage(format!("{shown} is asked for twice: {}, and {}", by(other), by(&step)))
            .hint("name it once"))
    }

    /// Binds a part of the host, canonical `source`.
    pub(super) fn bind(&mut self, bind: &Bind<'_>) -> Result<()> {
        let node = match self.created.get(bind.source) {
            Some(node) => *node,
            None => Node::of(
                self.facts
                    .lstat(bind.source)
                    .ok_or_else(|| {
                        Error::launcher(format!("cannot look at {}", visible_path(bind.source)))
                    })?
                    .kind,
            ),
        };
        self.add(Step {
            mount: Mount::Bind {
                source: Source::canonical(bind.source),
                destination: bind.destination.to_owned(),
                access: bind.access,
                node,
            },
            class: bind.class,
            why: bind.why.to_owned(),
            origin: bind.origin.cloned(),
        })
    }

    pub(super) fn add_program_part(&mut self, need: Need) -> Result<()> {
        self.add(Step {
            mount: Mount::Bind {
                source: Source::canonical(&need.source),
                destination: need.destination,
                access: Access::Read,
                node: need.node,
            },
            class: Class::Tools,
            why: "the agent's program".to_owned(),
            origin: None,
        })
    }

    /// Something of the host that claudebox keeps to itself is named in the error.
    pub(super) fn refuse_own_files(&self, path: &Path, origin: &Origin) -> Result<()> {
        match self.host.dirs.overlapping(path) {
            None => Ok(()),
            Some(own) => Err(Error::usage(format!(
                "{}: {} cannot be shared: claudebox keeps its own files in {}",
                place(origin),
                visible_path(path),
                visible_path(own)
            ))
            .hint("name the directories that are needed, one by one")),
        }
    }
}

/// One bind of the host's; the arguments of [`Draft::bind`].
pub(super) struct Bind<'b> {
    pub(super) source: &'b Path,
    pub(super) destination: &'b Path,
    pub(super) access: Access,
    pub(super) class: Class,
    pub(super) why: &'b str,
    pub(super) origin: Option<&'b Origin>,
}

fn may_be_replaced(old: &Step, new: &Step) -> bool {
    match old.class {
        Class::Own => {
            let open = ["/tmp", "/var/tmp", "/dev/shm"];
            new.class == Class::CommandLine
                && open.iter().any(|dir| old.mount.destination() == Path::new(dir))
        }
        Class::Home | Class::Project | Class::Git | Class::Hide | Class::Seal => false,
        Class::CommandLine => new.class != Class::CommandLine && new.class < Class::Project,
        _ => true,
    }
}

/// The name of the private home: a hash of the profile's name and the project's path.
fn home_name(settings: &Settings, project: &Project) -> String {
    let mut hash = Sha256::new();
    hash.update(settings.name.as_bytes());
    hash.update([0]);
    hash.update(project.root.as_os_str().as_bytes());
    hexadecimal(&hash.finalize()[..16])
}
