//! What the agent is told about where it is (`agent.note`), in a way that touches no file of the user's
//! or the project's: as a word of its command, or as a file inside of which a variable names the path.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::mount::{Class, Mount, Step};
use super::paths::{NAME_OF_NOTE_DIRECTORY, NAME_OF_NOTE_FILE, NOTE_DIRECTORY, NOTE_FILE};
use crate::error::Result;

/// The name by which Copilot CLI looks.
const IN_DIRECTORY: &str = ".github/instructions/claudebox.instructions.md";

/// Makes the file, and what is in the directory, where a variable or the command names them.
pub(super) fn files(draft: &mut Draft<'_>) -> Result<()> {
    let mut files = Vec::new();
    if names(draft, NAME_OF_NOTE_FILE) {
        files.push(PathBuf::from(NOTE_FILE));
    }
    if names(draft, NAME_OF_NOTE_DIRECTORY) {
        files.push(Path::new(NOTE_DIRECTORY).join(IN_DIRECTORY));
    }
    // Where there is nothing to tell the file is there all the same: somebody will read it.
    let note = draft.settings.note.clone().unwrap_or_else(|| super::default(String::new()));
    files.into_iter().try_for_each(|destination| {
        draft.add(Step {
            mount: Mount::File {
                destination,
                content: format!("{}\n", note.value).as_str().into(),
                mounted: true,
            },
            class: Class::Own,
            why: "what the agent is told of the sandbox".to_owned(),
            origin: Some(note.origin.clone()),
        })
    })
}

/// Whether a variable or the command has this name in it.
fn names(draft: &Draft<'_>, name: &str) -> bool {
    let settings = draft.settings;
    let words = settings.command.iter().flat_map(|command| &command.value);
    settings.set.values().map(|value| &value.value).chain(words).any(|text| text.contains(name))
}

/// A word of a profile's command, with what it names replaced, wherever it stands.
pub(super) fn filled(word: &str, draft: &Draft<'_>) -> OsString {
    let note = draft.settings.note.as_ref().map_or("", |note| note.value.as_str());
    with(word, note, &draft.project.root)
}

/// What is put in is not looked at again: a project can be called `${NOTE}`.
fn with(word: &str, note: &str, project: &Path) -> OsString {
    let values: [(&str, &OsStr); 4] = [
        ("${NOTE}", note.as_ref()),
        ("${PROJECT}", project.as_os_str()),
        (NAME_OF_NOTE_FILE, NOTE_FILE.as_ref()),
        (NAME_OF_NOTE_DIRECTORY, NOTE_DIRECTORY.as_ref()),
    ];
    let (mut filled, mut rest) = (OsString::new(), word);
    let next = |rest: &str| {
        let found = values.iter().filter_map(|(name, value)| Some((rest.find(name)?, name, value)));
        found.min_by_key(|(at, ..)| *at).map(|(at, name, value)| (at, name.len(), *value))
    };
    while let Some((at, length, value)) = next(rest) {
        filled.push(&rest[..at]);
        filled.push(value);
        rest = &rest[at + length..];
    }
    filled.push(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::fixture::{Case, at};

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
            ("${NOTE-FILE},${NOTE-DIRECTORY}/x", "/run/claudebox.md,/run/claudebox-note/x"),
            ("${NOTE-FILES}${NOTE", "${NOTE-FILES}${NOTE"),
        ] {
            assert_eq!(filled(word), want, "{word}");
        }
    }

    /// What is mounted of it, where this is set and this is the command.
    fn told(variable: &str, word: &str) -> Vec<String> {
        let mut case = Case::debian().disk(|disk| disk.program("/usr/bin/agent", "\x7fELF"));
        case.settings.note = Some(at(3, "be told".to_owned()));
        case.settings.set = [("V".to_owned(), at(4, variable.to_owned()))].into();
        case.settings.command = Some(at(5, vec!["/usr/bin/agent".to_owned(), word.to_owned()]));
        let mounts = case.mounts();
        let lines = mounts.lines().filter(|line| line.contains("told of the sandbox"));
        lines.map(|line| line.split_whitespace().nth(1).unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn what_is_named_is_there_and_nothing_else() {
        let directory = ["/run/claudebox-note/.github/instructions/claudebox.instructions.md"];
        let none: [&str; 0] = [];
        assert_eq!(told("x", "${NOTE}"), none);
        assert_eq!(told("[${NOTE-FILE}]", "x"), [NOTE_FILE]);
        assert_eq!(told("x", "--in=${NOTE-DIRECTORY}"), directory);
        assert_eq!(told("${NOTE-DIRECTORY}", "x"), directory);
    }
}
