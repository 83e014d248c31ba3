//! From a profile to its layers: what it extends stands before it, each file once. Cycles and
//! missing parents are errors that point at the line which asks for them.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use super::directory::Directory;
use super::library::{Found, Library};
use super::merge::Layer;
use super::mistake;
use super::origin::LayerKind;
use super::schema::Profile;
use super::source::Source;
use super::values;
use crate::error::{Error, Result};
use crate::visible::{visible, visible_path};

/// More than anybody nests; a stranger's chain of files must not exhaust the stack.
const MAX_DEPTH: usize = 32;

/// What one step of `extends` names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Everything of this name in the library.
    Named(String),
    /// A file that the user, or a file of the user, names; canonical.
    File(PathBuf),
    /// A file below the project, relative to it.
    Project(PathBuf),
}

/// Collects layers.
pub(super) struct Extends<'a> {
    library: &'a Library,
    project: Option<&'a Directory>,
    layers: Vec<Layer>,
    /// The project's files that were read, in that order: what trust is about.
    project_files: Vec<(PathBuf, Source)>,
    done: BTreeSet<Place>,
    open: Vec<Place>,
}

/// The line that asks for a parent.
type Asking<'a> = (&'a Source, Range<usize>);

/// The layers of all profiles of this name and what they extend; empty where there is none.
pub(super) fn named(library: &Library, name: &str) -> Result<Vec<Layer>> {
    let mut extends = Extends::new(library, None);
    extends.visit(&Place::Named(name.to_owned()), None)?;
    Ok(extends.layers)
}

/// The layers of a profile that the user named by its file (absolute).
pub(super) fn file(library: &Library, path: &Path) -> Result<Vec<Layer>> {
    let real = path.canonicalize().map_err(|err| {
        Error::usage(format!("cannot read the profile {}: {err}", visible_path(path)))
    })?;
    let mut extends = Extends::new(library, None);
    extends.visit(&Place::File(real), None)?;
    if let Some(own) = extends.layers.last_mut() {
        // As it is named, also the next time.
        own.file = Some(path.to_owned());
    }
    Ok(extends.layers)
}

/// A profile of the project.
pub(super) struct OfProject {
    /// What it says and extends.
    pub(super) layers: Vec<Layer>,
    /// The files below the project that it consists of, relative to it; none where there is none.
    pub(super) files: Vec<(PathBuf, Source)>,
}

/// Reads a profile of the project.
pub(super) fn project(library: &Library, directory: &Directory, file: &Path) -> Result<OfProject> {
    let mut extends = Extends::new(library, Some(directory));
    extends.visit(&Place::Project(file.to_owned()), None)?;
    Ok(OfProject { layers: extends.layers, files: extends.project_files })
}

impl<'a> Extends<'a> {
    fn new(library: &'a Library, project: Option<&'a Directory>) -> Self {
        let (layers, project_files) = (Vec::new(), Vec::new());
        Self { library, project, layers, project_files, done: BTreeSet::new(), open: Vec::new() }
    }

    fn visit(&mut self, place: &Place, asking: Option<Asking<'_>>) -> Result<()> {
        if self.done.contains(place) {
            return Ok(());
        }
        self.refuse_cycle(place, asking.as_ref())?;
        self.open.push(place.clone());
        for Found { source, path } in self.sources(place, asking)? {
            let profile: Profile = source.parse()?;
            check(&source, &profile)?;
            for parent in profile.extends.iter().flatten() {
                let asking = (&source, parent.span());
                let next =
                    self.resolve(place, path.as_deref(), parent.get_ref().as_str(), &asking)?;
                self.visit(&next, Some(asking))?;
            }
            self.layers.push(Layer { source, profile, file: path });
        }
        self.open.pop();
        self.done.insert(place.clone());
        Ok(())
    }

    fn refuse_cycle(&self, place: &Place, asking: Option<&Asking<'_>>) -> Result<()> {
        let Some((source, span)) = asking else { return Ok(()) };
        if self.open.len() >= MAX_DEPTH {
            return Err(source.error(span.clone(), "profiles are nested too deep here"));
        }
        let Some(start) = self.open.iter().position(|open| open == place) else { return Ok(()) };
        let cycle = &self.open[start..];
        if let ([_], Place::Named(name)) = (cycle, place) {
            let error = source.error(span.clone(), &format!("`{name}` extends itself"));
            return Err(if self.library.named(name)?.len() > 1 {
                error.hint(format!(
                    "a profile of the same name is laid over the weaker `{name}` by itself; \
                     remove this line"
                ))
            } else {
                error
            });
        }
        let names: Vec<_> = cycle.iter().chain([place]).map(Place::shown).collect();
        let what = format!("these profiles extend each other: {}", names.join(" -> "));
        Err(source.error(span.clone(), &what))
    }

