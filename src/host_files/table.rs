//! The names. What stands here is executed, or names what is executed, by a program of the host
//! that the user did not ask to execute it: on entering a directory, on opening it in an editor,
//! with any git command, when an agent is started there. What runs only when it is called for by
//! name (build files, scripts, tests) is the project's code and not in this table.
//! It must never look at the disk. `docs/host-files.md` shows the table; a test compares them.
#![forbid(unsafe_code)]

use std::sync::OnceLock;

use super::path::{is_at_or_below, ways};

/// When it is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// A shell enters the directory, or a prompt there asks for the state of the repository.
    Entered,
    /// A version-control command is given somewhere in or around the directory.
    GitUsed,
    /// The directory, or a file in it, is opened in an editor.
    Opened,
    /// An agent is started in or below the directory.
    AgentStarted,
}

impl When {
    /// For a person.
    pub fn words(self) -> &'static str {
        match self {
            Self::Entered => "a shell enters the directory",
            Self::GitUsed => "git or its like is used there",
            Self::Opened => "an editor opens the directory",
            Self::AgentStarted => "an agent starts there",
        }
    }

    /// Whether it is executed even in a directory of installed packages, where nobody opens an
    /// editor or starts an agent, and where packages bring such files along by the dozen.
    pub fn in_packages(self) -> bool {
        matches!(self, Self::Entered | Self::GitUsed)
    }
}

/// One line of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// The last components of a path. In each, `*` stands for any bytes; ASCII case does not matter,
    /// since there are file systems on which it does not. With a slash at the end it is a directory
    /// with everything in it (and whatever else has that name); without, it is no directory.
    pub pattern: &'static str,
    /// When it is executed.
    pub when: When,
    /// Who executes it, and what.
    pub who: &'static str,
}

impl Entry {
    /// Whether the end of a path is a beginning of the pattern, letter by letter: no `*`, and no other case.
    pub fn begins_with(&self, path: &[u8]) -> bool {
        let whole = self.pattern.trim_end_matches('/').as_bytes();
        let is_there = |beginning| ends_in(path, beginning);
        ways(whole).chain([whole]).any(is_there)
    }
}

/// Whether a path ends in these names.
fn ends_in(path: &[u8], names: &[u8]) -> bool {
    path.strip_suffix(names).is_some_and(|before| matches!(before, [] | [.., b'/']))
}

const fn entry(pattern: &'static str, when: When, who: &'static str) -> Entry {
    Entry { pattern, when, who }
}

/// A nested repository: its configuration names programs, its hooks are programs.
pub static NESTED: Entry =
    entry(".git/", When::Entered, "git runs what this repository's config and hooks name");

/// The file without which a directory is no bare repository. Found by what stands beside it.
pub static BARE: Entry =
    entry("HEAD", When::Entered, "makes the directory a bare repository; git obeys its config");

/// A submodule in the index of the project: git looks into the repository that stands there.
pub static GITLINK: Entry =
    entry("(gitlink)", When::GitUsed, "a submodule: git also runs what its repository names");

/// A link in the project's own repository, where git writes. Nothing is executed for it, but git follows
/// it: the next commit would be written at the end of the user's `~/.bashrc`.
pub static GIT_LINK: Entry =
    entry("(link in .git)", When::GitUsed, "git writes where this link leads");

/// What a configuration of git names, wherever it stands: `core.fsmonitor`, a filter, an alias.
pub static PROGRAM: Entry =
    entry("(program of git)", When::Entered, "git runs it: a configuration of git names it");

