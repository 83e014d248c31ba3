//! Where a path leads, one link after the other, `path_resolution(7)`, also beyond what is there: a link that
//! leads nowhere today is filled tomorrow. It must never open anything.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use super::Facts;

/// The most links that the kernel follows for one path (`MAXSYMLINKS`).
pub(super) const MOST: usize = 40;

/// The most names that are looked at for one path. A repository with hundreds of links of thousands of names
/// each would hold a start up for minutes.
const MOST_NAMES: usize = 1024;

/// A path that was followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Followed {
    /// Each link on the way, where it really stands, the first one first.
    pub(crate) links: Vec<Link>,
    /// Where it ends. Nothing needs to be there.
    pub(crate) end: PathBuf,
}

/// A link on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// Where it stands.
    pub(crate) path: PathBuf,
    /// What was still to be followed behind it.
    rest: PathBuf,
}

impl Link {
    /// The path that goes on through it: who puts something else in its place chooses where this leads.
    pub(crate) fn through(&self) -> PathBuf {
        if self.rest.as_os_str().is_empty() {
            self.path.clone()
        } else {
            self.path.join(&self.rest)
        }
    }
}

/// Follows an absolute path; `None` where it goes in a circle, or is too long to be meant. `read_link`: readlink(2).
pub(crate) fn follow(
    path: &Path,
    read_link: &dyn Fn(&Path) -> Option<PathBuf>,
) -> Option<Followed> {
    let mut followed = Followed { links: Vec::new(), end: PathBuf::from("/") };
    // The next name is the last.
    let mut names = names(path);
    let mut looked_at = 0;
    while let Some(name) = names.pop() {
        looked_at += 1;
        if looked_at > MOST_NAMES {
            return None;
        }
        if name == ".." {
            followed.end.pop();
            continue;
        }
        let at = followed.end.join(name);
        let Some(target) = read_link(&at) else {
            followed.end = at;
            continue;
        };
        if followed.links.len() == MOST {
            return None;
        }
        if target.is_absolute() {
            followed.end = PathBuf::from("/");
        }
        followed.links.push(Link { path: at, rest: names.iter().rev().collect() });
        names.extend(self::names(&target));
    }
    Some(followed)
}

/// The same for a path of this machine.
pub(crate) fn follow_on(path: &Path, facts: &dyn Facts) -> Option<Followed> {
    follow(path, &|path| facts.read_link(path))
}

/// The names of a path, the last one first; `..` is one.
pub(super) fn names(path: &Path) -> Vec<OsString> {
    let name = |component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeDisk;

    fn disk() -> FakeDisk {
        FakeDisk::of(1000)
            .link("/home", "/var/home")
            .dir("/var/home/u/p/x")
            .link("/var/home/u/p/l", "../p/./x/m")
            .link("/var/home/u/p/x/m", "gone/file")
            .link("/var/home/u/p/circle", "circle")
    }

    #[test]
    fn each_link_is_followed_and_what_is_not_there_is_named() {
        let found = follow_on(Path::new("/home/u/p/l"), &disk()).unwrap();
        assert_eq!(found.end, Path::new("/var/home/u/p/x/gone/file"));
        let links: Vec<&Path> = found.links.iter().map(|link| &*link.path).collect();
        assert_eq!(links, ["/home", "/var/home/u/p/l", "/var/home/u/p/x/m"].map(Path::new));
        let through = ["/home/u/p/l", "/var/home/u/p/l", "/var/home/u/p/x/m"];
        let led: Vec<PathBuf> = found.links.iter().map(Link::through).collect();
        assert_eq!(led, through.map(PathBuf::from));
        let plain = follow_on(Path::new("/var/home/u/p/none/../x"), &disk()).unwrap();
        assert_eq!((plain.links.len(), plain.end), (0, "/var/home/u/p/x".into()));
        let above = follow_on(Path::new("/../.."), &disk()).unwrap();
        assert_eq!(above.end, Path::new("/"));
    }

    #[test]
    fn a_circle_ends() {
        assert_eq!(follow_on(Path::new("/home/u/p/circle/x"), &disk()), None);
        let long = format!("/home/u/p/{}x", "x/../".repeat(MOST_NAMES / 2));
        assert_eq!(follow_on(Path::new(&long), &disk()), None);
    }
}