    /// The texts at a place; at least one.
    fn sources(&mut self, place: &Place, asking: Option<Asking<'_>>) -> Result<Vec<Found>> {
        let kind = asking.as_ref().map_or(LayerKind::User, |(source, _)| source.kind);
        let found = match (place, self.project) {
            (Place::Named(name), _) => self.library.named(name)?,
            (Place::File(path), _) => self.library.file(path, kind)?.into_iter().collect(),
            (Place::Project(path), Some(project)) => {
                let source = project.read(path)?;
                self.project_files.extend(source.clone().map(|source| (path.clone(), source)));
                source.map(|source| Found { source, path: None }).into_iter().collect()
            }
            (Place::Project(_), None) => Vec::new(),
        };
        match asking {
            Some((source, span)) if found.is_empty() => Err(self.missing(place, source, span)?),
            _ => Ok(found),
        }
    }

    fn missing(&self, place: &Place, source: &Source, span: Range<usize>) -> Result<Error> {
        let Place::Named(name) = place else {
            return Ok(source.error(span, &format!("there is no file {}", place.shown())));
        };
        let error = source.error(span, &format!("there is no profile `{}`", visible(name)));
        Ok(error
            .hint(mistake::did_you_mean(name, self.library.names()?.iter().map(String::as_str))))
    }

    fn resolve(
        &self,
        from: &Place,
        path: Option<&Path>,
        parent: &str,
        (source, span): &Asking<'_>,
    ) -> Result<Place> {
        if !values::is_path(parent) {
            return Ok(Place::Named(parent.to_owned()));
        }
        if let Place::Project(from) = from {
            return match below(from.parent().unwrap_or(Path::new("")), parent) {
                Some(path) => Ok(Place::Project(path)),
                None => Err(source.error(
                    span.clone(),
                    "a project's file can only extend files below the project, and profiles by name",
                )),
            };
        }
        let base = path.and_then(Path::parent).unwrap_or(Path::new("/"));
        let path = self.library.absolute(Path::new(parent), base);
        path.canonicalize().map(Place::File).map_err(|err| {
            source.error(span.clone(), &format!("cannot read {}: {err}", visible_path(&path)))
        })
    }
}

impl Place {
    fn shown(&self) -> String {
        match self {
            Self::Named(name) => visible(name),
            Self::File(path) | Self::Project(path) => visible_path(path),
        }
    }
}

/// `parent` as seen from `base`, relative to the project; `None` where it leaves it.
fn below(base: &Path, parent: &str) -> Option<PathBuf> {
    let mut path = base.to_owned();
    for component in Path::new(parent).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => path = path.parent()?.to_owned(),
            Component::Normal(name) if name != "~" => path.push(name),
            _ => return None,
        }
    }
    Some(path)
}

