//! Machines, profiles and projects for tests.

use std::path::Path;

use super::invocation::Invocation;
use super::{Policy, explain, project, resolve};
use crate::dirs::Dirs;
use crate::error::Result;
use crate::host::fake::FakeDisk;
use crate::host::{Bwrap, Cgroups, Host};
use crate::profile::origin::{LayerKind, Origin, Settled};
use crate::profile::settings::Settings;
use crate::sandbox::compile;

/// A value of line `line` of a user's profile.
pub(crate) fn at<T>(line: usize, value: T) -> Settled<T> {
    let origin = Origin { layer: LayerKind::User, source: "test.toml".into(), line };
    Settled { value, origin }
}

/// Several of them.
pub(crate) fn list(line: usize, values: &[&str]) -> Vec<Settled<String>> {
    values.iter().map(|value| at(line, (*value).to_owned())).collect()
}

/// One session that could be.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) disk: FakeDisk,
    pub(crate) host: Host,
    pub(crate) settings: Settings,
    pub(crate) invocation: Invocation,
}

impl Case {
    /// Debian: merged /usr, a user with a project.
    pub(crate) fn debian() -> Self {
        let disk = FakeDisk::of(1000)
            .program("/usr/bin/sh", "\x7fELF")
            .program("/usr/bin/env", "\x7fELF")
            .dir("/usr/lib")
            .link("/bin", "usr/bin")
            .link("/lib", "usr/lib")
            .file("/etc/passwd", "")
            .link("/etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf")
            .file("/run/systemd/resolve/stub-resolv.conf", "")
            .dir("/proc/sys")
            .program("/opt/claudebox", "\x7fELF");
        Self::on(disk)
    }

    /// NixOS: nothing but links, no /usr/lib.
    pub(crate) fn nixos() -> Self {
        let system = "/nix/store/abc-system";
        let disk = FakeDisk::of(1000)
            .program("/nix/store/sh/bin/sh", "\x7fELF")
            .link("/bin/sh", "/nix/store/sh/bin/sh")
            .link("/usr/bin/env", "/nix/store/env/bin/env")
            .program("/nix/store/env/bin/env", "\x7fELF")
            .link(format!("{system}/sw/bin/sh"), "/nix/store/sh/bin/sh")
            .link("/run/current-system", system)
            .link("/etc/static", "/nix/store/etc")
            .file("/nix/store/etc/passwd", "")
            .link("/etc/passwd", "/etc/static/passwd")
            .program("/nix/store/claudebox/bin/claudebox", "\x7fELF");
        let mut case = Self::on(disk);
        case.host.executable = "/nix/store/claudebox/bin/claudebox".into();
        let path = "/run/current-system/sw/bin:/home/u/.nix-profile/bin";
        case.host.environment.insert("PATH".into(), path.into());
        case
    }

    /// A machine with a project and claudebox, and no system.
    pub(crate) fn empty() -> Self {
        Self::on(FakeDisk::of(1000).program("/opt/claudebox", "\x7fELF"))
    }

    fn on(disk: FakeDisk) -> Self {
        let disk = disk
            .dir("/home/u/.ssh")
            .file("/home/u/p/.git/HEAD", "")
            .file("/home/u/p/.git/config", "")
            .dir("/home/u/p/.git/hooks")
            .dir("/home/u/p/.git/info")
            .dir("/home/u/p/sub");
        let environment = [("HOME", "/home/u"), ("PATH", "/usr/bin"), ("USER", "u"), ("TERM", "t")];
        let host = Host {
            user: "u".into(),
            uid: 1000,
            gid: 1000,
            home: "/home/u".into(),
            environment: environment.map(|(name, value)| (name.into(), value.into())).into(),
            cwd: "/home/u/p/sub".into(),
            named: None,
            executable: "/opt/claudebox".into(),
            dirs: Dirs {
                config: "/home/u/.config/claudebox".into(),
                state: "/home/u/.local/state/claudebox".into(),
                cache: "/home/u/.cache/claudebox".into(),
                runtime: "/run/user/1000/claudebox".into(),
            },
            bwrap: Some(bwrap(&["--disable-userns", "--size", "--bind-fd", "--ro-bind-fd"])),
            landlock_abi: 7,
            kernel: "6.18".into(),
            name: "pc".into(),
            memory: 16 << 30,
            cgroups: Cgroups::default(),
            terminal: None,
        };
        let parts = [
            "/usr",
            "/bin",
            "/lib",
            "/lib64",
            "/etc/passwd",
            "/etc/resolv.conf",
            "/etc/static",
            "/run/current-system",
        ];
        let settings = Settings {
            name: "test".into(),
            command: Some(at(2, vec!["sh".into()])),
            system: list(10, &parts),
            pass: list(20, &["TERM"]),
            ..Settings::default()
        };
        Self { disk, host, settings, invocation: Invocation::default() }
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(crate) fn disk(mut self, change: impl FnOnce(FakeDisk) -> FakeDisk) -> Self {
        self.disk = change(self.disk);
        self
    }

    pub(crate) fn policy(&self) -> Result<Policy> {
        let project = project::find(self.invocation.project.as_deref(), &self.host, &self.disk)?;
        resolve(&self.settings, &self.invocation, &self.host, &project, &self.disk)
    }

    /// The mounts as `explain` words them.
    pub(crate) fn mounts(&self) -> String {
        let text = explain::text(&self.policy().unwrap());
        let mounts = text.split("mounts, in order\n").nth(1).unwrap();
        let mounts = mounts.split("\n\n").next().unwrap();
        mounts.replace(&self.private_home(), "PRIVATE")
    }

    pub(crate) fn private_home(&self) -> String {
        self.policy().unwrap().private_home.display().to_string()
    }

    /// The bwrap command.
    pub(crate) fn bwrap(&self) -> String {
        let plan = compile::plan(&self.policy().unwrap(), &self.host).unwrap();
        explain::bwrap(&plan).replace(&self.private_home(), "PRIVATE")
    }

    /// The error and its hints.
    pub(crate) fn error(&self) -> String {
        let error = self.policy().map(|_| ()).unwrap_err();
        let hints = error.hints().iter().map(|hint| format!("\nhint: {hint}"));
        format!("{error}{}", hints.collect::<String>())
    }
}

/// A bwrap that has what every bwrap has, and these.
pub(crate) fn bwrap(more: &[&str]) -> Bwrap {
    let always = compile::NEEDED.iter().copied();
    Bwrap {
        path: Path::new("/usr/bin/bwrap").into(),
        options: always.chain(more.iter().copied()).map(str::to_owned).collect(),
        setuid: false,
    }
}
