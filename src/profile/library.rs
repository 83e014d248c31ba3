//! Where profiles are: built in, in the system's directory, in the user's, or any file that the
//! user names. It only reads; what a file may say is not its business.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::groups::Groups;
use super::origin::LayerKind;
use super::source::Source;
use super::{builtin, values};
use crate::error::{Error, Result, Tried as _};
use crate::host::Host;
use crate::visible::visible_path;

/// A profile is read whole; nothing that a person wrote is larger.
pub(super) const MAX_SIZE: u64 = 1 << 20;

/// The directories in which profiles are looked up by name. A value, so that tests have their own.
#[derive(Clone, Debug)]
pub struct Library {
    /// Normally `/etc/claudebox/profiles`.
    pub system: PathBuf,
    /// Normally `$XDG_CONFIG_HOME/claudebox/profiles`.
    pub user: PathBuf,
    /// Files of groups ([`super::groups`]), the system's before the user's.
    pub groups: [(LayerKind, PathBuf); 2],
    /// `~` in `extends`.
    pub home: PathBuf,
}

/// A profile's text and the file it is in; none for a built-in.
#[derive(Clone, Debug)]
pub struct Found {
    /// The text.
    pub source: Source,
    /// The file.
    pub path: Option<PathBuf>,
}

/// A profile's file, which may be no profile at all.
pub(super) struct Unread {
    pub(super) kind: LayerKind,
    shown: String,
    path: Option<PathBuf>,
    pub(super) bytes: Vec<u8>,
}

impl Unread {
    /// Whether it could be made for this program. Only of what ships is it known how it is written;
    /// all of it would have to be parsed at each start otherwise.
    pub(super) fn may_name(&self, program: Option<&OsStr>) -> bool {
        self.kind != LayerKind::BuiltIn
            || program.is_some_and(|program| builtin::quotes(&self.bytes, program))
    }

    pub(super) fn found(self) -> Result<Found> {
        let source = Source::new(self.kind, self.shown, self.bytes)?;
        Ok(Found { source, path: self.path })
    }
}

impl Library {
    /// The directories of this machine and user.
    pub fn of(host: &Host) -> Self {
        Self {
            system: PathBuf::from("/etc/claudebox/profiles"),
            user: host.dirs.config.join("profiles"),
            groups: [
                (LayerKind::System, PathBuf::from("/etc/claudebox/groups.toml")),
                (LayerKind::User, host.dirs.config.join("groups.toml")),
            ],
            home: host.home.clone(),
        }
    }

    /// All that has this name, weakest first: the built-in, the system's, the user's. A profile of
    /// the user does not replace a built-in of the same name, it is laid over it. Empty where
    /// there is none.
    pub fn named(&self, name: &str) -> Result<Vec<Found>> {
        self.files(name)?.into_iter().map(Unread::found).collect()
    }

    /// The same, with nothing known of what is in them.
    pub(super) fn files(&self, name: &str) -> Result<Vec<Unread>> {
        Self::files_in(name, self.directories())
    }

    /// All profiles by their names, sorted, with nothing known of what is in them. Each directory is asked for
    /// its names once; to look for each built-in profile in each took as long as to read what is taken.
    ///
    /// # Errors
    /// When a directory cannot be listed; with each profile, when its file cannot be read.
    pub(super) fn all(&self) -> Result<impl Iterator<Item = (String, Result<Vec<Unread>>)>> {
        let listed = self.listed()?;
        Ok(every_name(&listed).into_iter().map(move |name| {
            let holding = self.directories().into_iter().zip(&listed);
            let holding = holding.filter(|(_, names)| names.contains(&name));
            let files = Self::files_in(&name, holding.map(|(directory, _)| directory));
            (name, files)
        }))
    }

    /// Where profiles are looked up, weakest first.
    fn directories(&self) -> [(LayerKind, &PathBuf); 2] {
        [(LayerKind::System, &self.system), (LayerKind::User, &self.user)]
    }

    /// The names in each of the [`Self::directories`].
    fn listed(&self) -> Result<[Vec<String>; 2]> {
        Ok([names_in(&self.system)?, names_in(&self.user)?])
    }