/// What only shows when the layer is known.
fn check(source: &Source, profile: &Profile) -> Result<()> {
    let tables = [&profile.state_copy, &profile.state_return, &profile.state_sync];
    for (file, keys) in tables.into_iter().flatten().flatten() {
        if keys.is_empty() {
            let what = "this copies nothing\nname the keys of the file that the agent needs";
            return Err(source.error(file.span(), what));
        }
    }
    let hide = profile.files.as_ref().and_then(|files| files.hide.as_deref());
    for path in hide.into_iter().flatten() {
        let relative = !path.get_ref().as_str().starts_with(['/', '~', '$']);
        if relative && source.kind != LayerKind::Project {
            let what = "a relative path\nstart it with `/`, `~/` or `${PROJECT}/`";
            return Err(source.error(path.span(), what));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::fixture::{Fixture, files};
    use super::*;

    #[test]
    fn a_users_profile_is_laid_over_the_built_in_one() {
        let fixture = Fixture::new();
        fixture
            .user("default", "git = \"none\"\n")
            .write("system/default.toml", "git = \"shared\"\n");
        let layers = fixture.layers("default").unwrap();
        let expected =
            ["base.toml (built in)", "default.toml (built in)", "default.toml", "default.toml"];
        assert_eq!(files(&layers), expected);
        let git = fixture.settings("default").git.unwrap();
        assert_eq!(git.origin.layer, LayerKind::User);
    }

    #[test]
    fn a_diamond_is_read_once_however_it_is_spelled() {
        let fixture = Fixture::new();
        fixture
            .user("top", "extends = [\"left\", \"./right.toml\"]\n")
            .user("left", "extends = [\"../profiles/./bottom.toml\"]\n")
            .user("right", "extends = [\"./bottom.toml\"]\n")
            .user("bottom", "");
        let layers = fixture.layers("top").unwrap();
        assert_eq!(files(&layers), ["bottom.toml", "left.toml", "right.toml", "top.toml"]);
    }

    #[test]
    fn cycles_are_shown_at_the_line_that_closes_them() {
        let fixture = Fixture::new();
        fixture
            .user("a", "extends = [\"base\", \"b\"]\n")
            .user("b", "\nextends = [\"a\"]\n")
            .user("claude", "extends = [\"claude\"]\n")
            .user("self", "extends = [\"self\"]\n");
        let shown = |name| fixture.shown(&fixture.layers(name).unwrap_err());
        assert_snapshot!(shown("a"), @r#"
        these profiles extend each other: a -> b -> a
         --> /user/profiles/b.toml:2:12
          |
        2 | extends = ["a"]
          |            ^^^
        "#);
        assert_snapshot!(shown("claude"), @r#"
        `claude` extends itself
         --> /user/profiles/claude.toml:1:12
          |
        1 | extends = ["claude"]
          |            ^^^^^^^^
        hint: a profile of the same name is laid over the weaker `claude` by itself; remove this line
        "#);
        assert_snapshot!(shown("self"), @r#"
        `self` extends itself
         --> /user/profiles/self.toml:1:12
          |
        1 | extends = ["self"]
          |            ^^^^^^
        "#);
    }

    #[test]
    fn a_missing_parent_is_shown_where_it_is_asked_for() {
        let fixture = Fixture::new();
        fixture
            .user("a", "extends = [\"bsae\"]\n")
            .user("b", "extends = [\"nothing-like-it\"]\n")
            .user("c", "extends = [\"./gone.toml\"]\n")
            .user("d", "state-copy = { \"~/.x.json\" = [] }\n")
            .user("e", "files.hide = [\".env\"]\n");
        let shown = |name| fixture.shown(&fixture.layers(name).unwrap_err());
        assert_snapshot!(shown("a"), @r#"
        there is no profile `bsae`
         --> /user/profiles/a.toml:1:12
          |
        1 | extends = ["bsae"]
          |            ^^^^^^
        hint: did you mean `base`?
        "#);
        assert_snapshot!(shown("b"), @r#"
        there is no profile `nothing-like-it`
         --> /user/profiles/b.toml:1:12
          |
        1 | extends = ["nothing-like-it"]
          |            ^^^^^^^^^^^^^^^^^
        hint: there are: a, amp, b, backlog, base, c, claude, claude-code-router, codex, copilot, d, default, demo, e, gemini, opencode, qwen, shell
        "#);
        assert_snapshot!(shown("c"), @r#"
        cannot read /user/profiles/./gone.toml: No such file or directory (os error 2)
         --> /user/profiles/c.toml:1:12
          |
        1 | extends = ["./gone.toml"]
          |            ^^^^^^^^^^^^^
        "#);
        assert_snapshot!(shown("d"), @r#"
        this copies nothing
         --> /user/profiles/d.toml:1:16
          |
        1 | state-copy = { "~/.x.json" = [] }
          |                ^^^^^^^^^^^
        hint: name the keys of the file that the agent needs
        "#);
        assert_snapshot!(shown("e"), @r#"
        a relative path
         --> /user/profiles/e.toml:1:15
          |
        1 | files.hide = [".env"]
          |               ^^^^^^
        hint: start it with `/`, `~/` or `${PROJECT}/`
        "#);
    }

    #[test]
    fn a_long_chain_is_an_error_and_no_crash() {
        let fixture = Fixture::new();
        for number in 0..100 {
            fixture.user(&format!("p{number}"), &format!("extends = [\"p{}\"]\n", number + 1));
        }
        let error = fixture.layers("p0").unwrap_err();
        assert!(error.to_string().starts_with("profiles are nested too deep"), "{error}");
    }

    #[test]
    fn nothing_above_the_project_can_be_named() {
        assert_eq!(below(Path::new("a"), "./b/../c.toml"), Some("a/c.toml".into()));
        assert_eq!(below(Path::new("a"), "../c.toml"), Some("c.toml".into()));
        for outside in ["../../c.toml", "/etc/c.toml", "~/c.toml", "../../a/c.toml"] {
            assert_eq!(below(Path::new("a"), outside), None, "{outside}");
        }
    }
}
