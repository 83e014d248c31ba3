//! Finds the programs that run outside of every sandbox. It must never take one that the author of
//! a repository, or an agent that worked there, could have put on `PATH`.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use super::Host;

impl Host {
    /// A program that is to run outside, canonical: along the caller's `PATH`, but in no project. `also`:
    /// one more project that nothing is taken from. Who needs the program again, when an agent has run, keeps
    /// its path: another may have come to stand before it on `PATH`.
    pub(crate) fn program(&self, name: &str, also: Option<&Path>) -> Option<PathBuf> {
        let projects = self.projects(also)?;
        let found = which::which_in(name, Some(projects.left_of(&self.path())), &self.cwd).ok()?;
        fs::canonicalize(&found).ok().filter(|real| projects.leave(real))
    }

    /// The caller's `PATH` for such a program, which may look for others: what leads into a project is left
    /// out.
    pub(crate) fn path_outside(&self) -> OsString {
        self.projects(None).map(|projects| projects.left_of(&self.path())).unwrap_or_default()
    }

    fn projects(&self, also: Option<&Path>) -> Option<Projects> {
        Projects::of(&self.cwd, [self.named.as_deref(), also].into_iter().flatten())
    }

    /// The caller's `PATH`; where it has none, that of execvp(3).
    fn path(&self) -> OsString {
        let path = self.environment.get(OsStr::new("PATH")).cloned();
        path.unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into())
    }
}

/// Where no program is taken from.
pub(crate) struct Projects(Vec<PathBuf>);

impl Projects {
    /// The repository around `cwd`, and those that are named. `None` where `cwd` is gone.
    pub(crate) fn of<'a>(cwd: &Path, named: impl Iterator<Item = &'a Path>) -> Option<Self> {
        let cwd = fs::canonicalize(cwd).ok()?;
        let mut projects: Vec<PathBuf> =
            named.filter_map(|dir| fs::canonicalize(cwd.join(dir)).ok()).collect();
        let repository = cwd.ancestors().find(|dir| dir.join(".git").symlink_metadata().is_ok());
        projects.extend(repository.map(Path::to_owned));
        // Whose project is the whole machine has no program elsewhere.
        projects.retain(|dir| dir.parent().is_some());
        Some(Self(projects))
    }

    /// What is left of a `PATH`: entries that are relative or lead into a project are not.
    pub(crate) fn left_of(&self, path: &OsStr) -> OsString {
        let trusted = std::env::split_paths(path).filter(|entry| {
            entry.is_absolute() && fs::canonicalize(entry).is_ok_and(|real| self.leave(&real))
        });
        std::env::join_paths(trusted).unwrap_or_default()
    }

    /// Whether this is in none of them.
    fn leave(&self, real: &Path) -> bool {
        !self.0.iter().any(|project| real.starts_with(project))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn program(dir: &Path) -> PathBuf {
        fs::create_dir_all(dir).unwrap();
        let path = dir.join("tool");
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn a_repository_does_not_choose_its_own_programs() {
        let tmp = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(tmp.path()).unwrap();
        let project = root.join("project");
        fs::create_dir_all(project.join(".git")).unwrap();
        fs::create_dir_all(project.join("sub")).unwrap();
        program(&project.join("bin"));
        symlink(project.join("bin"), root.join("link")).unwrap();
        fs::create_dir(root.join("links")).unwrap();
        symlink(project.join("bin/tool"), root.join("links/tool")).unwrap();
        let host = |cwd: &Path, path: &[&Path]| {
            let path = std::env::join_paths(path).unwrap();
            Host { cwd: cwd.into(), environment: [("PATH".into(), path)].into(), ..Host::default() }
        };
        let (bin, named) = (project.join("bin"), Some(Path::new("project")));
        for entry in [&bin, &root.join("link"), &root.join("links"), Path::new("../bin")] {
            let inside = host(&project.join("sub"), &[entry]);
            assert_eq!(inside.program("tool", None), None, "{entry:?}");
            let outside = host(&root, &[entry]);
            assert_eq!(outside.program("tool", named), None, "{entry:?}");
            let outside = Host { named: named.map(Path::to_owned), ..outside };
            assert_eq!(outside.program("tool", None), None, "{entry:?}");
        }
        let own = program(&root.join("own"));
        let inside = host(&project, &[&bin, &root.join("own")]);
        assert_eq!(inside.program("tool", None), Some(own), "the next along PATH");
        assert!(host(&root, &[&bin]).program("tool", None).is_some(), "control");
    }

    #[test]
    fn what_is_left_of_a_path_leads_into_no_project() {
        let tmp = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(tmp.path()).unwrap();
        for dir in ["a", "p/bin", "b"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        symlink("p/bin", root.join("link")).unwrap();
        let projects = Projects::of(&root, [Path::new("p")].into_iter()).unwrap();
        let at = |name: &str| root.join(name);
        let path = [at("b"), at("p/bin"), at("link"), at("gone"), "x".into(), "".into(), at("a")];
        let left = projects.left_of(&std::env::join_paths(path).unwrap());
        assert_eq!(left, std::env::join_paths([at("b"), at("a")]).unwrap());
    }
}