    fn files_in<'a>(
        name: &str,
        directories: impl IntoIterator<Item = (LayerKind, &'a PathBuf)>,
    ) -> Result<Vec<Unread>> {
        let mut files = Vec::new();
        if let Some(text) = builtin::text(name) {
            let shown = format!("{name}.toml (built in)");
            let kind = LayerKind::BuiltIn;
            files.push(Unread { kind, shown, path: None, bytes: text.into() });
        }
        if values::check_profile_name(name).is_err() {
            return Ok(files);
        }
        for (kind, dir) in directories {
            let path = dir.join(format!("{name}.toml"));
            if let Some(bytes) = read(&path)? {
                files.push(Unread { kind, shown: visible_path(&path), path: Some(path), bytes });
            }
        }
        Ok(files)
    }

    /// All groups of this machine and user.
    ///
    /// # Errors
    /// When a file of them cannot be read, or has a mistake.
    pub fn named_groups(&self) -> Result<Groups> {
        let sources: Vec<Source> = self.groups()?.into_iter().map(|(source, _)| source).collect();
        Groups::read(&sources)
    }

    /// The files of groups that there are, weakest first, and where they are.
    pub(super) fn groups(&self) -> Result<Vec<(Source, Option<PathBuf>)>> {
        let built_in = builtin::GROUPS.into();
        let built_in = Source::new(LayerKind::BuiltIn, "groups.toml (built in)", built_in)?;
        let mut sources = vec![(built_in, None)];
        for (kind, path) in &self.groups {
            if let Some(bytes) = read(path)? {
                let source = Source::new(*kind, visible_path(path), bytes)?;
                sources.push((source, Some(path.clone())));
            }
        }
        Ok(sources)
    }

    /// The profile in this file, absolute; `None` where there is none.
    pub fn file(&self, path: &Path, kind: LayerKind) -> Result<Option<Found>> {
        let Some(bytes) = read(path)? else { return Ok(None) };
        let source = Source::new(kind, visible_path(path), bytes)?;
        Ok(Some(Found { source, path: Some(path.to_owned()) }))
    }

    /// The names of all profiles, sorted.
    pub fn names(&self) -> Result<BTreeSet<String>> {
        Ok(every_name(&self.listed()?))
    }

    /// A path of a profile with its `~`, or relative to `base`, absolute.
    pub(super) fn absolute(&self, path: &Path, base: &Path) -> PathBuf {
        match path.strip_prefix("~") {
            Ok(rest) => self.home.join(rest),
            Err(_) => base.join(path),
        }
    }
}

/// The names of the built-in profiles and of those in directories.
fn every_name(listed: &[Vec<String>]) -> BTreeSet<String> {
    builtin::names().map(str::to_owned).chain(listed.iter().flatten().cloned()).collect()
}

/// The names of the `NAME.toml` of a directory. Files whose name is no profile's are none.
fn names_in(dir: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(err) if is_absent(&err) => return Ok(Vec::new()),
        Err(err) => {
            return Err(err).tried(|| format!("list the profiles in {}", visible_path(dir)));
        }
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.tried(|| format!("list the profiles in {}", visible_path(dir)))?;
        let file = entry.file_name();
        let name = file.to_str().and_then(|file| file.strip_suffix(".toml"));
        names.extend(
            name.filter(|name| values::check_profile_name(name).is_ok()).map(str::to_owned),
        );
    }
    Ok(names)
}

/// A file's bytes; `None` where there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let text = match fs::metadata(path) {
        Ok(meta) if !meta.is_file() => {
            return Err(Error::usage(format!("{} is not a regular file", visible_path(path))));
        }
        Ok(meta) if meta.len() > MAX_SIZE => {
            return Err(Error::usage(format!("{} is larger than 1 MiB", visible_path(path))));
        }
        Ok(_) => fs::read(path),
        Err(err) => Err(err),
    };
    match text {
        Ok(bytes) => Ok(Some(bytes)),
        Err(err) if is_absent(&err) => Ok(None),
        Err(err) => Err(err).tried(|| format!("read {}", visible_path(path))),
    }
}

fn is_absent(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
