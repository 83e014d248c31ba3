//! Whether the line above says already that a command is executed, so that it needs none of its own.
//! What runs inside chooses names, arguments and directories so as to be left out: this must never
//! say yes where what ran is not plainly what the words say.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::command::{Command, Kept};
use super::event::Exec;
use super::unwrap::basename;
use crate::bytes::Bytes;
use crate::lexical;

/// Whether a command's own text already says that `child` is executed, with exactly its arguments.
/// `chained`: the same process executes both, one after the other.
pub(super) fn says(parent: (&Exec, &Command), child: (&Exec, &Command), chained: bool) -> bool {
    let (parent, line) = parent;
    let (child, shown) = child;
    // A familiar name can stand for the program; a strange place is shown.
    if line.kept != Kept::All
        || !shown.familiar
        || !is_plain(child)
        || !is_there(parent, line, child)
    {
        return false;
    }
    line.script.as_ref().is_some_and(|script| script.names(&child.argv))
        || (line.familiar && is_plain(parent) && is_launcher_of(&parent.argv, &child.argv))
        || (chained && is_interpreter_of(child, parent))
}

/// Whether a program goes by its own name, and all of its arguments are known: `exec -a ls rm` is
/// not what a line with `ls` says.
fn is_plain(exec: &Exec) -> bool {
    let known = exec.argv_sha256.is_none() && exec.argc.is_none() && exec.unread.is_none();
    let path = exec.path.0.as_slice();
    known && exec.argv.first().is_some_and(|name| name.0 == path || name.0 == basename(path))
}

/// Whether a command runs where the line says: in the line's own directory, or where a `cd` in it
/// leads. A file that the shell reads could do the same words elsewhere.
fn is_there(parent: &Exec, line: &Command, child: &Exec) -> bool {
    if parent.cwd == child.cwd {
        return true;
    }
    let (Some(from), Some(cwd), Some(script)) = (&parent.cwd, &child.cwd, &line.script) else {
        return false;
    };
    let path = |bytes| Path::new(OsStr::from_bytes(bytes));
    let (from, cwd) = (path(&from.0), path(&cwd.0));
    let mut here = from.to_owned();
    script.directories().any(|to| {
        here = lexical::clean(&here.join(path(to)));
        here == cwd || lexical::clean(&from.join(path(to))) == cwd
    })
}

/// `env A=b CMD`, `timeout 5 CMD`, ...: programs that execute the end of their own arguments.
/// Another program in between, or what may be one, makes that the argument of something else.
fn is_launcher_of(parent: &[Bytes], child: &[Bytes]) -> bool {
    const LAUNCHERS: [&[u8]; 11] = [
        b"env", b"nice", b"ionice", b"nohup", b"setsid", b"stdbuf", b"time", b"timeout", b"sudo",
        b"doas", b"chrt",
    ];
    let Some((name, arguments)) = parent.split_first() else { return false };
    LAUNCHERS.contains(&basename(&name.0))
        && arguments.strip_suffix(child).is_some_and(|before| before.iter().all(is_setting))
}

