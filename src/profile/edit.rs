//! Adds an allowed host to a profile of the user's own. What a person wrote there stays as it is,
//! comments and all. It must never write a file that is no profile, and never change one that is
//! not the user's.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use toml_edit::{Array, DocumentMut, Item, Table, TomlError, Value};

use super::library::{self, Library};
use super::origin::LayerKind;
use super::schema::Profile;
use super::source::Source;
use super::values;
use crate::error::{Error, Result, Tried as _};
use crate::visible::{visible, visible_path};

/// What became of the user's profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// Its file.
    pub path: PathBuf,
    /// It did not say so before.
    pub changed: bool,
}

/// Adds a rule to `network.allow` of the user's layer of the profile `name`, which is made if there is
/// none.
///
/// # Errors
/// When there is no profile of that name (it was a file), or the user's layer is broken or cannot be
/// written.
pub fn allow_always(library: &Library, name: &str, rule: &str) -> Result<Edited> {
    let path = library.user.join(format!("{name}.toml"));
    let by_hand = format!("or write it yourself: `allow = [\"{}\"]` in `[network]`", visible(rule));
    if values::check_profile_name(name).is_err() || library.files(name)?.is_empty() {
        let shown = visible(name);
        return Err(Error::usage(format!(
            "there is no profile of the name `{shown}`: it was a file"
        ))
        .hint(by_hand.replace("or write", "write")));
    }
    // A profile may be a link into a directory that is kept elsewhere.
    let path = fs::canonicalize(&path).unwrap_or(path);
    let old = library::read(&path)?;
    let shown = visible_path(&path);
    let is_new = old.is_none();
    let source = Source::new(LayerKind::User, shown.clone(), old.unwrap_or_default())?;
    let Some(text) = with_allowed(source.text(), rule).map_err(|unfit| unfit.error(&source))?
    else {
        return Ok(Edited { path, changed: false });
    };
    // What is written must be what the next session can read.
    Source::new(LayerKind::User, shown.clone(), text.clone().into_bytes())?.parse::<Profile>()?;
    write(&path, &text, is_new)
        .tried(|| format!("write {shown}"))
        .map_err(|error| error.hint(by_hand))?;
    Ok(Edited { path, changed: true })
}

/// Writes a file whole, or not at all; one that stands there keeps its mode.
pub(super) fn write(path: &Path, text: &str, is_new: bool) -> std::io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory)?;
    let mut file = NamedTempFile::new_in(directory)?;
    let mode = if is_new { 0o644 } else { fs::metadata(path)?.permissions().mode() & 0o777 };
    file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Why a file cannot be added to.
