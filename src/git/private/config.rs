//! The configuration of a private git directory: written anew from the host's, key by key from a
//! list. Inside, a key that names a program does no harm; what is left out is left out because it may
//! be a secret (`http.extraHeader`, `credential.*`, the userinfo of a URL) or because it names what is
//! not there (`core.sshCommand`, `include.path`). What is not in the list is not taken over.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

use super::setting::{Setting, quoted};
use super::url::without_secrets;

/// What may be taken over of a value.
#[derive(Clone, Copy)]
enum Take {
    /// All of it, if it does not begin with `!`, which is git's sign for a command.
    Value,
    /// The address without what opens it.
    Url,
    /// Nothing: the subsection is the address.
    Base,
    /// A path within the work tree; what is elsewhere is not there inside.
    InTree,
}

/// The list: `section.name`, with `*` for a section's every name, or for any subsection.
const LIST: &[(&str, Take)] = &[
    ("core.abbrev", Take::Value),
    ("core.autocrlf", Take::Value),
    ("core.bigfilethreshold", Take::Value),
    ("core.commentchar", Take::Value),
    ("core.commitgraph", Take::Value),
    ("core.compression", Take::Value),
    ("core.eol", Take::Value),
    ("core.filemode", Take::Value),
    ("core.hookspath", Take::InTree),
    ("core.ignorecase", Take::Value),
    ("core.logallrefupdates", Take::Value),
    ("core.multipackindex", Take::Value),
    ("core.precomposeunicode", Take::Value),
    ("core.protecthfs", Take::Value),
    ("core.protectntfs", Take::Value),
    ("core.quotepath", Take::Value),
    ("core.repositoryformatversion", Take::Value),
    ("core.safecrlf", Take::Value),
    ("core.sparsecheckout", Take::Value),
    ("core.sparsecheckoutcone", Take::Value),
    ("core.splitindex", Take::Value),
    ("core.symlinks", Take::Value),
    ("core.whitespace", Take::Value),
    ("extensions.objectformat", Take::Value),
    ("extensions.refstorage", Take::Value),
    ("extensions.noop", Take::Value),
    ("extensions.noop-v1", Take::Value),
    ("extensions.preciousobjects", Take::Value),
    ("user.name", Take::Value),
    ("user.email", Take::Value),
    ("user.useconfigonly", Take::Value),
    ("author.name", Take::Value),
    ("author.email", Take::Value),
    ("committer.name", Take::Value),
    ("committer.email", Take::Value),
    ("remote.pushdefault", Take::Value),
    ("remote.*.url", Take::Url),
    ("remote.*.pushurl", Take::Url),
    ("remote.*.lfsurl", Take::Url),
    ("remote.*.fetch", Take::Value),
    ("remote.*.push", Take::Value),
    ("remote.*.tagopt", Take::Value),
    ("remote.*.prune", Take::Value),
    ("remote.*.prunetags", Take::Value),
    ("remote.*.skipfetchall", Take::Value),
    ("url.*.insteadof", Take::Base),
    ("url.*.pushinsteadof", Take::Base),
    ("branch.autosetupmerge", Take::Value),
    ("branch.autosetuprebase", Take::Value),
    ("branch.sort", Take::Value),
    ("branch.*.remote", Take::Url),
    ("branch.*.pushremote", Take::Url),
    ("branch.*.merge", Take::Value),
    ("branch.*.rebase", Take::Value),
    ("submodule.recurse", Take::Value),
    ("submodule.active", Take::Value),
    ("submodule.fetchjobs", Take::Value),
    ("submodule.*.url", Take::Url),
    ("submodule.*.active", Take::Value),
    ("submodule.*.branch", Take::Value),
    ("submodule.*.ignore", Take::Value),
    ("submodule.*.update", Take::Value),
    ("submodule.*.fetchrecursesubmodules", Take::Value),
    ("pull.rebase", Take::Value),
    ("pull.ff", Take::Value),
    ("push.default", Take::Value),
    ("push.autosetupremote", Take::Value),
    ("push.followtags", Take::Value),
    ("push.recursesubmodules", Take::Value),
    ("fetch.prune", Take::Value),
    ("fetch.prunetags", Take::Value),
    ("fetch.recursesubmodules", Take::Value),
    ("fetch.writecommitgraph", Take::Value),
    ("merge.conflictstyle", Take::Value),
    ("merge.ff", Take::Value),
    ("merge.log", Take::Value),
    ("merge.renames", Take::Value),
    ("merge.directoryrenames", Take::Value),
    ("rebase.autosquash", Take::Value),
    ("rebase.autostash", Take::Value),
    ("rebase.updaterefs", Take::Value),
    ("rebase.missingcommitscheck", Take::Value),
    ("rerere.enabled", Take::Value),
    ("rerere.autoupdate", Take::Value),
    ("diff.algorithm", Take::Value),
    ("diff.colormoved", Take::Value),
    ("diff.context", Take::Value),
    ("diff.ignoresubmodules", Take::Value),
    ("diff.indentheuristic", Take::Value),
    ("diff.mnemonicprefix", Take::Value),
    ("diff.noprefix", Take::Value),
    ("diff.renames", Take::Value),
    ("diff.renamelimit", Take::Value),
    ("diff.submodule", Take::Value),
    ("commit.cleanup", Take::Value),
    ("commit.status", Take::Value),
    ("commit.verbose", Take::Value),
    ("status.*", Take::Value),
    ("log.date", Take::Value),
    ("log.decorate", Take::Value),
    ("log.follow", Take::Value),
    ("log.showsignature", Take::Value),
    ("tag.sort", Take::Value),
    ("stash.*", Take::Value),
    ("checkout.defaultremote", Take::Value),
    ("checkout.guess", Take::Value),
    ("init.defaultbranch", Take::Value),
    ("index.version", Take::Value),
    ("index.sparse", Take::Value),
    ("notes.displayref", Take::Value),
    ("notes.rewriteref", Take::Value),
    ("notes.rewritemode", Take::Value),
    ("notes.mergestrategy", Take::Value),
    ("i18n.commitencoding", Take::Value),
    ("i18n.logoutputencoding", Take::Value),
    ("apply.whitespace", Take::Value),
    ("worktree.guessremote", Take::Value),
    ("advice.*", Take::Value),
    ("color.*", Take::Value),
    ("column.*", Take::Value),
    ("gc.auto", Take::Value),
    ("lfs.repositoryformatversion", Take::Value),
    ("lfs.url", Take::Url),
];