/// The names, and who executes what they name.
pub static TABLE: &[Entry] = &[
    entry(".envrc", When::Entered, "direnv runs it"),
    entry(".autoenv", When::Entered, "autoenv runs it"),
    entry(".autoenv.leave", When::Entered, "autoenv runs it"),
    entry(".autoenv.zsh", When::Entered, "zsh-autoenv runs it"),
    entry(".autoenv_leave.zsh", When::Entered, "zsh-autoenv runs it"),
    entry(".shadowenv.d/", When::Entered, "shadowenv runs it"),
    entry("mise.toml", When::Entered, "mise runs its hooks and templates"),
    entry("mise.*.toml", When::Entered, "mise runs its hooks and templates"),
    entry(".mise.toml", When::Entered, "mise runs its hooks and templates"),
    entry(".mise.*.toml", When::Entered, "mise runs its hooks and templates"),
    entry(".rtx.toml", When::Entered, "mise runs its hooks and templates"),
    entry(".rtx.*.toml", When::Entered, "mise runs its hooks and templates"),
    entry(".miserc*.toml", When::Entered, "mise takes the names of its files from it"),
    entry(".config/miserc*.toml", When::Entered, "mise takes the names of its files from it"),
    entry(".mise/", When::Entered, "mise runs its hooks and templates"),
    entry("mise/config*.toml", When::Entered, "mise runs its hooks and templates"),
    entry("mise/conf.d/", When::Entered, "mise runs its hooks and templates"),
    entry(".config/mise.toml", When::Entered, "mise runs its hooks and templates"),
    entry(".config/mise/", When::Entered, "mise runs its hooks and templates"),
    entry(
        "rust-toolchain.toml",
        When::Entered,
        "cargo and rustc of rustup are what its path leads to",
    ),
    entry("rust-toolchain", When::Entered, "cargo and rustc of rustup are what its path leads to"),
    entry(".git/config", When::Entered, "git runs programs that it names"),
    entry(".git/config.worktree", When::Entered, "git runs programs that it names"),
    entry(".git/commondir", When::Entered, "git takes config and hooks from where it points"),
    entry(".hg/hgrc", When::Entered, "Mercurial runs hooks and extensions that it names"),
    entry(
        ".hg/hgrc-not-shared",
        When::Entered,
        "Mercurial runs hooks and extensions that it names",
    ),
    entry(".hg/sharedpath", When::Entered, "Mercurial takes hgrc from where it points"),
    entry(".jj/repo", When::Entered, "Jujutsu takes config.toml from where it points"),
    entry(".jj/repo/config.toml", When::Entered, "Jujutsu runs programs that it names"),
    entry(".jj/workspace-config.toml", When::Entered, "Jujutsu runs programs that it names"),
    entry(".git/hooks/", When::GitUsed, "git runs them"),
    entry(".husky/", When::GitUsed, "git hooks of husky"),
    entry(".githooks/", When::GitUsed, "git hooks, where core.hooksPath is set to it"),
    entry(".git-hooks/", When::GitUsed, "git hooks of overcommit"),
    entry(".overcommit.yml", When::GitUsed, "overcommit runs what it names"),
    entry(".pre-commit-config.yaml", When::GitUsed, "pre-commit runs what it names"),
    entry(".pre-commit-config.yml", When::GitUsed, "prek runs what it names"),
    entry("prek.toml", When::GitUsed, "prek runs what it names"),
    entry("lefthook*.y*ml", When::GitUsed, "lefthook runs what it names"),
    entry("lefthook*.toml", When::GitUsed, "lefthook runs what it names"),
    entry("lefthook*.json*", When::GitUsed, "lefthook runs what it names"),
    entry(".lefthook*.y*ml", When::GitUsed, "lefthook runs what it names"),
    entry(".lefthook*.toml", When::GitUsed, "lefthook runs what it names"),
    entry(".lefthook*.json*", When::GitUsed, "lefthook runs what it names"),
    entry(".config/lefthook*", When::GitUsed, "lefthook runs what it names"),
    entry(".lefthook/", When::GitUsed, "lefthook runs the scripts in it"),
    entry(".lefthook-local/", When::GitUsed, "lefthook runs the scripts in it"),
    entry(".vscode/", When::Opened, "VS Code runs tasks, servers and settings of it"),
    entry("*.code-workspace", When::Opened, "VS Code runs tasks, servers and settings of it"),
    entry(".devcontainer/", When::Opened, "initializeCommand runs on the host"),
    entry(".devcontainer.json", When::Opened, "initializeCommand runs on the host"),
    entry(".idea/", When::Opened, "JetBrains IDEs run configurations of it"),
    entry(".fleet/", When::Opened, "JetBrains Fleet runs configurations of it"),
    entry(".zed/", When::Opened, "Zed runs tasks and servers of it"),
    entry(".theia/", When::Opened, "Theia runs tasks of it"),
    entry(".helix/", When::Opened, "Helix runs language servers of it"),
    entry(".exrc", When::Opened, "Vim and Neovim run it with `exrc`"),
    entry(".vimrc", When::Opened, "Vim runs it with `exrc`"),
    entry(".nvimrc", When::Opened, "Neovim runs it with `exrc`"),
    entry(".nvim.lua", When::Opened, "Neovim runs it with `exrc`"),
    entry(".lvimrc", When::Opened, "localvimrc runs it in Vim"),
    entry(".dir-locals.el", When::Opened, "Emacs evaluates it"),
    entry(".dir-locals-2.el", When::Opened, "Emacs evaluates it"),
    entry("*.sublime-project", When::Opened, "Sublime Text starts servers that it names"),
    entry("rust-analyzer.toml", When::Opened, "rust-analyzer runs commands that it names"),
    entry(".rust-analyzer.toml", When::Opened, "rust-analyzer runs commands that it names"),
    entry(".Rprofile", When::Opened, "R and RStudio run it"),
    entry(".mcp.json", When::AgentStarted, "agents start the servers that it names"),
    entry(".claude/settings*.json", When::AgentStarted, "Claude Code runs hooks that it names"),
    entry(".claude/hooks/", When::AgentStarted, "Claude Code runs them"),
    entry(".claude/commands/", When::AgentStarted, "Claude Code runs commands in them"),
    entry(".claude/agents/", When::AgentStarted, "Claude Code runs hooks that they name"),
    entry(".claude/skills/", When::AgentStarted, "Claude Code runs what they name"),
    entry(".claude/plugins/", When::AgentStarted, "Claude Code runs them"),
    entry(".claude/workflows/", When::AgentStarted, "Claude Code runs them"),
    entry(".claudebox.toml", When::AgentStarted, "claudebox obeys it once it is trusted"),
    entry(".gemini/", When::AgentStarted, "Gemini CLI runs hooks, servers and commands of it"),
    entry(".qwen/", When::AgentStarted, "Qwen Code runs hooks, servers and commands of it"),
    entry(".codex/", When::AgentStarted, "Codex runs hooks and servers of it"),
    entry(".opencode/", When::AgentStarted, "opencode runs plugins and servers of it"),
    entry("opencode.json*", When::AgentStarted, "opencode runs plugins and servers that it names"),
    entry(".cursor/", When::AgentStarted, "Cursor runs hooks and servers of it"),
    entry(".windsurf/", When::AgentStarted, "Windsurf runs hooks and servers of it"),
    entry(".copilot/", When::AgentStarted, "Copilot runs hooks and servers of it"),
    entry(".github/copilot/", When::AgentStarted, "Copilot runs hooks and servers of it"),
    entry(".github/hooks/", When::AgentStarted, "Copilot runs hooks of it"),
    entry(".aider.conf.yml", When::AgentStarted, "aider runs commands that it names"),
    entry("crush.json", When::AgentStarted, "Crush starts servers that it names"),
    entry(".crush.json", When::AgentStarted, "Crush starts servers that it names"),
    entry(".goose/", When::AgentStarted, "Goose runs extensions of it"),
    entry(".kiro/", When::AgentStarted, "Kiro runs hooks and servers of it"),
    entry(".roo/", When::AgentStarted, "Roo Code starts servers of it"),
    entry(".kilocode/", When::AgentStarted, "Kilo Code starts servers of it"),
    entry(".cline/", When::AgentStarted, "Cline runs hooks of it"),
    entry(".clinerules/", When::AgentStarted, "Cline runs hooks of it"),
    entry(".continue/", When::AgentStarted, "Continue starts servers of it"),
    entry(".trae/", When::AgentStarted, "Trae starts servers of it"),
    entry(".junie/", When::AgentStarted, "Junie starts servers of it"),
    entry(".factory/", When::AgentStarted, "Factory's droid runs hooks of it"),
    entry(".augment/", When::AgentStarted, "Augment runs commands of it"),
    entry(".amazonq/", When::AgentStarted, "Amazon Q runs hooks and servers of it"),
    entry(".amp/", When::AgentStarted, "Amp runs plugins and servers of it"),
    entry(".pi/", When::AgentStarted, "pi runs extensions and packages of it"),
    entry(".agents/", When::AgentStarted, "agents run skills of it"),
];

