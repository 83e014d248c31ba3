//! `claudebox worktree`: what a person is shown of worktrees. Names of branches and files, and every
//! line of a difference, are an agent's words: none reaches a terminal as it is.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::bytes::Bytes;
use crate::cli::{MergeArgs, WorktreeCommand};
use crate::error::{self, Result, printed};
use crate::git::oid::Oid;
use crate::git::private::find_linked;
use crate::git::record::Head;
use crate::git::worktree::diff::{Difference, diff};
use crate::git::worktree::judge::Hold;
use crate::git::worktree::land::{How, Nothing, Wanted, land};
use crate::git::worktree::list::{Standing, list};
use crate::git::worktree::make::Worktree;
use crate::git::worktree::remove::{Fate, gc, remove};
use crate::git::worktree::{Main, apply, short};
use crate::host::{Disk, Host};
use crate::log::{encode, quote, text};
use crate::policy::project::{self, GitEntry};
use crate::profile::include::{FILE, Include};
use crate::session::State;
use crate::visible::{visible, visible_path};

/// The most names in one line.
const MOST: usize = 20;

/// `claudebox worktree`
pub(super) fn worktree(command: &WorktreeCommand, host: &Host) -> Result<u8> {
    let root = main_of_here(host)?;
    let main = Main::of(&root, host)?;
    // These two need more, and say so themselves.
    if !matches!(command, WorktreeCommand::Merge(_) | WorktreeCommand::Apply { .. }) {
        main.must_have_git()?;
    }
    let mut out = anstream::stdout();
    match command {
        WorktreeCommand::List { json } => {
            let all = list(&main)?;
            let written =
                if *json { write_json(&all, &mut out) } else { write_table(&all, &mut out) };
            printed(written)?;
        }
        WorktreeCommand::Diff { name, words } => return show_diff(&main, name, words),
        WorktreeCommand::Merge(args) => merge(&main, args)?,
        WorktreeCommand::Apply { name } => stage(&main, name)?,
        WorktreeCommand::Rm { names, force } => {
            for name in names {
                let known = main.named(name)?;
                say_gone(name, &remove(&main, &known, *force)?, false);
            }
        }
        WorktreeCommand::Gc { force, dry_run } => collect(&main, *force, *dry_run)?,
    }
    Ok(0)
}

/// The names of the project's worktrees.
pub(super) fn all(host: &Host) -> Result<Vec<String>> {
    let root = main_of_here(host)?;
    let (known, _) = Main::of(&root, host)?.known()?;
    Ok(known.into_iter().map(|known| known.name).collect())
}

/// The main work tree of the repository that we are in: this one, or that which a linked one is of.
fn main_of_here(host: &Host) -> Result<PathBuf> {
    let here = project::find_here(host, &Disk)?;
    match &here.git {
        GitEntry::Directory => Ok(here.root),
        GitEntry::Absent => Err(project::outside_git(&here.root)),
        GitEntry::Pointer { target } => find_linked::find(&here.root, target, host.uid, &Disk)
            .and_then(|linked| {
                let named = linked.common.file_name().is_some_and(|name| name == ".git");
                linked.common.parent().filter(|_| named).map(Path::to_owned)
            })
            .ok_or_else(|| project::pointer_refused(&here.root, target)),
    }
}

/// What says which files a new worktree gets a copy of, and whether the user trusts it: if not, none.
pub(super) fn include(root: &Path, host: &Host) -> Result<Option<(Include, bool)>> {
    let include = Include::read(root)?.filter(|include| !include.is_empty());
    include.map(|include| include.is_trusted(host).map(|trusted| (include, trusted))).transpose()
}

