//! The links on the way to a path that somebody typed. It must never follow one by itself.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use crate::host::{Facts, FileKind};

/// Each component of the path that is a symbolic link, the first one first.
pub(super) fn links<'a>(
    path: &'a Path,
    facts: &'a dyn Facts,
) -> impl Iterator<Item = PathBuf> + 'a {
    let mut ways: Vec<&Path> = path.ancestors().collect();
    ways.reverse();
    let is_link = |way: &&Path| facts.lstat(way).is_some_and(|it| it.kind == FileKind::Symlink);
    ways.into_iter().filter(is_link).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeDisk;

    #[test]
    fn each_link_is_found() {
        let disk = FakeDisk::of(1000)
            .link("/home", "/var/home")
            .dir("/var/home/u/p")
            .link("/var/home/u/p/l", "/etc")
            .file("/etc/passwd", "");
        let found: Vec<PathBuf> = links(Path::new("/home/u/p/l/passwd"), &disk).collect();
        assert_eq!(found, [Path::new("/home"), Path::new("/home/u/p/l")]);
        assert_eq!(links(Path::new("/var/home/u/p"), &disk).count(), 0);
    }
}
