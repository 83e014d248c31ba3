//! From a policy to the plan: bwrap's argv is a fold over the mounts. It must never decide
//! anything that the policy left open, and never put an environment value into an argument.
#![forbid(unsafe_code)]

use std::path::Path;

use crate::bytes::Bytes;
use crate::error::{Error, Result};
use crate::host::{Bwrap, Host};
use crate::network::plan::Network;
use crate::plan::limits::Maker;
use crate::plan::{Arg, ErrnoFilter, FdSource, InnerPlan, PLAN_VERSION, Plan, Summary};
use crate::policy::Policy;
use crate::policy::mount::{Access, Mount, Source};
use crate::policy::outside::replaceable;
use crate::visible::visible_path;

/// Without these there is no sandbox; each is in bwrap since 0.5 (2021) or longer.
pub(crate) const NEEDED: [&str; 23] = [
    "--args",
    "--as-pid-1",
    "--bind",
    "--cap-drop",
    "--chdir",
    "--dev",
    "--dir",
    "--file",
    "--info-fd",
    "--perms",
    "--proc",
    "--remount-ro",
    "--ro-bind",
    "--ro-bind-data",
    "--share-net",
    "--symlink",
    "--tmpfs",
    "--unshare-all",
    "--unshare-user",
    "--unshare-ipc",
    "--unshare-pid",
    "--unshare-net",
    "--unshare-uts",
];

/// By this bwrap says who its child is, which only systemd has to be told (since 0.3, 2018).
const STATUS: &str = "--json-status-fd";

/// Makes the plan.
///
/// # Errors
/// When there is no bwrap on this host that can be used.
pub fn plan(policy: &Policy, host: &Host) -> Result<Plan> {
    let bwrap = usable(host, policy)?;
    Ok(Plan {
        version: PLAN_VERSION,
        summary: summary(policy),
        prepare: policy.prepare.clone(),
        mirrors: policy.mirrors.clone(),
        git: policy.private_git.clone(),
        bwrap: (&*bwrap.path).into(),
        args: arguments(policy, bwrap),
        limits: policy.limits.held.clone(),
        network: policy.network.value.clone(),
        inner: inner(policy),
        exec_log: policy.exec_log.value,
        verify: true,
    })
}

/// The bwrap of this host, if it will do.
fn usable<'h>(host: &'h Host, policy: &Policy) -> Result<&'h Bwrap> {
    let Some(bwrap) = &host.bwrap else {
        return Err(Error::launcher("cannot find bwrap, which builds the sandbox").hint(
            "install bubblewrap: apt install bubblewrap | dnf install bubblewrap | pacman -S \
             bubblewrap | nix profile install nixpkgs#bubblewrap",
        ));
    };
    let shown = visible_path(&bwrap.path);
    if bwrap.setuid {
        return Err(Error::launcher(format!(
            "{shown} is setuid root, and is not started: it can be traced by what it starts \
             (CVE-2026-41163)"
        ))
        .hint(format!("remove the bit: sudo chmod u-s {shown}"))
        .hint(
            "where user namespaces are switched off: sysctl kernel.unprivileged_userns_clone=1",
        ));
    }
    if policy.lets_replace(&bwrap.path) {
        return Err(replaceable(&bwrap.path)
            .hint("install bubblewrap from your distribution, and take the project off PATH"));
    }
    // A pane or a log that is opened later executes it again, outside.
    if policy.lets_replace(&host.executable) {
        return Err(Error::launcher(format!(
            "this claudebox could be written inside: {}",
            visible_path(&host.executable)
        ))
        .hint("install it elsewhere (`cargo install --path .`), and start it from there"));
    }
    let group = policy.limits.held.group.as_ref();
    let scope = group.is_some_and(|group| matches!(group.maker, Maker::Systemd { .. }));
    let needed = NEEDED.into_iter().chain(scope.then_some(STATUS));
    let missing: Vec<&str> = needed.filter(|option| !bwrap.has(option)).collect();
    if missing.is_empty() {
        return Ok(bwrap);
    }
    Err(Error::launcher(format!("{shown} is too old: it has no {}", missing.join(", ")))
        .hint("install bubblewrap 0.8 or newer (`bwrap --version`)"))
}

fn summary(policy: &Policy) -> Summary {
    Summary {
        profile: policy.profile.clone(),
        agent: policy.argv.iter().map(|arg| Bytes::from(arg.as_os_str())).collect(),
        project: (&*policy.project.root).into(),
        network: policy.network.value.word().to_owned(),
        weakened: policy.weakened.clone(),
        tool_marker: policy.tool_marker.clone(),
        helpers: policy.helpers.clone(),
    }
}

