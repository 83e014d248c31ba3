//! The user's own configuration of git, as a git outside obeys it: the machine's, the user's files, the
//! environment, and all that these include. No git is asked, since that would cost a start milliseconds: what
//! could count does. It must never leave a file out because it is not there.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use super::draft::Draft;
use super::gitconfig;
use crate::git::private::setting::Setting;
use crate::host::FileKind;

/// See the module.
#[derive(Default)]
pub(super) struct Caller {
    /// The files, and what they include, whether they are there or not.
    pub(super) files: Vec<PathBuf>,
    /// What they say, the machine's first.
    pub(super) settings: Vec<Setting>,
}

/// Variables that say the same as a key, git(1).
const VARIABLES: [(&str, &str); 13] = [
    ("EDITOR", "core.editor"),
    ("GIT_ASKPASS", "core.askpass"),
    ("GIT_EDITOR", "core.editor"),
    ("GIT_EXTERNAL_DIFF", "diff.external"),
    ("GIT_PAGER", "core.pager"),
    ("GIT_PROXY_COMMAND", "core.gitproxy"),
    ("GIT_SEQUENCE_EDITOR", "sequence.editor"),
    ("GIT_SSH", "core.sshcommand"),
    ("GIT_SSH_COMMAND", "core.sshcommand"),
    ("GIT_TEMPLATE_DIR", "init.templatedir"),
    ("PAGER", "core.pager"),
    ("SSH_ASKPASS", "core.askpass"),
    ("VISUAL", "core.editor"),
];

/// Reads it.
pub(super) fn read(draft: &Draft<'_>) -> Caller {
    let environment = of_environment(draft);
    let included = environment.iter().filter_map(gitconfig::included);
    let included = included.map(|path| gitconfig::expand(draft, path, &draft.host.cwd));
    let mut files = of_machine(draft);
    files.extend(gitconfig::files(draft));
    files.extend(named(draft, "GIT_CONFIG_GLOBAL"));
    files.extend(included);
    let mut caller = Caller::default();
    for file in files {
        if caller.files.contains(&file) {
            continue;
        }
        let (files, settings) = gitconfig::whole(draft, &file, b"global");
        caller.files.extend(files);
        caller.settings.extend(settings);
    }
    caller.settings.extend(environment);
    caller
}

/// The machine's. It depends on how git was built: what is in `PREFIX/bin` reads `PREFIX/etc/gitconfig`, that of a
/// distribution `/etc/gitconfig`. What git itself said, where it was asked, counts as well.
fn of_machine(draft: &Draft<'_>) -> Vec<PathBuf> {
    let path = draft.host.environment.get(OsStr::new("PATH")).cloned().unwrap_or_default();
    let found = std::env::split_paths(&path).filter_map(|directory| {
        let git = directory.join("git");
        let kind = draft.facts.lstat(&git).filter(|_| git.is_absolute())?.kind;
        let real = (kind == FileKind::Symlink).then(|| draft.facts.canonicalize(&git)).flatten();
        Some([Some(git), real])
    });
    let of_prefix = |git: PathBuf| Some(git.parent()?.parent()?.join("etc/gitconfig"));
    let mut files = vec![PathBuf::from("/etc/gitconfig")];
    files.extend(found.flatten().flatten().filter_map(of_prefix));
    files.extend(named(draft, "GIT_CONFIG_SYSTEM"));
    files.extend(draft.told_by_git.iter().cloned());
    files
}

/// The file that a variable names: relative to where git is when it reads it.
fn named(draft: &Draft<'_>, variable: &str) -> Vec<PathBuf> {
    let Some(file) = draft.host.environment.get(OsStr::new(variable)) else { return Vec::new() };
    [&draft.host.cwd, &draft.project.root].map(|base| base.join(file)).into()
}

/// What git takes from its environment, git-config(1): `GIT_CONFIG_COUNT` with its pairs, what `git -c` hands
/// down, and the variables that stand for a key.
fn of_environment(draft: &Draft<'_>) -> Vec<Setting> {
    let get = |name: &str| draft.host.environment.get(OsStr::new(name)).map(|it| it.as_bytes());
    let setting = |key: &[u8], value| Setting::new(b"command", b"command line:", key, value);
    let text = |value: &[u8]| std::str::from_utf8(value).ok()?.trim().parse::<usize>().ok();
    let count = get("GIT_CONFIG_COUNT").and_then(text).unwrap_or(0);
    let pair = |number: usize| {
        let key = get(&format!("GIT_CONFIG_KEY_{number}"))?;
        Some((key, get(&format!("GIT_CONFIG_VALUE_{number}"))))
    };
    let pairs = (0..count).map_while(pair);
    let mut found: Vec<Setting> =
        pairs.filter_map(|(key, value)| setting(key, Some(value?))).collect();
    let handed_down = parameters(get("GIT_CONFIG_PARAMETERS").unwrap_or_default());
    found.extend(handed_down.iter().filter_map(|(key, value)| setting(key, value.as_deref())));
    let variable = |(name, key): &(&str, &str)| setting(key.as_bytes(), Some(get(name)?));
    found.extend(VARIABLES.iter().filter_map(variable));
    found
}

type Pair = (Vec<u8>, Option<Vec<u8>>);

/// `GIT_CONFIG_PARAMETERS`: `'key'='value'`, `'key'=` for a name alone, and before git 2.31 `'key=value'`. Who hands
/// down what is not so gets an error of git's.
fn parameters(text: &[u8]) -> Vec<Pair> {
    let (mut rest, mut found) = (text.trim_ascii_start(), Vec::new());
    while let Some((key, after)) = unquoted(rest) {
        let (pair, after) = match after.strip_prefix(b"=") {
            Some(after) => match unquoted(after) {
                Some((value, after)) => ((key, Some(value)), after),
                None => ((key, None), after),
            },
            None => match key.iter().position(|byte| *byte == b'=') {
                Some(at) => ((key[..at].to_vec(), Some(key[at + 1..].to_vec())), after),
                None => ((key, None), after),
            },
        };
        found.push(pair);
        rest = after.trim_ascii_start();
    }
    found
}

/// What stands in quotes at the beginning, as `sq_quote` of git's writes it (`'\''` and `'\!'` within), and what
/// stands behind it.
fn unquoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (mut out, mut rest) = (Vec::new(), text.strip_prefix(b"'")?);
    loop {
        let end = rest.iter().position(|byte| *byte == b'\'')?;
        out.extend_from_slice(&rest[..end]);
        rest = &rest[end + 1..];
        match rest {
            [b'\\', byte @ (b'\'' | b'!'), b'\'', after @ ..] => {
                out.push(*byte);
                rest = after;
            }
            _ => return Some((out, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<String> {
        let line = |(key, value): Pair| match value {
            Some(value) => format!("{}={}", key.escape_ascii(), value.escape_ascii()),
            None => key.escape_ascii().to_string(),
        };
        parameters(text.as_bytes()).into_iter().map(line).collect()
    }

    #[test]
    fn what_git_hands_down_is_read_in_both_of_its_forms() {
        assert_eq!(read("'core.pager'='x y' 'a.b'= 'c.d'='e'"), ["core.pager=x y", "a.b", "c.d=e"]);
        assert_eq!(read("'core.pager=x y' 'a.b' "), ["core.pager=x y", "a.b"]);
        assert_eq!(read(r"'alias.x'=''\!'it'\''s'"), [r"alias.x=!it\'s"]);
        assert_eq!(read("core.pager=x"), [""; 0]);
        assert_eq!(read("'core.pager"), [""; 0]);
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(text: Vec<u8>) {
            parameters(&text);
        }
    }
}