/// Directories of installed packages, of which nobody opens one by itself.
const PACKAGES: [&[u8]; 2] = [b"node_modules", b"site-packages"];

/// Whether a directory of this name holds installed packages.
pub fn holds_packages(name: &[u8]) -> bool {
    PACKAGES.contains(&name)
}

/// The entry that was written down by its pattern.
pub fn by_pattern(pattern: &str) -> Option<&'static Entry> {
    let special = [&NESTED, &BARE, &GITLINK, &GIT_LINK, &PROGRAM];
    special.into_iter().chain(TABLE).find(|entry| entry.pattern == pattern)
}

/// What stands at a path, as far as the table cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A directory.
    Directory,
    /// A symbolic link. It can take the place of any part of a pattern: whoever makes `.claude` a
    /// link brings a `.claude/settings.json` along.
    Link,
    /// A file, or anything else.
    File,
}

/// The entry for what stands at this relative path. Only the path itself counts: what is in a
/// directory of the table is not answered for, see [`unit()`].
pub fn find(path: &[u8], what: What) -> Option<&'static Entry> {
    let name = path.rsplit(|byte| *byte == b'/').next()?;
    candidates(name).iter().copied().find(|line| line.matches(path, what)).map(|line| line.entry)
}

/// What of the table stands in a directory that is reached by a link of this path: the rest of each name of
/// which the link is a beginning. For a `*` stand the names that programs read without being told: none, and
/// `.local`.
pub fn rests(link: &[u8]) -> impl Iterator<Item = (String, &'static Entry)> {
    let is_named = |beginning: &'static str, entry: &'static Entry| {
        let components = beginning.split('/').map(str::as_bytes).collect();
        Line { components, tree: false, beginning: false, entry }.matches(link, What::Link)
    };
    let cuts = TABLE.iter().flat_map(|entry| {
        let whole = entry.pattern.trim_end_matches('/');
        whole.match_indices('/').map(move |(at, _)| (&whole[..at], &whole[at + 1..], entry))
    });
    cuts.filter(move |(beginning, _, entry)| is_named(beginning, entry)).flat_map(
        |(_, rest, entry)| {
            let stars: &[&str] = if rest.contains('*') { &["", ".local"] } else { &[""] };
            stars.iter().map(move |star| (rest.replace('*', star), entry))
        },
    )
}

