//! What the agent is told about where it is (`agent.note`), in a way that touches no file of the user's
//! or the project's: as a word of its command, or as a file inside of which a variable names the path.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::draft::Draft;
use super::mount::{Class, Mount, Step};
use crate::error::Result;

/// Where the file is, inside: what `${NOTE-FILE}` stands for in `environment.set`. It is a mount, so
/// nothing can be put in its place although `/run` can be written.
pub(super) const FILE: &str = "/run/claudebox.md";
/// How a profile names it.
pub(super) const NAME_OF_FILE: &str = "${NOTE-FILE}";

/// Makes the file, where a variable names it.
pub(super) fn file(draft: &mut Draft<'_>) -> Result<()> {
    if !draft.settings.set.values().any(|value| value.value.contains(NAME_OF_FILE)) {
        return Ok(());
    }
    // Where there is nothing to tell the file is there all the same: somebody will read it.
    let note = draft.settings.note.clone().unwrap_or_else(|| super::default(String::new()));
    draft.add(Step {
        mount: Mount::File {
            destination: FILE.into(),
            content: format!("{}\n", note.value).as_str().into(),
            mounted: true,
        },
        class: Class::Own,
        why: "what the agent is told of the sandbox".to_owned(),
        origin: Some(note.origin),
    })
}

/// A word of a profile's command, with `${NOTE}` and `${PROJECT}` replaced, wherever they stand.
pub(super) fn filled(word: &str, draft: &Draft<'_>) -> OsString {
    let note = draft.settings.note.as_ref().map_or("", |note| note.value.as_str());
    with(word, note, &draft.project.root)
}

fn with(word: &str, note: &str, project: &Path) -> OsString {
    let parts = word.split("${NOTE}").map(|part| {
        let around: Vec<&OsStr> = part.split("${PROJECT}").map(OsStr::new).collect();
        around.join(project.as_os_str())
    });
    parts.collect::<Vec<OsString>>().join(OsStr::new(note))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_filled_once() {
        let filled = |word| with(word, "go ${PROJECT}", Path::new("/p/${NOTE}"));
        for (word, want) in [
            ("claude", "claude"),
            ("", ""),
            ("${NOTE}", "go ${PROJECT}"),
            ("a={\"${PROJECT}\"=1}", "a={\"/p/${NOTE}\"=1}"),
            ("${PROJECT}:${PROJECT}${NOTE}", "/p/${NOTE}:/p/${NOTE}go ${PROJECT}"),
            ("${HOME} $NOTE", "${HOME} $NOTE"),
        ] {
            assert_eq!(filled(word), want, "{word}");
        }
    }
}