/// What git-lfs sets up in a repository, git-lfs-install(1).
const LFS: &str = "[filter \"lfs\"]\n\tclean = git-lfs clean -- %f\n\tsmudge = git-lfs smudge -- %f\n\
                   \tprocess = git-lfs filter-process\n\trequired = true\n";

/// The text of the configuration. `work_tree`: for a submodule, the way from its git directory.
///
/// A filter of the host's other than git-lfs stays behind: its command may need a key. It is made one
/// that is required and has no command, so that git says so instead of adding, unfiltered, what was
/// meant to be encrypted.
pub fn private(settings: &[Setting], work_tree: Option<&[u8]>) -> Vec<u8> {
    let mut out =
        b"# claudebox wrote this from the repository's own; the host's git never reads it.\n"
            .to_vec();
    let mut filters = BTreeSet::new();
    for setting in settings {
        if let (b"filter", Some(name)) = (setting.section.as_slice(), &setting.subsection) {
            filters.insert(name.clone());
        }
        line(&mut out, setting);
    }
    // In a user namespace a file of one of the caller's other groups shows the overflow group
    // (user_namespaces(7)): to git it would have changed.
    out.extend_from_slice(b"[core]\n\tbare = false\n\tcheckStat = minimal\n");
    if let Some(work_tree) = work_tree {
        out.extend_from_slice(b"\tworktree = ");
        out.extend_from_slice(&quoted(work_tree));
        out.push(b'\n');
    }
    for filter in filters {
        if filter == b"lfs" {
            out.extend_from_slice(LFS.as_bytes());
        } else if let Some(header) = header(b"filter", Some(&filter)) {
            out.extend_from_slice(&header);
            out.extend_from_slice(b"\trequired = true\n");
        }
    }
    out
}

/// The filters that do not run inside.
pub fn left_behind(settings: &[Setting]) -> BTreeSet<Vec<u8>> {
    let of_filter = settings.iter().filter(|setting| setting.section == b"filter");
    of_filter
        .filter_map(|setting| setting.subsection.clone())
        .filter(|name| name != b"lfs")
        .collect()
}

fn line(out: &mut Vec<u8>, setting: &Setting) {
    let Some(take) = rule(setting) else { return };
    let value = setting.value.as_deref();
    if value.is_some_and(|value| value.trim_ascii_start().starts_with(b"!")) {
        return;
    }
    let (subsection, value) = match take {
        Take::Value => (setting.subsection.clone(), value.map(<[u8]>::to_vec)),
        Take::Url => {
            let Some(url) = value.and_then(without_secrets) else { return };
            (setting.subsection.clone(), Some(url))
        }
        Take::InTree if value.is_none_or(|value| !is_in_tree(value)) => return,
        Take::InTree => (None, value.map(<[u8]>::to_vec)),
        Take::Base => {
            let base = setting.subsection.as_deref().and_then(without_secrets);
            let (Some(base), Some(value)) = (base, value.and_then(without_secrets)) else { return };
            (Some(base), Some(value))
        }
    };
    let Some(header) = header(&setting.section, subsection.as_deref()) else { return };
    out.extend_from_slice(&header);
    out.push(b'\t');
    out.extend_from_slice(&setting.name);
    if let Some(value) = value {
        out.extend_from_slice(b" = ");
        out.extend_from_slice(&quoted(&value));
    }
    out.push(b'\n');
}

