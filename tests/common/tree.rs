//! What stands below a directory, to be compared with what stood there before.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Every path below a directory with its mode, owner and content; links are not followed.
pub(crate) fn tree(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let facts = fs::symlink_metadata(&path).unwrap();
            let content = if facts.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            let content = content.escape_ascii();
            found.insert(path.clone(), format!("{:o} {} {content}", facts.mode(), facts.uid()));
            if facts.is_dir() {
                open.push(path);
            }
        }
    }
    found
}
