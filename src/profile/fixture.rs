//! Directories with profiles, a project and a home, for tests of the edge.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::config::Config;
use super::library::Library;
use super::merge::{Layer, merge};
use super::origin::LayerKind;
use super::settings::Settings;
use super::{ProfileChoice, extends, select};
use crate::error::{Error, Result};
use crate::host::Host;

/// A machine in a temporary directory.
pub(super) struct Fixture {
    dir: TempDir,
    pub(super) library: Library,
    pub(super) host: Host,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let at = |name: &str| dir.path().canonicalize().unwrap().join(name);
        let library = Library {
            system: at("system"),
            user: at("user/profiles"),
            groups: [
                (LayerKind::System, at("system-groups.toml")),
                (LayerKind::User, at("user/groups.toml")),
            ],
            home: at("home"),
        };
        let mut host = Host { home: at("home"), cwd: at("project"), ..Host::default() };
        host.memory = 16 << 30;
        host.dirs.config = at("user");
        host.dirs.state = at("state");
        host.environment.insert("PATH".into(), at("bin").into());
        for place in ["system", "user/profiles", "home", "project", "bin"] {
            fs::create_dir_all(at(place)).unwrap();
        }
        Self { dir, library, host }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    /// Writes a file; directories on the way are made.
    pub(super) fn write(&self, name: &str, text: &str) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    pub(super) fn user(&self, name: &str, text: &str) -> &Self {
        self.write(&format!("user/profiles/{name}.toml"), text)
    }

    pub(super) fn layers(&self, name: &str) -> Result<Vec<Layer>> {
        extends::named(&self.library, name)
    }

    pub(super) fn settings(&self, name: &str) -> Settings {
        merge(self.layers(name).unwrap())
    }

    /// A run in the project, with the `config.toml` that was written, if any.
    pub(super) fn settle(&self, choice: &ProfileChoice, argv: &[&str]) -> Result<Settings> {
        let argv: Vec<_> = argv.iter().map(Into::into).collect();
        let config = Config::load(&self.host)?;
        let project = self.path("project");
        select::settle_from(&self.library, choice, &argv, &self.host, Some(&project), &config)
    }

    /// An error and its hints, with the temporary directory taken out.
    pub(super) fn shown(&self, error: &Error) -> String {
        let hints = error.hints().iter().map(|hint| format!("\nhint: {hint}"));
        let text = format!("{error}{}", hints.collect::<String>());
        text.replace(&self.path("").display().to_string(), "/")
    }
}

/// The files of layers, without their directories.
pub(super) fn files(layers: &[Layer]) -> Vec<&str> {
    let names = layers.iter().map(|layer| Path::new(&layer.source.name));
    names.map(|name| name.file_name().and_then(|name| name.to_str()).unwrap()).collect()
}
