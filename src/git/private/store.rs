//! What is an object directory of git's (gitrepository-layout(5)). A stranger's repository can name any
//! directory as one that it borrows from, and all of it can be read inside: `~/.ssh` must never be taken
//! for one.
#![forbid(unsafe_code)]

use std::fs::{self, DirEntry};
use std::path::Path;

/// Whether this directory, canonical, is one that a git made, with nothing in it but objects.
pub(super) fn is_one(path: &Path) -> bool {
    let is_named = path.file_name().is_some_and(|name| name == "objects");
    let of_git = path
        .parent()
        .is_some_and(|git_dir| git_dir.join("HEAD").is_file() && git_dir.join("refs").is_dir());
    let Ok(mut entries) = fs::read_dir(path) else { return false };
    is_named && of_git && entries.all(|entry| entry.is_ok_and(|entry| is_part(&entry)))
}

fn is_part(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let name = name.as_encoded_bytes();
    let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
    let is_fan_out = name.len() == 2 && name.iter().all(u8::is_ascii_hexdigit);
    match name {
        b"info" | b"pack" => is_directory,
        // What is at work in it, or was killed.
        b"maintenance.lock" => true,
        _ => {
            is_directory && is_fan_out
                || name.starts_with(b"tmp_")
                || name.starts_with(b"incoming-")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_git_made_is_one() {
        let place = tempfile::tempdir().unwrap();
        let make = |name: &str, parts: &[&str]| {
            let path = place.path().join(name);
            for part in parts {
                fs::create_dir_all(path.join(part)).unwrap();
            }
            path
        };
        let git_dir = make("r.git", &["refs", "objects/info", "objects/pack", "objects/0f"]);
        fs::write(git_dir.join("HEAD"), "").unwrap();
        let objects = git_dir.join("objects");
        assert!(is_one(&objects));
        fs::write(objects.join("tmp_obj_x"), "").unwrap();
        assert!(is_one(&objects));

        fs::write(objects.join("id_rsa"), "").unwrap();
        assert!(!is_one(&objects));
        assert!(!is_one(&git_dir) && !is_one(&git_dir.join("refs")) && !is_one(Path::new("/")));
        // Nothing of a git's is around it.
        assert!(!is_one(&make("objects", &["info", "pack"])));
    }
}