/// Says where the work is, and what was copied there. `untrusted`: what would have said so, had the user
/// trusted it.
pub(super) fn say_made(made: &Worktree, untrusted: Option<&Include>) {
    if let Some(include) = untrusted.filter(|_| !made.old) {
        let shown = visible_path(&include.path);
        error::say(format_args!(
            "{shown} is not trusted as it stands, so nothing was copied into the worktree: read it, then run `claudebox trust`"
        ));
    }
    let (shown, branch) = (visible_path(&made.path), &made.branch);
    let word = if made.old { "goes on" } else { "begins" };
    error::say(format_args!("work {word} in {shown}, on the branch {branch}"));
    let copied = &made.copied;
    if !copied.files.is_empty() {
        let files = text::count(copied.files.len() as u64, "file");
        let names = names(&copied.files);
        error::say(format_args!(
            "copied into it, as {FILE} says ({files}, {} bytes): {names}",
            copied.bytes
        ));
    }
    for (path, why) in copied.left_out.iter().take(MOST) {
        error::say(format_args!("not copied into it: {}: {why}", visible(path)));
    }
    if let Some(more) = copied.left_out.len().checked_sub(MOST).filter(|more| *more > 0) {
        error::say(format_args!("not copied into it: {more} more"));
    }
}

fn names(paths: &[Bytes]) -> String {
    let mut names: Vec<String> = paths.iter().take(MOST).map(|path| quote::word(&path.0)).collect();
    if paths.len() > MOST {
        names.push(format!("and {} more", paths.len() - MOST));
    }
    names.join(", ")
}

fn write_table(all: &[Standing], out: &mut dyn Write) -> io::Result<()> {
    let head = ["NAME", "FROM", "COMMITS", "FILES", "SESSION", "PATH"].map(str::to_owned);
    let mut rows = vec![head];
    rows.extend(all.iter().map(row));
    let width = |at: usize| rows.iter().map(|row| text::width(&row[at])).max().unwrap_or(0);
    let widths: Vec<usize> = (0..5).map(width).collect();
    for row in &rows {
        let Some((last, cells)) = row.split_last() else { continue };
        for (cell, width) in cells.iter().zip(&widths) {
            write!(out, "{cell}{:gap$}", "", gap = width - text::width(cell) + 2)?;
        }
        writeln!(out, "{last}")?;
    }
    Ok(())
}

fn row(standing: &Standing) -> [String; 6] {
    let Standing { known, head, base, from, ahead, behind, changed, session, not_here } = standing;
    let number = |count: &Option<usize>| count.map_or("?".to_owned(), |count| count.to_string());
    let base = base.as_ref().map_or("?", Oid::short);
    let from = match from {
        Some(name) => format!("{} {base}", short(name)),
        None => base.to_owned(),
    };
    let behind = match behind {
        Some(0) => String::new(),
        behind => format!(" -{}", number(behind)),
    };
    let files = match changed {
        Some(0) => "clean".to_owned(),
        changed => format!("{} changed", number(changed)),
    };
    let mut session = match session {
        Some((id, state)) => format!("{id} {state}"),
        None => "-".to_owned(),
    };
    if let Some(Hold::NotHere { session: id, .. }) = not_here {
        session += &[", ", id, " not all here"].concat();
    }
    let path = if known.there {
        visible_path(&known.path)
    } else {
        "(gone, its branch is left)".to_owned()
    };
    let name = match head {
        Some(Head::Branch(other)) => format!("{} (on {})", known.name, short(other)),
        Some(Head::Detached(_)) => format!("{} (on no branch)", known.name),
        None => known.name.clone(),
    };
    [name, from, format!("+{}{behind}", number(ahead)), files, session, path]
}

/// One line of `worktree list --json`. Fields may be added; none may change its meaning.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    branch: String,
    path: Bytes,
    there: bool,
    head: Option<&'a Head>,
    base: Option<&'a Oid>,
    from: Option<&'a Bytes>,
    commit: Option<&'a Oid>,
    ahead: Option<usize>,
    behind: Option<usize>,
    changed: Option<usize>,
    session: Option<&'a str>,
    running: bool,
    not_here: Option<String>,
}