/// An option, an assignment, or an amount such as `5`, `0.1` or `10m`.
fn is_setting(word: &Bytes) -> bool {
    let word = word.0.as_slice();
    let amount = word.strip_suffix(b"s").or_else(|| word.strip_suffix(b"m")).unwrap_or(word);
    word.starts_with(b"-")
        || word.contains(&b'=')
        || (!amount.is_empty() && amount.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.'))
}

/// `#!/usr/bin/env python3`: the script was shown, its interpreter is executed with the script's
/// path and arguments. Another program would do something else with them: `rm ./script FILE`.
fn is_interpreter_of(child: &Exec, script: &Exec) -> bool {
    const INTERPRETERS: [&[u8]; 14] = [
        b"sh", b"bash", b"dash", b"zsh", b"ksh", b"fish", b"python", b"node", b"bun", b"perl",
        b"ruby", b"php", b"lua", b"tclsh",
    ];
    let ([interpreter, path, rest @ ..], [_, arguments @ ..]) =
        (child.argv.as_slice(), script.argv.as_slice())
    else {
        return false;
    };
    let name = basename(&interpreter.0);
    let version = name.iter().rev().take_while(|byte| byte.is_ascii_digit() || **byte == b'.');
    INTERPRETERS.contains(&&name[..name.len() - version.count()])
        && *path == script.path
        && rest == arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::command::{Places, command};

    fn exec(path: &str, argv: &[&str]) -> Exec {
        let argv = argv.iter().map(|argument| Bytes::from(*argument)).collect();
        Exec { path: path.into(), argv, cwd: Some("/p".into()), ..Exec::default() }
    }

    fn at(cwd: &str, path: &str, argv: &[&str]) -> Exec {
        Exec { cwd: Some(cwd.into()), ..exec(path, argv) }
    }

    fn shell(script: &str) -> Exec {
        exec("/bin/sh", &["sh", "-c", script])
    }

    fn known(parent: &Exec, child: &Exec, chained: bool) -> bool {
        let places = Places::default();
        let [one, two] =
            [parent, child].map(|exec| command(exec, None, (places.know(exec), false), None));
        says((parent, &one), (child, &two), chained)
    }

    #[test]
    fn a_child_that_stands_in_the_line_above_is_known() {
        let line = shell("ls -l | wc");
        assert!(known(&line, &exec("/usr/bin/ls", &["ls", "-l"]), false));
        assert!(!known(&line, &exec("/usr/bin/ls", &["ls", "-a"]), false));
        assert!(!known(&line, &exec("/tmp/ls", &["ls", "-l"]), false));
        assert!(known(&shell("/usr/bin/ls"), &exec("/usr/bin/ls", &["/usr/bin/ls"]), false));
    }

    #[test]
    fn a_program_by_the_name_of_another_is_not_what_the_line_says() {
        let line = shell("./x.sh; ls -r dir; /bin/ls");
        assert!(!known(&line, &exec("/usr/bin/rm", &["ls", "-r", "dir"]), false));
        assert!(!known(&line, &exec("/bin/busybox", &["ls", "-r", "dir"]), false));
        assert!(!known(&line, &exec("/proc/self/exe", &["ls", "-r", "dir"]), false));
        assert!(!known(&line, &exec("/usr/bin/ls", &["/bin/ls"]), false));
    }

    #[test]
    fn arguments_that_are_not_all_known_are_not_what_the_line_says() {
        let line = shell("ls -l");
        let ls = exec("/usr/bin/ls", &["ls", "-l"]);
        assert!(!known(&line, &Exec { argc: Some(9), ..ls.clone() }, false));
        assert!(!known(&line, &Exec { unread: Some("EPERM".into()), ..ls }, false));
    }

    #[test]
    fn the_same_words_elsewhere_are_not_what_the_line_says() {
        let line = shell("./x.sh; cd a; cd b/../c; rm -r dist");
        let rm = |cwd| known(&line, &at(cwd, "/usr/bin/rm", &["rm", "-r", "dist"]), false);
        assert!(rm("/p") && rm("/p/a") && rm("/p/a/c") && rm("/p/c"));
        assert!(!rm("/p/other") && !rm("/p/b") && !rm("/"));
        let line = shell("cd $X; rm -r dist");
        assert!(!known(&line, &at("/p/a", "/usr/bin/rm", &["rm", "-r", "dist"]), false));
    }

    #[test]
    fn what_stands_in_the_part_of_a_line_that_is_cut_off_is_not_said() {
        let line = shell(&format!(": {}; rm -r dist", "x".repeat(9 << 10)));
        assert!(!known(&line, &exec("/usr/bin/rm", &["rm", "-r", "dist"]), false));
    }

    #[test]
    fn a_launcher_says_what_it_executes_and_nothing_further_on() {
        let ls = exec("/usr/bin/ls", &["ls", "-l"]);
        for words in ["env A=b ls -l", "timeout 10m ls -l", "nice -n 5 ls -l", "timeout 0.1 ls -l"]
        {
            let argv: Vec<&str> = words.split(' ').collect();
            let launcher = exec(&format!("/usr/bin/{}", argv[0]), &argv);
            assert!(known(&launcher, &ls, true), "{words}");
            assert!(!known(&launcher, &launcher, true), "{words}");
            let other = Exec { path: "/usr/bin/evil".into(), ..launcher };
            assert!(!known(&other, &ls, true), "{words}");
        }
        let through = exec("/usr/bin/env", &["env", "bash", "x.sh", "ls", "-l"]);
        assert!(!known(&through, &ls, true));
    }

    #[test]
    fn a_script_says_its_interpreter_and_no_other_program() {
        let script = exec("./x.py", &["./x.py", "1"]);
        let python = exec("/usr/bin/python3.11", &["python3.11", "./x.py", "1"]);
        assert!(known(&script, &python, true) && !known(&script, &python, false));
        assert!(!known(&script, &exec("/usr/bin/rm", &["rm", "./x.py", "1"]), true));
        let code = exec("/usr/bin/python3", &["python3", "-c", "evil", "./x.py", "1"]);
        assert!(!known(&script, &code, true));
    }
}