fn is_in_tree(value: &[u8]) -> bool {
    let path = Path::new(OsStr::from_bytes(value));
    let mut parts = path.components();
    let first = parts.next();
    matches!(first, Some(Component::Normal(_) | Component::CurDir))
        && first.is_some_and(|first| !first.as_os_str().as_bytes().starts_with(b"~"))
        && parts.all(|part| matches!(part, Component::Normal(_)))
}

/// `[section "subsection"]`; `None` for a subsection that cannot be written.
fn header(section: &[u8], subsection: Option<&[u8]>) -> Option<Vec<u8>> {
    let mut out = [b"[", section].concat();
    if let Some(subsection) = subsection {
        if subsection.iter().any(u8::is_ascii_control) {
            return None;
        }
        out.extend_from_slice(b" \"");
        for byte in subsection {
            if matches!(byte, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(*byte);
        }
        out.push(b'"');
    }
    out.extend_from_slice(b"]\n");
    Some(out)
}

fn rule(setting: &Setting) -> Option<Take> {
    let plain = |text: &[u8]| text.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    if !plain(&setting.section) || !plain(&setting.name) {
        return None;
    }
    let matches = |pattern: &str| {
        let mut parts = pattern.split('.').map(str::as_bytes);
        let section = parts.next();
        let rest = (parts.next(), parts.next());
        section == Some(&setting.section)
            && match (rest, &setting.subsection) {
                ((Some(b"*"), None), _) => true,
                ((Some(name), None), None) | ((Some(b"*"), Some(name)), Some(_)) => {
                    name == setting.name
                }
                _ => false,
            }
    };
    LIST.iter().find(|(pattern, _)| matches(pattern)).map(|(_, take)| *take)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;
    use proptest::sample::select;

    use super::super::setting::tests::local;
    use super::super::setting::{LIST as ASKED, listing};
    use super::*;

    fn text(settings: &[(&str, &str)]) -> String {
        let settings: Vec<Setting> =
            settings.iter().map(|(key, value)| local(key, value)).collect();
        String::from_utf8(private(&settings, None)).unwrap()
    }

    /// What the real git reads in it.
    fn read_back(text: &[u8]) -> Vec<Setting> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config");
        std::fs::write(&file, text).unwrap();
        let mut git = Command::new("git");
        git.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).args(ASKED).arg("-f");
        let answer = git.arg(&file).output().unwrap();
        assert!(answer.status.success(), "{answer:?}\n{}", text.escape_ascii());
        listing(&answer.stdout).unwrap()
    }

    #[test]
    fn what_is_useful_is_taken_and_nothing_else() {
        insta::assert_snapshot!(text(&[
            ("core.repositoryformatversion", "1"),
            ("extensions.objectformat", "sha256"),
            ("core.bare", "true"),
            ("core.worktree", "/elsewhere"),
            ("core.fsmonitor", "/tmp/x"),
            ("core.hookspath", "~/hooks"),
            ("core.sshcommand", "ssh -i key"),
            ("user.email", "a@b.example"),
            ("user.signingkey", "KEY"),
            ("remote.origin.url", "https://token@github.com/a/b"),
            ("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"),
            ("remote.evil.url", "ext::sh -c x"),
            ("remote.origin.proxy", "http://u:p@proxy"),
            ("branch.main.remote", "origin"),
            ("submodule.s.update", "!touch x"),
            ("http.https://x/.extraheader", "Authorization: s"),
            ("credential.helper", "store"),
            ("include.path", "../x"),
            ("alias.st", "!evil"),
            ("filter.crypt.clean", "crypt --key k"),
            ("filter.lfs.clean", "evil"),
            ("url.https://token@host/.insteadof", "gh:"),
        ]), @r#"
        # claudebox wrote this from the repository's own; the host's git never reads it.
        [core]
        	repositoryformatversion = "1"
        [extensions]
        	objectformat = "sha256"
        [user]
        	email = "a@b.example"
        [remote "origin"]
        	url = "https://github.com/a/b"
        [remote "origin"]
        	fetch = "+refs/heads/*:refs/remotes/origin/*"
        [branch "main"]
        	remote = "origin"
        [url "https://host/"]
        	insteadof = "gh:"
        [core]
        	bare = false
        	checkStat = minimal
        [filter "crypt"]
        	required = true
        [filter "lfs"]
        	clean = git-lfs clean -- %f
        	smudge = git-lfs smudge -- %f
        	process = git-lfs filter-process
        	required = true
        "#);
    }

    #[test]
    fn hooks_in_the_work_tree_run_inside_and_no_others() {
        let taken = |path: &str| text(&[("core.hookspath", path)]).contains("hookspath");
        for path in [".husky", ".husky/_", "./tools/hooks"] {
            assert!(taken(path), "{path}");
        }
        for path in ["/usr/share/hooks", "~/hooks", "~u/h", "../hooks", "a/../../b", ""] {
            assert!(!taken(path), "{path}");
        }
    }

    #[test]
    fn git_reads_the_values_that_went_in() {
        let odd = "a \"b\" \\ # ; \t c\nd ";
        let settings = [local("user.name", odd), local("branch.a\"b\\c.merge", "refs/heads/x")];
        let read = read_back(&private(&settings, Some(b"../../../s b")));
        let value = |key: &[u8]| {
            let last = read.iter().rfind(|setting| setting.key() == key);
            last.and_then(|setting| setting.value.clone()).unwrap()
        };
        assert_eq!(value(b"user.name"), odd.as_bytes());
        assert_eq!(value(b"branch.a\"b\\c.merge"), b"refs/heads/x");
        assert_eq!(value(b"core.worktree"), b"../../../s b");
        assert_eq!(value(b"core.bare"), b"false");
    }

    /// Keys that make git execute something, or lead it elsewhere.
    const DANGEROUS: [&str; 26] = [
        "core.fsmonitor",
        "core.hookspath",
        "core.sshcommand",
        "core.pager",
        "core.editor",
        "core.askpass",
        "core.gitproxy",
        "core.worktree",
        "core.attributesfile",
        "include.path",
        "includeif.gitdir:/.path",
        "alias.st",
        "diff.external",
        "diff.x.textconv",
        "diff.x.command",
        "merge.x.driver",
        "filter.x.clean",
        "filter.x.smudge",
        "filter.x.process",
        "gpg.program",
        "gpg.ssh.program",
        "credential.helper",
        "credential.https://x.helper",
        "remote.x.uploadpack",
        "uploadpack.packobjectshook",
        "trailer.x.cmd",
    ];

    /// Keys that hold secrets.
    const SECRET: [&str; 7] = [
        "http.extraheader",
        "http.https://x/.extraheader",
        "http.proxy",
        "http.cookiefile",
        "remote.x.proxy",
        "credential.https://x.username",
        "user.signingkey",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn whatever_the_host_has_nothing_dangerous_and_no_credential_gets_in(
            settings in proptest::collection::vec((
                prop_oneof![
                    select(&DANGEROUS[..]).prop_map(str::to_owned),
                    select(&SECRET[..]).prop_map(str::to_owned),
                    "(core|remote|branch|url|submodule|filter|user)[.](\\PC{0,6}[.])?[a-z]{1,9}",
                    select(&["remote.o.url", "remote.o.pushurl", "submodule.s.url", "branch.b.remote"][..])
                        .prop_map(str::to_owned),
                ],
                prop_oneof![
                    "(https?|ftp)://[a-z]{0,3}:SECRET[a-z]{0,3}@h/[a-z]{0,3}",
                    "https://h/x[?]token=SECRET",
                    "\\PC{0,10}",
                ]), 0..12),
        ) {
            let all: Vec<Setting> = settings
                .iter()
                .filter(|(key, value)| !key.contains(['\0', '\n']) && !value.contains('\0'))
                .filter_map(|(key, value)| {
                    let answer = format!("local\0file:x\0{key}\n{value}\0");
                    listing(answer.as_bytes()).map(|mut all| all.remove(0))
                })
                .collect();
            let text = private(&all, None);
            for setting in read_back(&text) {
                let key = String::from_utf8(setting.key()).unwrap();
                let lfs = key.starts_with("filter.lfs.");
                let hooks = key == "core.hookspath"
                    && setting.value.as_deref().is_some_and(is_in_tree);
                prop_assert!(lfs || hooks || !DANGEROUS.contains(&key.as_str()), "{}", key);
                prop_assert!(lfs || setting.section != b"filter" || setting.name == b"required", "{}", key);
                prop_assert!(!SECRET.contains(&key.as_str()), "{}", key);
                let url = matches!(setting.name.as_slice(), b"url" | b"pushurl" | b"remote" | b"insteadof");
                let value = setting.value.unwrap_or_default();
                prop_assert!(!url || !String::from_utf8_lossy(&value).contains("SECRET"), "{}", key);
            }
        }
    }
}
