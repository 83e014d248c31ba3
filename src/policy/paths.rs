//! Paths as profiles and command lines write them: `~`, variables, dots. It must never look at
//! the disk.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::lexical::clean;
use crate::profile::origin::{Origin, Settled};
use crate::visible::{visible, visible_path};

/// Where what the agent is told is, inside: what `${NOTE-FILE}` stands for. Nothing can be put
/// in its place: `/run` is read-only.
pub(super) const NOTE_FILE: &str = "/run/claudebox.md";
/// How a profile names it.
pub(super) const NAME_OF_NOTE_FILE: &str = "${NOTE-FILE}";

/// For agents that take a directory and look there for what they obey: what `${NOTE-DIRECTORY}` stands
/// for. Nothing can be put beside it.
pub(super) const NOTE_DIRECTORY: &str = "/run/claudebox-note";
/// How a profile names it.
pub(super) const NAME_OF_NOTE_DIRECTORY: &str = "${NOTE-DIRECTORY}";

/// The path as seen from the home, where it must be below.
pub(super) fn below_home(home: &Path, path: &Path, entry: &Settled<String>) -> Result<PathBuf> {
    match path.strip_prefix(home) {
        Ok(rest) if !rest.as_os_str().is_empty() => Ok(rest.to_owned()),
        _ => Err(Error::usage(format!(
            "{}: {} is not below the home",
            place(&entry.origin),
            visible_path(path)
        ))
        .hint("for other places there is `files.read-write`")),
    }
}

/// What `~` and `${...}` stand for in a profile.
#[derive(Clone, Copy, Debug)]
pub struct Variables<'a> {
    /// `~` and `${HOME}`
    pub home: &'a Path,
    /// `${PROJECT}`
    pub project: &'a Path,
    /// The directory that the agent starts in, relative to the project.
    pub start: &'a Path,
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
    /// (Only there, since a path is bytes and the text around it is not.) `${PROJECT-SLUG}` and
    /// `${START-SLUG}`, by which an agent calls the project and the directory it is started in, are
    /// text and may stand anywhere; so are `${NOTE-FILE}` and `${NOTE-DIRECTORY}`, where it is told of the
    /// sandbox.
    ///
    /// # Errors
    /// When a variable in it is unknown.
    pub fn expand(&self, text: &Settled<String>) -> Result<PathBuf> {
        let mut value = Cow::from(&text.value);
        if value.contains("-SLUG}") {
            let start = clean(&self.project.join(self.start));
            let named = value.replace("${PROJECT-SLUG}", &slug(self.project));
            value = named.replace("${START-SLUG}", &slug(&start)).into();
        }
        for (name, path) in
            [(NAME_OF_NOTE_FILE, NOTE_FILE), (NAME_OF_NOTE_DIRECTORY, NOTE_DIRECTORY)]
        {
            if value.contains(name) {
                value = value.replace(name, path).into();
            }
        }
        let value = &*value;
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

/// The longest slug that is not cut, in characters.
const LONGEST_SLUG: usize = 200;

/// A directory's path as Claude Code (2.1) and agents like it make a name of it: whatever is no
/// letter or digit of ASCII becomes `-`; what is too long is cut, and ends in a hash.
fn slug(path: &Path) -> String {
    // As JavaScript has it: by units of UTF-16.
    let units: Vec<u16> = path.to_string_lossy().encode_utf16().collect();
    let letter = |unit: &u16| u8::try_from(*unit).ok().filter(u8::is_ascii_alphanumeric);
    let slug: String = units.iter().map(|unit| letter(unit).map_or('-', char::from)).collect();
    if slug.len() <= LONGEST_SLUG {
        return slug;
    }
    let hash = units
        .iter()
        .fold(0_i32, |hash, unit| (hash << 5).wrapping_sub(hash).wrapping_add(i32::from(*unit)));
    format!("{}-{}", &slug[..LONGEST_SLUG], base_36(hash.unsigned_abs()))
}

fn base_36(mut number: u32) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit(number % 36, 36).unwrap_or('0'));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

/// `FILE:LINE`, or the option.
pub fn place(origin: &Origin) -> String {
    origin.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::origin::LayerKind;

    fn settled(value: &str) -> Settled<String> {
        let origin = Origin { layer: LayerKind::User, source: "/c/x.toml".into(), line: 3 };
        Settled { value: value.into(), origin }
    }

    #[test]
    fn the_home_and_the_project_are_known() {
        let vars = Variables {
            home: Path::new("/home/u"),
            project: Path::new("/p q"),
            start: Path::new("s.ü"),
        };
        let path = |text| vars.path(&settled(text)).unwrap();
        assert_eq!(path("~"), Path::new("/home/u"));
        assert_eq!(path("~/.x/./y/"), Path::new("/home/u/.x/y"));
        assert_eq!(path("${PROJECT}/../z"), Path::new("/z"));
        assert_eq!(path("~/.x/${PROJECT-SLUG}/m"), Path::new("/home/u/.x/-p-q/m"));
        assert_eq!(path("~/${START-SLUG}"), Path::new("/home/u/-p-q-s--"));
        assert_eq!(vars.expand(&settled("a~b")).unwrap(), Path::new("a~b"));
        let error = vars.path(&settled("~other/x")).unwrap_err();
        assert_eq!(error.to_string(), "/c/x.toml:3: `~other/x` is not understood");
        assert!(vars.path(&settled("x")).unwrap_err().to_string().contains("relative"));
        assert!(vars.expand(&settled("a${FOO}")).is_err());
    }

    /// What JavaScript makes of it: `Math.abs(hash).toString(36)` behind the first 200 characters.
    #[test]
    fn a_long_slug_ends_in_a_hash() {
        let long = format!("/{}", "ab/".repeat(100));
        let slug = slug(Path::new(&long));
        assert_eq!(slug.len(), 200 + 1 + 6);
        assert!(slug.ends_with("-eaqe35"), "{slug}");
        assert_eq!(self::slug(Path::new("/home/u/a b\u{1f600}")), "-home-u-a-b--");
    }
}
