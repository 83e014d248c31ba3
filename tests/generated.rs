//! What is made from the code and committed must be what the code makes now: the manual page, the
//! completions, the schema. `make generated` writes them.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The file below `docs/`, and the command whose output it is.
const FILES: [(&str, &[&str]); 5] = [
    ("claudebox.1", &["man"]),
    ("profile.schema.json", &["schema"]),
    ("completions/claudebox.bash", &["completions", "bash"]),
    ("completions/_claudebox", &["completions", "zsh"]),
    ("completions/claudebox.fish", &["completions", "fish"]),
];

#[test]
fn generated_files_are_current() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for (file, arguments) in FILES {
        let made =
            Command::new(env!("CARGO_BIN_EXE_claudebox")).args(arguments).output().unwrap().stdout;
        let committed = fs::read(docs.join(file)).unwrap();
        assert!(made == committed, "docs/{file} is not current: run `make generated`");
    }
}
