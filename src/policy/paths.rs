//! Paths as profiles and command lines write them: `~`, variables, dots. It must never look at
//! the disk.
#![forbid(unsafe_code)]

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};
use crate::profile::settings::{Origin, Settled};
use crate::visible::visible;

/// Whether `path` is `root` or below it. Both must be absolute and clean: then bytes decide, and
/// [`Path::starts_with`], which splits both again, took a third of the time to settle a policy.
pub(super) fn is_below(path: &Path, root: &Path) -> bool {
    let (path, root) = (path.as_os_str().as_bytes(), root.as_os_str().as_bytes());
    match path.strip_prefix(root) {
        Some(rest) => rest.is_empty() || rest[0] == b'/' || root == b"/",
        None => false,
    }
}

/// What `~` and `${...}` stand for in a profile.
#[derive(Clone, Copy, Debug)]
pub struct Variables<'a> {
    /// `~` and `${HOME}`
    pub home: &'a Path,
    /// `${PROJECT}`
    pub project: &'a Path,
}

impl Variables<'_> {
    /// A path of a profile, absolute and clean.
    ///
    /// # Errors
    /// When it is relative, or names an unknown variable; with the place it was written at.
    pub fn path(&self, text: &Settled<String>) -> Result<PathBuf> {
        let path = self.expand(text)?;
        if path.is_absolute() {
            return Ok(clean(&path));
        }
        Err(Error::usage(format!(
            "{}: `{}` is a relative path",
            place(&text.origin),
            visible(&text.value)
        ))
        .hint("start it with `/`, `~/` or `${PROJECT}/`"))
    }

    /// A value of a profile: `~/` at its beginning, `${HOME}` and `${PROJECT}` at its beginning.
    /// (Only there, since a path is bytes and the text around it is not.)
    ///
    /// # Errors
    /// When a variable in it is unknown.
    pub fn expand(&self, text: &Settled<String>) -> Result<PathBuf> {
        let value = text.value.as_str();
        let roots = [("~", self.home), ("${HOME}", self.home), ("${PROJECT}", self.project)];
        for (name, root) in roots {
            match value.strip_prefix(name) {
                Some("") => return Ok(root.to_owned()),
                Some(rest) if rest.starts_with('/') => {
                    return Ok(root.join(rest.trim_start_matches('/')));
                }
                _ => {}
            }
        }
        if value.starts_with('~') || value.contains("${") {
            return Err(Error::usage(format!(
                "{}: `{}` is not understood",
                place(&text.origin),
                visible(value)
            ))
            .hint("a value may begin with `~/`, `${HOME}/` or `${PROJECT}/`; nothing else is replaced"));
        }
        Ok(PathBuf::from(value))
    }
}

/// The path without `.`, and with `..` taken back (by name: for a path that was canonical, or that
/// is compared only).
pub fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}

/// `FILE:LINE`, or the option.
pub fn place(origin: &Origin) -> String {
    if origin.line == 0 {
        visible(&origin.source)
    } else {
        format!("{}:{}", visible(&origin.source), origin.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::settings::LayerKind;
    use proptest::prelude::*;

    fn settled(value: &str) -> Settled<String> {
        let origin = Origin { layer: LayerKind::User, source: "/c/x.toml".into(), line: 3 };
        Settled { value: value.into(), origin }
    }

    #[test]
    fn the_home_and_the_project_are_known() {
        let vars = Variables { home: Path::new("/home/u"), project: Path::new("/p q") };
        let path = |text| vars.path(&settled(text)).unwrap();
        assert_eq!(path("~"), Path::new("/home/u"));
        assert_eq!(path("~/.x/./y/"), Path::new("/home/u/.x/y"));
        assert_eq!(path("${PROJECT}/../z"), Path::new("/z"));
        assert_eq!(vars.expand(&settled("a~b")).unwrap(), Path::new("a~b"));
        let error = vars.path(&settled("~other/x")).unwrap_err();
        assert_eq!(error.to_string(), "/c/x.toml:3: `~other/x` is not understood");
        assert!(vars.path(&settled("x")).unwrap_err().to_string().contains("relative"));
        assert!(vars.expand(&settled("a${FOO}")).is_err());
    }

    proptest! {
        #[test]
        fn below_means_what_path_says(path in "(/[ab]{1,2}){0,4}", root in "(/[ab]{1,2}){0,3}") {
            let (path, root) = (clean(Path::new(&format!("/{path}"))), clean(Path::new(&format!("/{root}"))));
            prop_assert_eq!(is_below(&path, &root), path.starts_with(&root));
        }
    }
}
