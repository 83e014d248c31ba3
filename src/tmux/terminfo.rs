//! Which name the terminal of a pane has. Programs look it up in the terminfo database, where the
//! right one is missing on small systems. It must never name an entry that is not there.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// What tmux is, and what it was called before that entry existed.
const NAMES: [&str; 2] = ["tmux-256color", "screen-256color"];

/// The name that programs in a pane know their terminal by.
pub fn for_panes(environment: &BTreeMap<OsString, OsString>) -> &'static str {
    let directories = directories(environment);
    let known = |name: &&str| {
        let initial = &name[..1];
        directories.iter().any(|directory| directory.join(initial).join(name).exists())
    };
    NAMES.into_iter().find(known).unwrap_or("screen")
}

/// Where entries are, terminfo(5).
fn directories(environment: &BTreeMap<OsString, OsString>) -> Vec<PathBuf> {
    let list = |name: &str| environment.get(OsStr::new(name)).map(std::env::split_paths);
    let named = ["TERMINFO", "TERMINFO_DIRS"].into_iter().filter_map(list).flatten();
    let usual = ["/etc/terminfo", "/lib/terminfo", "/usr/lib/terminfo", "/usr/share/terminfo"];
    named.chain(usual.into_iter().map(PathBuf::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn an_entry_of_the_callers_own_is_found() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("t")).unwrap();
        fs::write(root.path().join("t/tmux-256color"), "").unwrap();
        let environment = [("TERMINFO_DIRS".into(), root.path().into())].into_iter().collect();
        assert_eq!(for_panes(&environment), "tmux-256color");
    }
}