fn write_json(all: &[Standing], out: &mut dyn Write) -> io::Result<()> {
    for standing in all {
        let known = &standing.known;
        let line = Line {
            name: &known.name,
            branch: known.branch(),
            path: known.path.as_path().into(),
            there: known.there,
            head: standing.head.as_ref(),
            base: standing.base.as_ref(),
            from: standing.from.as_ref(),
            commit: known.tip.as_ref(),
            ahead: standing.ahead,
            behind: standing.behind,
            changed: standing.changed,
            session: standing.session.as_ref().map(|(id, _)| id.as_str()),
            running: standing.session.as_ref().is_some_and(|(_, state)| State::lives(state)),
            not_here: standing.not_here.as_ref().map(Hold::words),
        };
        writeln!(out, "{}", encode::printable(&serde_json::to_string(&line)?))?;
    }
    Ok(())
}

fn show_diff(main: &Main<'_>, name: &str, words: &[OsString]) -> Result<u8> {
    let known = main.named(name)?;
    let found = diff(main, &known, words)?;
    let Difference { base, from, commits, changed, .. } = &found;
    let (base, commits) = (base.short(), text::count(*commits as u64, "commit"));
    let from = from.as_ref().map(|from| format!("{from} at ")).unwrap_or_default();
    let files = text::count(*changed as u64, "file");
    error::say(format_args!("{commits} since {from}{base}, and {files} not committed"));
    if let Some(id) = &found.running {
        error::say(format_args!("session {id} works in it: this is what there is now"));
    }
    say_what_is_missing(&found.repositories, found.incomplete.as_deref());
    // A file or a program gets git's own words: they may be a patch.
    let written = if io::stdout().is_terminal() {
        write_lines(&found.text, &mut anstream::stdout())
    } else {
        io::stdout().lock().write_all(&found.text)
    };
    printed(written)?;
    Ok(found.code)
}

fn say_what_is_missing(repositories: &[Bytes], incomplete: Option<&str>) {
    if !repositories.is_empty() {
        let names = names(repositories);
        error::say(format_args!("left out, being repositories of their own: {names}"));
    }
    if let Some(why) = incomplete {
        error::say(format_args!("not every file could be read: {why}"));
    }
}

/// Each line made visible, and coloured by what it begins with.
fn write_lines(text: &[u8], out: &mut dyn Write) -> io::Result<()> {
    use anstyle::{AnsiColor, Style};
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    if text.is_empty() {
        return Ok(());
    }
    for line in text.split(|byte| *byte == b'\n') {
        let bold = [&b"diff "[..], b"index ", b"--- ", b"+++ "];
        let style = match line.first() {
            _ if bold.iter().any(|begin| line.starts_with(begin)) => Style::new().bold(),
            Some(b'+') => AnsiColor::Green.on_default(),
            Some(b'-') => AnsiColor::Red.on_default(),
            Some(b'@') => AnsiColor::Cyan.on_default(),
            _ => Style::new(),
        };
        let parts: Vec<String> = line.split(|byte| *byte == b'\t').map(visible).collect();
        writeln!(out, "{style}{}{style:#}", parts.join("\t"))?;
    }
    Ok(())
}

fn merge(main: &Main<'_>, args: &MergeArgs) -> Result<()> {
    let known = main.named(&args.name)?;
    let how = match (args.squash, args.rebase) {
        (true, _) => How::Squash,
        (_, true) => How::Rebase,
        _ => How::Merge,
    };
    let wanted = Wanted { how, into: args.into.as_deref(), sign: args.sign };
    let done = match land(main, &known, wanted)? {
        Ok(done) => done,
        Err(Nothing { says, hints }) => {
            let _ = writeln!(anstream::stdout(), "nothing to merge: {says}");
            hints.iter().for_each(error::say);
            return Ok(());
        }
    };
    let (into, old, new) = (short(&done.into), done.old.short(), done.new.short());
    let commits = text::count(done.commits as u64, "commit");
    let files = text::count(done.files.len() as u64, "file");
    let mut out = anstream::stdout();
    let branch = known.branch();
    let _ = writeln!(out, "{into} {old}..{new}: {commits} of {branch}, {files}");
    say_executed(&done.executed);
    let back = if done.checked_out {
        format!("git reset --keep {old}")
    } else {
        format!("git branch -f {into} {old}")
    };
    error::say(format_args!("`{back}` takes it back"));
    for hold in &done.left {
        error::say(format_args!("not in it: {}", hold.words()));
    }
    if done.left.is_empty() {
        let name = &known.name;
        error::say(format_args!("`claudebox worktree rm {name}` removes the worktree"));
    }
    Ok(())
}