/// Whether a path with this last component can be in the table.
pub fn may_match(name: &[u8]) -> bool {
    let ends = |line: &&Line| line.components.last().is_some_and(|last| glob_matches(last, name));
    candidates(name).iter().copied().any(|line| ends(&line))
}

/// Whether a directory of this path can hold something of the table that is not the table's as a whole.
pub fn is_on_the_way(path: &[u8]) -> bool {
    find(path, What::Directory).is_none() && find(path, What::Link).is_some()
}

/// Whether a path is in the project's own git directory, and git does not run it: it writes there.
pub fn is_written_by_git(path: &[u8]) -> bool {
    let run = |way: &[u8]| {
        [What::Directory, What::File].into_iter().any(|what| find(way, what).is_some())
            && way != b".git"
    };
    is_at_or_below(path, b".git") && !ways(path).chain([path]).any(run)
}

/// The shortest beginning of a path that is in the table, the path being that of a file, and its
/// entry.
pub fn unit(path: &[u8]) -> Option<(&[u8], &'static Entry)> {
    let directory = |way| Some((way, find(way, What::Directory)?));
    let file = || Some((path, find(path, What::File)?));
    ways(path).find_map(directory).or_else(file)
}

/// One way in which a path can match: an entry's pattern, or a beginning of it.
#[derive(Debug)]
struct Line {
    components: Vec<&'static [u8]>,
    /// The pattern ends in a slash.
    tree: bool,
    /// Not the whole pattern: only a link is meant.
    beginning: bool,
    entry: &'static Entry,
}

impl Line {
    fn matches(&self, path: &[u8], what: What) -> bool {
        let kind = match what {
            What::Directory => self.tree && !self.beginning,
            What::Link => true,
            What::File => !self.beginning,
        };
        let mut parts = path.rsplit(|byte| *byte == b'/');
        kind && self
            .components
            .iter()
            .rev()
            .all(|glob| parts.next().is_some_and(|part| glob_matches(glob, part)))
    }
}

/// All lines, by the first byte of the last component in lower case; those that begin with `*` are
/// in each.
type Lines = Vec<Vec<&'static Line>>;

fn candidates(name: &[u8]) -> &'static [&'static Line] {
    static LINES: OnceLock<Lines> = OnceLock::new();
    let lines = LINES.get_or_init(lines);
    let first = name.first().map_or(0, u8::to_ascii_lowercase);
    lines.get(usize::from(first)).map_or(&[], Vec::as_slice)
}

