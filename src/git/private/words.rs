//! Which words of a command line could be paths. A shell, or git, takes it apart by rules that depend on the
//! key, so every way to do it counts: it must never miss a path because of how it is quoted.
#![forbid(unsafe_code)]

/// A word of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// Relative to the work tree, or absolute.
    pub(super) text: Vec<u8>,
    /// It is looked for along `PATH` if it has no slash.
    pub(super) first: bool,
    /// It is a path also where nothing is there: who makes it is executed.
    pub(super) sure: bool,
}

/// What executes the file that is named behind it.
const RUNS: [&[u8]; 14] = [
    b"sh", b"ash", b"bash", b"dash", b"fish", b"ksh", b"zsh", b"source", b".", b"node", b"perl",
    b"python", b"python3", b"ruby",
];

/// The words of a command line.
pub(super) fn words(command: &[u8]) -> Vec<Word> {
    let separates = |byte: u8| byte.is_ascii_whitespace() || b"'\"`;:&|()<>$={}".contains(&byte);
    let mut found: Vec<Word> = Vec::new();
    let (mut start, mut before) = (0, b' ');
    for (at, byte) in command.iter().copied().chain([b' ']).enumerate() {
        if !separates(byte) {
            continue;
        }
        let word = &command[start..at];
        if !word.is_empty() {
            let word = word.strip_prefix(b"!").unwrap_or(word);
            let runs = found.last().is_some_and(|last| runs(&last.text));
            found.push(Word {
                text: word.to_vec(),
                first: found.is_empty(),
                sure: is_sure(word, runs, found.is_empty()),
            });
            found.extend(behind_a_variable(word, before));
        }
        (start, before) = (at + 1, byte);
    }
    found.extend(with_blanks(command));
    found
}

/// Of `$TOP/x` and `$(git rev-parse --show-toplevel)/x` what a program of the project is called in it.
fn behind_a_variable(word: &[u8], before: u8) -> Option<Word> {
    let slash = word.iter().position(|byte| *byte == b'/')?;
    let (rest, after) = match before {
        b'$' => (&word[slash + 1..], true),
        b')' | b'}' if slash == 0 => (&word[1..], true),
        b'"' | b'\'' if slash == 0 => (&word[1..], false),
        _ => return None,
    };
    let text = [b"./", rest].concat();
    (!rest.is_empty()).then(|| Word { sure: after && is_plain(rest), text, first: false })
}

/// What has blanks in it: a part in quotes, or the whole.
fn with_blanks(command: &[u8]) -> impl Iterator<Item = Word> {
    let (mut parts, mut part) = (vec![command.to_vec()], Vec::new());
    let (mut quote, mut bytes) = (None, command.iter().copied());
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (None, b'\'' | b'"') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            (None | Some(b'"'), b'\\') => part.extend(bytes.next()),
            (None, _) if byte.is_ascii_whitespace() => parts.push(std::mem::take(&mut part)),
            _ => part.push(byte),
        }
    }
    parts.push(part);
    let parts = parts.into_iter().filter(|part| part.iter().any(u8::is_ascii_whitespace));
    parts.map(|text| Word { text, first: false, sure: false })
}

fn runs(word: &[u8]) -> bool {
    let name = word.rsplit(|byte| *byte == b'/').next().unwrap_or(word);
    RUNS.contains(&name)
}

/// Whether it is a path whatever is there: most words of a command are none.
fn is_sure(word: &[u8], runs: bool, first: bool) -> bool {
    let slash = word.contains(&b'/');
    let inner = word.get(1..word.len().saturating_sub(1)).unwrap_or_default();
    is_plain(word) && (slash || runs || (!first && inner.contains(&b'.')))
}

fn is_plain(word: &[u8]) -> bool {
    !word.starts_with(b"-") && !word.iter().any(|byte| b"%*?[]\\,@^!".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sure(command: &str) -> Vec<String> {
        let words = words(command.as_bytes()).into_iter().filter(|word| word.sure);
        words.map(|word| String::from_utf8(word.text).unwrap()).collect()
    }

    #[test]
    fn what_a_command_executes_is_a_path_although_nothing_is_there() {
        for (command, expected) in [
            ("sh tools/clean.sh %f", "tools/clean.sh"),
            ("sh clean.sh", "clean.sh"),
            ("/bin/sh clean", "clean"),
            ("./clean", "./clean"),
            ("\"$(git rev-parse --show-toplevel)/clean\"", "./clean"),
            ("$TOP/clean", "./clean"),
            ("${TOP}/a/clean", "./a/clean"),
        ] {
            assert!(sure(command).contains(&expected.to_owned()), "{command}: {:?}", sure(command));
        }
        for command in ["git-lfs clean -- %f", "vim", "delta --dark", "git@h/b.git", "log -1"] {
            assert_eq!(sure(command), [""; 0], "{command}");
        }
    }

    #[test]
    fn what_is_quoted_is_one_word() {
        for command in ["sh 'a b/c'", "sh \"a b/c\"", "sh a\\ b/c", "a b/c"] {
            assert!(
                words(command.as_bytes()).iter().any(|word| word.text == b"a b/c"),
                "{command}"
            );
        }
    }
}