/// What came with it that programs of the host execute by themselves.
fn say_executed(executed: &[(String, &str)]) {
    for (path, who) in executed.iter().take(MOST) {
        error::say(format_args!("executed without being asked for: {path} ({who})"));
    }
}

fn stage(main: &Main<'_>, name: &str) -> Result<()> {
    let known = main.named(name)?;
    let done = apply::apply(main, &known)?;
    let staged = text::count(done.files.len() as u64, "file");
    let mut out = anstream::stdout();
    if done.files.is_empty() {
        let _ = writeln!(out, "nothing to stage: all of it is here");
    } else {
        let _ = writeln!(out, "{staged} staged: {}", names(&done.files));
        say_executed(&done.executed);
        error::say("`git diff --cached` shows it, `git commit` keeps it");
    }
    say_what_is_missing(&done.repositories, done.incomplete.as_deref());
    Ok(())
}

fn collect(main: &Main<'_>, force: bool, dry: bool) -> Result<()> {
    let fates = gc(main, force, dry)?;
    let mut out = anstream::stdout();
    if fates.is_empty() {
        let _ = writeln!(out, "there are no worktrees");
    }
    for (known, fate) in &fates {
        match fate {
            Fate::Stays(holds) => {
                let words: Vec<String> = holds.iter().map(Hold::words).collect();
                let _ = writeln!(out, "{} stays: {}", known.name, words.join("; "));
            }
            gone @ Fate::Gone { .. } => say_gone(&known.name, gone, dry),
        }
    }
    if !force && fates.iter().any(|(_, fate)| matches!(fate, Fate::Stays(_))) {
        error::say("`claudebox worktree rm --force NAME` removes one all the same");
    }
    Ok(())
}

fn say_gone(name: &str, fate: &Fate, dry: bool) {
    let Fate::Gone { tip, lost, branch_stays } = fate else { return };
    let word = if dry { "would be removed" } else { "removed" };
    let mut out = anstream::stdout();
    let _ = writeln!(out, "{name} {word}");
    for hold in lost {
        error::say(format_args!("lost with it: {}", hold.words()));
    }
    if *branch_stays {
        error::say(format_args!("the branch claudebox/{name} stays: it is checked out"));
    } else if let Some(tip) = tip
        && lost.iter().any(|hold| matches!(hold, Hold::Unmerged(_)))
        && !dry
    {
        error::say(format_args!(
            "`git branch claudebox/{name} {}` brings its commits back, as long as git has them",
            tip.short()
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_a_difference_reaches_a_terminal_as_it_is() {
        let mut out = Vec::new();
        let text = b"diff --git a/\x1b]0;x\x07 b/x\n@@ -1 +1 @@\n-\ta\x1b[2J\n+\xc2\x9b31m\xe2\x80\xaeb\r\n";
        write_lines(text, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let styled = |text: &str| anstream::adapter::strip_str(text).to_string();
        insta::assert_snapshot!(styled(&text), @r"
        diff --git a/\x1b]0;x\x07 b/x
        @@ -1 +1 @@
        -	a\x1b[2J
        +\u{9b}31m\u{202e}b\r
        ");
        // What is left are our own colours.
        assert_eq!(text.matches('\x1b').count(), 8);
    }
}