fn lines() -> Lines {
    let all: &'static [Line] =
        std::iter::once(&NESTED).chain(TABLE).flat_map(lines_of).collect::<Vec<_>>().leak();
    let begins = |line: &Line, byte: u8| match line.components.last().and_then(|last| last.first())
    {
        Some(b'*') => true,
        Some(first) => first.eq_ignore_ascii_case(&byte),
        None => false,
    };
    (0..=u8::MAX).map(|byte| all.iter().filter(|line| begins(line, byte)).collect()).collect()
}

/// The ways to match an entry: itself, and a link in the place of each directory on the way.
fn lines_of(entry: &'static Entry) -> Vec<Line> {
    let (path, tree) = match entry.pattern.strip_suffix('/') {
        Some(path) => (path, true),
        None => (entry.pattern, false),
    };
    let components: Vec<&[u8]> = path.split('/').map(str::as_bytes).collect();
    (1..=components.len())
        .rev()
        .map(|length| {
            let beginning = length < components.len();
            Line { components: components[..length].to_vec(), tree, beginning, entry }
        })
        .collect()
}

/// Whether a name matches; `*` is any number of bytes, ASCII case does not matter.
fn glob_matches(glob: &[u8], name: &[u8]) -> bool {
    match glob.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) if !rest.contains(&b'*') => name
            .len()
            .checked_sub(rest.len())
            .is_some_and(|skip| rest.eq_ignore_ascii_case(&name[skip..])),
        Some((b'*', rest)) => (0..=name.len()).any(|skip| glob_matches(rest, &name[skip..])),
        Some((byte, rest)) => match name.split_first() {
            Some((first, others)) => byte.eq_ignore_ascii_case(first) && glob_matches(rest, others),
            None => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(path: &str, what: What) -> Option<&'static str> {
        find(path.as_bytes(), what).map(|entry| entry.pattern)
    }

    #[test]
    fn names_are_found_at_any_depth_and_in_any_case() {
        assert_eq!(pattern(".envrc", What::File), Some(".envrc"));
        assert_eq!(pattern("a/b/.envrc", What::File), Some(".envrc"));
        assert_eq!(pattern("a/.ENVRC", What::File), Some(".envrc"));
        assert_eq!(pattern("a/mise.prod.toml", What::File), Some("mise.*.toml"));
        assert_eq!(pattern("x.code-workspace", What::File), Some("*.code-workspace"));
        assert_eq!(
            pattern("s/.claude/settings.local.json", What::File),
            Some(".claude/settings*.json")
        );
        assert_eq!(pattern(".git", What::Directory), Some(".git/"));
        assert_eq!(pattern("sub/.git", What::File), Some(".git/"));
        for other in ["envrc", ".envrc.bak", "a/settings.json", "x/hooks", "mise", "gitconfig", ""]
        {
            assert_eq!(pattern(other, What::File), None, "{other}");
        }
    }

    #[test]
    fn a_directory_is_no_file_and_a_link_is_anything() {
        assert_eq!(pattern(".envrc", What::Directory), None);
        assert_eq!(pattern(".vscode", What::Directory), Some(".vscode/"));
        assert_eq!(pattern(".vscode", What::File), Some(".vscode/"));
        assert_eq!(pattern(".claude", What::Directory), None);
        assert_eq!(pattern(".claude", What::File), None);
        assert!(pattern(".claude", What::Link).is_some(), "what it leads to has settings.json");
        assert!(pattern("x/.config", What::Link).is_some());
        assert!(pattern(".jj/repo", What::Link).is_some());
        // As a file it says where the repository is; as a directory it is one.
        assert_eq!(pattern(".jj/repo", What::File), Some(".jj/repo"));
        assert_eq!(pattern(".jj/repo", What::Directory), None);
    }

    #[test]
    fn what_a_link_leads_to_has_the_rest_of_the_names() {
        let rests = |link: &'static str| -> Vec<String> {
            rests(link.as_bytes()).map(|(rest, _)| rest).collect()
        };
        let of_claude = rests("a/.Claude");
        for rest in ["settings.json", "settings.local.json", "hooks", "skills", "workflows"] {
            assert!(of_claude.contains(&rest.to_owned()), "{rest}: {of_claude:?}");
        }
        assert!(rests(".jj/repo").contains(&"config.toml".to_owned()));
        assert!(rests(".github").contains(&"hooks".to_owned()));
        for other in [".vscode", ".envrc", "claude", "", "x.claude"] {
            assert_eq!(rests(other), [""; 0], "{other}");
        }
    }

    #[test]
    fn every_configuration_of_a_repository_is_in_it_and_what_leads_to_one() {
        for path in [
            ".git/config",
            ".git/config.worktree",
            ".git/commondir",
            ".hg/hgrc",
            ".hg/hgrc-not-shared",
            ".hg/sharedpath",
            ".jj/repo",
            ".jj/repo/config.toml",
            ".jj/workspace-config.toml",
        ] {
            assert_eq!(pattern(&format!("sub/{path}"), What::File), Some(path));
            assert!(find(path.as_bytes(), What::File).unwrap().when.in_packages(), "{path}");
        }
    }

    /// Where mise looks, and what says where it looks.
    #[test]
    fn every_configuration_of_mise_is_in_it() {
        for path in [
            "mise.local.toml",
            ".mise.prod.local.toml",
            ".rtx.local.toml",
            "mise/config.prod.toml",
            "mise/conf.d/a.toml",
            ".mise/conf.d/a.toml",
            ".config/mise.local.toml",
            ".config/mise/conf.d/a.toml",
            ".miserc.toml",
            ".config/miserc.toml",
        ] {
            let found = unit(path.as_bytes());
            assert!(found.is_some_and(|(_, entry)| entry.when == When::Entered), "{path}");
        }
        assert_eq!(pattern("miserc.toml", What::File), None);
    }

    #[test]
    fn a_toolchain_is_a_file() {
        for name in ["rust-toolchain", "a/rust-toolchain", "rust-toolchain.toml"] {
            assert!(pattern(name, What::File).is_some() && pattern(name, What::Link).is_some());
        }
        assert_eq!(pattern("rust-toolchain", What::Directory), None);
    }

    #[test]
    fn a_file_belongs_to_the_outermost_directory_of_the_table() {
        let unit = |path: &'static str| {
            unit(path.as_bytes())
                .map(|(part, entry)| (std::str::from_utf8(part).unwrap(), entry.pattern))
        };
        assert_eq!(unit("a/.vscode/x/.envrc"), Some(("a/.vscode", ".vscode/")));
        assert_eq!(unit("a/.claude/hooks/x"), Some(("a/.claude/hooks", ".claude/hooks/")));
        assert_eq!(unit("a/.claude/notes"), None);
        assert_eq!(unit("a/.envrc"), Some(("a/.envrc", ".envrc")));
    }

    #[test]
    fn every_pattern_matches_itself_and_is_there_once() {
        let mut seen = std::collections::BTreeSet::new();
        for entry in TABLE {
            let path = entry.pattern.replace('*', "x");
            let what = if path.ends_with('/') { What::Directory } else { What::File };
            let found = find(path.trim_end_matches('/').as_bytes(), what).unwrap();
            assert_eq!(found.when, entry.when, "{}", entry.pattern);
            assert!(seen.insert(entry.pattern), "{} twice", entry.pattern);
            assert_eq!(by_pattern(entry.pattern), Some(entry));
        }
    }

    /// The page for users shows exactly this table.
    #[test]
    fn the_documentation_shows_the_table() {
        use std::fmt::Write as _;
        let mut table = String::new();
        let mut when = None;
        for entry in TABLE {
            if when.replace(entry.when) != Some(entry.when) {
                let _ =
                    write!(table, "\n**When {}**\n\n| name | |\n|---|---|\n", entry.when.words());
            }
            let _ = writeln!(table, "| `{}` | {} |", entry.pattern, entry.who);
        }
        let page = include_str!("../../docs/host-files.md");
        let shown = page
            .split_once("<!-- table: begin -->\n")
            .and_then(|(_, rest)| rest.split_once("\n<!-- table: end -->"))
            .map(|(table, _)| table);
        assert_eq!(shown, Some(table.as_str()), "put this into docs/host-files.md:\n{table}");
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_asked_about(path: Vec<u8>) {
            for what in [What::Directory, What::Link, What::File] {
                let _ = find(&path, what);
            }
            let _ = unit(&path);
        }

        #[test]
        fn what_is_below_never_hides_a_name(prefix in "([a-z]{1,5}/){0,4}", index in 0..TABLE.len()) {
            let entry = &TABLE[index];
            let path = format!("{prefix}{}", entry.pattern.replace('*', "q"));
            let what = if path.ends_with('/') { What::Directory } else { What::File };
            let found = find(path.trim_end_matches('/').as_bytes(), what);
            prop_assert!(found.is_some_and(|found| found.when == entry.when), "{}", path);
        }
    }
}
