//! Writes a new profile of the user's own. It must never replace a file that somebody wrote, unless it
//! is told to, and never write a text that is no profile.

use std::fs;
use std::path::PathBuf;

use super::edit;
use super::library::Library;
use super::origin::LayerKind;
use super::schema::Profile;
use super::source::Source;
use super::values;
use crate::error::{Error, Result, Tried as _};
use crate::visible::visible_path;

/// A profile that is to be written.
#[derive(Clone, Debug)]
pub(crate) struct New {
    path: PathBuf,
    force: bool,
}

impl New {
    /// Looks whether a profile of this name can be written.
    ///
    /// # Errors
    /// When this is no name, or the name is taken and `force` does not say that this is meant.
    pub(crate) fn named(library: &Library, name: &str, force: bool) -> Result<Self> {
        values::check_profile_name(name).map_err(|what| {
            let mut lines = what.lines();
            let error = Error::usage(lines.next().unwrap_or_default());
            lines.fold(error, Error::hint)
        })?;
        let new = Self { path: library.user.join(format!("{name}.toml")), force };
        if force {
            return Ok(new);
        }
        new.refuse_existing()?;
        if !library.files(name)?.is_empty() {
            return Err(Error::usage(format!(
                "there is a profile `{name}` already: a file of yours would be laid over it"
            ))
            .hint(format!("`claudebox profile show {name}` prints it"))
            .hint("choose another name, or say --force if that is what you want"));
        }
        Ok(new)
    }

    fn refuse_existing(&self) -> Result<()> {
        if fs::symlink_metadata(&self.path).is_err() {
            return Ok(());
        }
        Err(Error::usage(format!("{} is there already", visible_path(&self.path)))
            .hint("choose another name, or replace it with --force"))
    }

    /// Writes it; answers with the file.
    ///
    /// # Errors
    /// When the text is no profile, somebody else has written the file meanwhile, or it cannot be written.
    pub(crate) fn write(&self, text: &str) -> Result<PathBuf> {
        let shown = visible_path(&self.path);
        Source::new(LayerKind::User, shown.clone(), text.as_bytes().to_vec())?
            .parse::<Profile>()?;
        if !self.force {
            self.refuse_existing()?;
        }
        // A profile may be a link into a directory that is kept elsewhere.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let is_new = !path.exists();
        edit::write(&path, text, is_new).tried(|| format!("write {shown}"))?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    #[test]
    fn what_stands_there_stays() {
        let fixture = Fixture::new();
        let named = |name: &str, force| New::named(&fixture.library, name, force);
        let refused = |name: &str| fixture.shown(&named(name, false).unwrap_err());
        assert!(refused("../x").starts_with("`../x` is not the name of a profile\nhint: "));
        assert!(refused("claude").starts_with("there is a profile `claude` already"));
        let new = named("mine", false).unwrap();
        assert!(new.write("x = 1\n").is_err(), "this is no profile");
        let path = new.write("git = \"none\"\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "git = \"none\"\n");
        assert!(new.write("").is_err(), "it came meanwhile");
        assert!(refused("mine").starts_with("/user/profiles/mine.toml is there already"));
        named("mine", true).unwrap().write("").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
    }

    #[test]
    fn a_link_to_nothing_is_a_file_of_somebody() {
        let fixture = Fixture::new();
        let link = fixture.path("user/profiles/mine.toml");
        std::os::unix::fs::symlink("/nothing", link).unwrap();
        assert!(New::named(&fixture.library, "mine", false).is_err());
    }
}