#[derive(Debug)]
enum Unfit {
    /// It is no TOML.
    Toml(TomlError),
    /// This key is of another type.
    Type(&'static str),
}

impl Unfit {
    fn error(&self, source: &Source) -> Error {
        match self {
            Self::Toml(err) => {
                source.error(err.span().unwrap_or(0..0), &err.message().replace('\n', ", "))
            }
            Self::Type(key) => Error::usage(format!("cannot add to `{key}` in {}", source.name))
                .hint(format!("`claudebox profile check` says what is wrong with `{key}`")),
        }
    }
}

/// The text with the rule in `network.allow`; `None` where it is there already.
fn with_allowed(text: &str, rule: &str) -> Result<Option<String>, Unfit> {
    let mut document: DocumentMut = text.parse().map_err(Unfit::Toml)?;
    if document.get("network").is_none() {
        // Behind everything, the comments at the end of the file included.
        let end = document.trailing().as_str().unwrap_or_default().to_owned();
        let gap = if text.trim().is_empty() { "" } else { "\n" };
        let mut table = Table::new();
        table.decor_mut().set_prefix(format!("{end}{gap}"));
        document.set_trailing("");
        document.insert("network", Item::Table(table));
    }
    let network = document.get_mut("network").ok_or(Unfit::Type("network"))?;
    let network = network.as_table_like_mut().ok_or(Unfit::Type("network"))?;
    let allow = network.entry("allow").or_insert(Item::Value(Value::Array(Array::new())));
    let allow = allow.as_array_mut().ok_or(Unfit::Type("network.allow"))?;
    if allow.iter().any(|known| known.as_str() == Some(rule)) {
        return Ok(None);
    }
    push(allow, rule);
    Ok(Some(document.to_string()))
}

/// Adds to a list as it is written: a list of one line stays one, and in one of several lines each
/// entry keeps its line and the comment behind it.
fn push(allowed: &mut Array, rule: &str) {
    let raw = |raw: Option<&toml_edit::RawString>| {
        raw.and_then(toml_edit::RawString::as_str).unwrap_or_default().to_owned()
    };
    let last = allowed.len().checked_sub(1);
    let Some(before) = last.and_then(|last| allowed.get_mut(last)) else {
        allowed.push(rule);
        return;
    };
    let prefix = raw(before.decor().prefix());
    let Some((_, indent)) = prefix.rsplit_once('\n') else {
        allowed.push(rule);
        return;
    };
    // Behind the last entry: what stands before its comma, or before the bracket.
    let suffix = raw(before.decor().suffix());
    before.decor_mut().set_suffix("");
    let trailing = allowed.trailing().as_str().unwrap_or_default().to_owned();
    let behind = suffix + &trailing;
    let (comment, closing) = behind.rsplit_once('\n').unwrap_or((&behind, ""));
    let mut value = Value::from(rule);
    value.decor_mut().set_prefix(format!("{}\n{indent}", comment.trim_end()));
    allowed.push_formatted(value);
    allowed.set_trailing_comma(true);
    allowed.set_trailing(format!("\n{closing}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(text: &str) -> String {
        with_allowed(text, "pypi.org").unwrap().unwrap()
    }

    #[test]
    fn a_profile_that_is_not_there_is_made() {
        assert_eq!(added(""), "[network]\nallow = [\"pypi.org\"]\n");
    }

    #[test]
    fn what_a_person_wrote_stays() {
        let text = "# mine\ngit = \"shared\" # yes\n\n[agent]\nprograms = [ 'x' ]\n";
        assert_eq!(added(text), format!("{text}\n[network]\nallow = [\"pypi.org\"]\n"));
        let text = "# only a comment\n";
        assert_eq!(added(text), format!("{text}\n[network]\nallow = [\"pypi.org\"]\n"));
        let text = "git = \"shared\"\n\n# the end\n";
        assert_eq!(added(text), format!("{text}\n[network]\nallow = [\"pypi.org\"]\n"));
        assert_eq!(
            added("[network] # the net\nmode = \"allow\"\n\n[files]\n"),
            "[network] # the net\nmode = \"allow\"\nallow = [\"pypi.org\"]\n\n[files]\n"
        );
        assert_eq!(
            added("network.mode = \"allow\"\n[files]\n"),
            "network.mode = \"allow\"\nnetwork.allow = [\"pypi.org\"]\n[files]\n"
        );
    }

    #[test]
    fn a_list_keeps_its_form() {
        assert_eq!(
            added("network.allow = [\"a.test\", 'b.test']\n"),
            "network.allow = [\"a.test\", 'b.test', \"pypi.org\"]\n"
        );
        assert_eq!(
            added("[network]\nallow = [\n  # one\n  \"a.test\", # why\n  # end\n]\n"),
            "[network]\nallow = [\n  # one\n  \"a.test\", # why\n  # end\n  \"pypi.org\",\n]\n"
        );
        assert_eq!(
            added("[network]\nallow = [\n  \"a.test\" # why\n]\n"),
            "[network]\nallow = [\n  \"a.test\", # why\n  \"pypi.org\",\n]\n"
        );
    }

    /// The longest files there are, comments and all.
    #[test]
    fn no_line_of_a_built_in_profile_is_lost() {
        for name in super::super::builtin::names() {
            let text = super::super::builtin::text(name).unwrap();
            let new = with_allowed(text, "only-here.test").unwrap().unwrap();
            let mut lines = new.lines();
            for line in text.lines().filter(|line| !line.contains("allow = [")) {
                assert!(lines.any(|new| new == line), "{name}: {line}\n{new}");
            }
            let source = Source::new(LayerKind::User, name, new.into_bytes()).unwrap();
            let allow = source.parse::<Profile>().unwrap().network.unwrap().allow.unwrap();
            assert!(allow.iter().any(|rule| rule.get_ref().as_str() == "only-here.test"));
        }
    }

    #[test]
    fn what_is_there_is_not_written_again() {
        assert!(with_allowed("network.allow = ['pypi.org']", "pypi.org").unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_added_to_is_left_alone() {
        for text in ["network = 1", "network.allow = \"x\"", "network = ["] {
            assert!(with_allowed(text, "pypi.org").is_err(), "{text}");
        }
    }

    #[test]
    fn a_link_stays_a_link_and_a_mode_stays() {
        use std::os::unix::fs::symlink;

        let fixture = super::super::fixture::Fixture::new();
        let library = &fixture.library;
        let kept = library.user.join("../dotfiles.toml");
        fs::create_dir_all(&library.user).unwrap();
        fs::write(&kept, "# mine\n").unwrap();
        fs::set_permissions(&kept, fs::Permissions::from_mode(0o640)).unwrap();
        let link = library.user.join("default.toml");
        symlink(&kept, &link).unwrap();
        assert!(allow_always(library, "default", "pypi.org").unwrap().changed);
        assert!(link.is_symlink());
        let text = fs::read_to_string(&kept).unwrap();
        assert_eq!(text, "# mine\n\n[network]\nallow = [\"pypi.org\"]\n");
        assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(!allow_always(library, "default", "pypi.org").unwrap().changed);
        // What cannot be written says what to write by hand.
        let error = allow_always(library, "nope", "pypi.org").unwrap_err();
        assert!(error.hints().concat().contains("allow = [\"pypi.org\"]"), "{error}");
    }
}