fn inner(policy: &Policy) -> InnerPlan {
    InnerPlan {
        version: PLAN_VERSION,
        program: (&*policy.program).into(),
        argv: policy.argv.iter().map(|arg| Bytes::from(arg.as_os_str())).collect(),
        env: policy
            .environment
            .iter()
            .map(|variable| (variable.name.as_os_str().into(), variable.value.as_os_str().into()))
            .collect(),
        cwd: (&*policy.cwd).into(),
        shell: policy.shell.iter().map(|arg| Bytes::from(arg.as_os_str())).collect(),
        landlock: policy.landlock.clone(),
        rlimits: policy.limits.each,
        errno_filter: if policy.nested_userns.value {
            ErrnoFilter::Nesting
        } else {
            ErrnoFilter::All
        },
        exec_log: policy.exec_log.value,
    }
}

/// bwrap's arguments. No `--new-session`: it takes the controlling terminal away, and with it job
/// control and SIGWINCH; the inner stage refuses TIOCSTI instead. The hostname stays the host's,
/// since it is in /etc/hosts and in X11 cookies. No `--die-with-parent`: a bwrap killed before it
/// releases its child leaves that behind for ever; the supervisor ties bwrap to its own life once
/// the sandbox is up.
fn arguments(policy: &Policy, bwrap: &Bwrap) -> Vec<Arg> {
    let mut args = Arguments { bwrap, args: Vec::new() };
    // Root keeps its capabilities, and its user namespace, unless told otherwise.
    args.flags(&["--unshare-all", "--unshare-user"]);
    if policy.network.value == Network::Host {
        args.flags(&["--share-net"]);
    }
    args.flags(&["--cap-drop", "ALL", "--as-pid-1"]);
    if !policy.nested_userns.value && bwrap.has("--disable-userns") {
        args.flags(&["--disable-userns"]);
    }
    for step in &policy.mounts {
        args.mount(&step.mount);
    }
    args.path("--chdir", &policy.cwd);
    args.args
}

/// The fold.
struct Arguments<'a> {
    bwrap: &'a Bwrap,
    args: Vec<Arg>,
}

impl Arguments<'_> {
    fn literal(&mut self, bytes: impl Into<Bytes>) {
        self.args.push(Arg::Literal(bytes.into()));
    }

    fn flags(&mut self, flags: &[&str]) {
        for flag in flags {
            self.literal(*flag);
        }
    }

    fn path(&mut self, option: &str, path: &Path) {
        self.literal(option);
        self.literal(path);
    }

    fn mount(&mut self, mount: &Mount) {
        match mount {
            Mount::Bind { source, destination, access, .. } => {
                self.bind(source, destination, *access);
            }
            Mount::Copy { source, destination } => {
                self.perms(0o444);
                self.literal("--file");
                self.args.push(Arg::Fd(FdSource::Content((&**source).into())));
                self.literal(&**destination);
            }
            Mount::File { destination, content, mounted } => {
                self.perms(0o444);
                self.literal(if *mounted { "--ro-bind-data" } else { "--file" });
                self.args.push(Arg::Fd(FdSource::Data(content.clone())));
                self.literal(&**destination);
            }
            Mount::Tmpfs { destination, mode, size } => {
                self.perms(*mode);
                if self.bwrap.has("--size") {
                    self.literal("--size");
                    self.literal(size.to_string().as_str());
                }
                self.path("--tmpfs", destination);
            }
            Mount::Symlink { target, destination } => {
                self.path("--symlink", target);
                self.literal(&**destination);
            }
            Mount::Directory { destination, mode } => {
                self.perms(*mode);
                self.path("--dir", destination);
            }
            Mount::Mask { destination } => {
                self.perms(0);
                self.literal("--ro-bind-data");
                self.args.push(Arg::Fd(FdSource::Data(Bytes::default())));
                self.literal(&**destination);
            }
            Mount::Proc => self.path("--proc", mount.destination()),
            Mount::Dev => self.path("--dev", mount.destination()),
            Mount::RemountReadOnly { destination } => self.path("--remount-ro", destination),
        }
    }

    fn perms(&mut self, mode: u32) {
        self.literal("--perms");
        self.literal(format!("{mode:04o}").as_str());
    }

    /// By descriptor where bwrap can, so that what was checked is what is mounted.
    fn bind(&mut self, source: &Source, destination: &Path, access: Access) {
        let (by_fd, by_path) = match access {
            Access::Read => ("--ro-bind-fd", "--ro-bind"),
            Access::Write => ("--bind-fd", "--bind"),
        };
        match source {
            Source::Beneath { root, path } if self.bwrap.has(by_fd) => {
                self.literal(by_fd);
                self.args.push(Arg::Fd(FdSource::Path {
                    beneath: (&**root).into(),
                    path: (&**path).into(),
                }));
            }
            Source::Session(path) if self.bwrap.has(by_fd) => {
                self.literal(by_fd);
                self.args.push(Arg::Fd(FdSource::Session((&**path).into())));
            }
            Source::Session(path) => {
                self.literal(by_path);
                self.args.push(Arg::Session((&**path).into()));
            }
            Source::Beneath { .. } | Source::Trusted(_) => self.path(by_path, &source.path()),
        }
        self.literal(destination);
    }
}
