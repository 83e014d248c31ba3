//! The paths of the project by which a path of the host is reached: who may write the project chooses at
//! each of them what is found in the end. It must never look at what is there.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::Facts;
use super::follow::follow_on;
use crate::lexical::clean;

/// Relative to the project: the path itself, wherever it goes on through a link of the project, and its
/// end. The project itself is none of them.
pub(crate) fn reached(path: &Path, root: &Path, facts: &dyn Facts) -> BTreeSet<PathBuf> {
    let followed = follow_on(path, facts).unwrap_or_default();
    let through = followed.links.iter().map(|link| clean_if_plain(&link.through()));
    let all = through.chain([clean(path), followed.end]);
    let within = |path: PathBuf| Some(path.strip_prefix(root).ok()?.to_owned());
    all.filter_map(within).filter(|path| !path.as_os_str().is_empty()).collect()
}

/// Behind a link `..` is not where the name says.
fn clean_if_plain(path: &Path) -> PathBuf {
    let up = path.components().any(|component| component == Component::ParentDir);
    if up { path.to_owned() } else { clean(path) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeDisk;

    #[test]
    fn each_way_through_the_project_is_found() {
        let disk = FakeDisk::of(1000)
            .link("/home/u/.gitconfig", "p/dot/gitconfig")
            .link("/home/u/p/dot", "real")
            .link("/home/u/other", "p")
            .dir("/home/u/p/real");
        let found = |path: &str| -> Vec<String> {
            let found = reached(Path::new(path), Path::new("/home/u/p"), &disk);
            found.iter().map(|path| path.display().to_string()).collect()
        };
        assert_eq!(found("/home/u/.gitconfig"), ["dot/gitconfig", "real/gitconfig"]);
        assert_eq!(found("/home/u/other/hooks"), ["hooks"], "the project by another name");
        assert_eq!(found("/home/u/p/./x"), ["x"]);
        assert_eq!(found("/home/u/p/dot/../x"), ["dot/../x", "x"]);
        for other in ["/home/u/p", "/home/u/q", "/home/u/other"] {
            assert_eq!(found(other), [""; 0], "{other}");
        }
    }
}
