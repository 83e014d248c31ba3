//! What a script names, and what it must not.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn named(text: &str) -> Vec<String> {
    let words = |words: &Vec<Vec<u8>>| {
        let words = words.iter().map(|word| String::from_utf8_lossy(word).into_owned());
        words.collect::<Vec<_>>().join("|")
    };
    let script = Script::parse(text.as_bytes());
    let commands = script.commands.iter();
    commands.map(|command| command.as_ref().map_or_else(|| "-".to_owned(), words)).collect()
}

#[test]
fn commands_are_found() {
    let cases: [(&str, &[&str]); 35] = [
        ("ls", &["ls"]),
        ("ls -la && echo hi > made.txt", &["ls|-la", "echo|hi"]),
        ("cd src; make -j2 2>&1 | tee log", &["cd|src", "make|-j2", "tee|log"]),
        ("a & b || c", &["a", "b", "c"]),
        ("FOO=1 BAR='x y' env", &["env"]),
        ("git commit -m 'a; b'", &["git|commit|-m|a; b"]),
        ("echo \"it's\" 'x'\"'\"'y'", &["echo|it's|x'y"]),
        ("echo \"a\\\"b\\n\"", &["echo|a\"b\\n"]),
        ("grep \"$x\" f", &["-"]),
        ("grep \"x$\" f", &["grep|x$|f"]),
        ("rm *.o; ls", &["-", "ls"]),
        ("echo $(git rev-parse HEAD) x", &["git|rev-parse|HEAD", "-"]),
        ("echo \"$(id -u)\"", &["id|-u", "-"]),
        ("if test -f a; then cat a; else exit 1; fi", &["test|-f|a", "cat|a", "exit|1"]),
        ("if [ $? -eq 0 ]; then a; elif b; then c; fi", &["-", "a", "b", "c"]),
        ("for f in a *.rs; do wc -l \"$f\"; done | sort", &["-", "sort"]),
        ("while read -r l; do echo x; done < f", &["read|-r|l", "echo|x"]),
        ("! grep -q x f", &["grep|-q|x|f"]),
        ("[ -f x ] && ls", &["[|-f|x|]", "ls"]),
        ("[[ \"$a\" == b* ]] && ls", &["-", "ls"]),
        ("cat <<'EOF' > x\nrm -rf /\nEOF\nwc -l x", &["cat", "wc|-l|x"]),
        ("cat <<END\n END\nrm -rf $x\nEND\nid", &["cat", "id"]),
        ("cat <<-END\n\tls\n\tEND\nid", &["cat", "id"]),
        ("git commit -m \"$(cat <<'EOF'\na `b` $(c)\nEOF\n)\" && id", &["cat", "-", "id"]),
        ("ls # rm x\nid", &["ls", "id"]),
        ("a\\\nb c\\ d", &["ab|c d"]),
        ("ls \\\n -l", &["ls|-l"]),
        ("cmd &> log; id", &["cmd", "id"]),
        ("(cd x && ls) 2>&1", &["cd|x", "ls"]),
        ("{ a; b; } > f", &["a", "b"]),
        ("diff <(sort a) <(sort b)", &["sort|a", "sort|b", "-"]),
        ("find . -name x -exec wc {} +", &["find|.|-name|x|-exec|wc|{}|+"]),
        ("command -v rm; command ls", &["-", "ls"]),
        ("set -euo pipefail; x=${y:-z}; echo ${x%.rs}", &["set|-euo|pipefail", "-"]),
        ("~/bin/x; ./x.sh $((1 + 2))", &["-", "-"]),
    ];
    for (text, want) in cases {
        assert_eq!(named(text), want, "{text}");
    }
}

/// Each has `rm -r dist` in it, and no shell would run it.
#[test]
fn attack_text_that_is_no_command_names_nothing() {
    for text in [
        "files=(rm -r dist); ls",
        ": ${NOTE:-this will; rm -r dist; never}",
        ": \"${a:-it is so; rm -r dist;}\"",
        "[[ $a =~ (rm -r dist) ]]",
        ": $((1|rm -r dist))",
        ": $[1]; : $\"a; rm -r dist ;b\"",
        ": $'a\\'; rm -r dist; : '",
        ": \\\n# todo; rm -r dist\ntrue",
        "case a in (rm -r dist) ;; esac",
        "case a in rm -r dist) true;; esac",
        "f() { rm -r dist; }; ls",
        "function f { rm -r dist; }; ls",
        "exit; rm -r dist",
        "exit 1\nrm -r dist",
        "{ exit; }; rm -r dist",
        "exec ls; rm -r dist",
        "false && rm -r dist",
        "true || rm -r dist",
        "! true && rm -r dist",
        "false && true && rm -r dist",
        "if false; then rm -r dist; fi",
        "if true; then ls; else rm -r dist; fi",
        "while false; do rm -r dist; done",
        "until :; do rm -r dist; done",
        "for x in a; do continue; rm -r dist; done",
        "cat <<A\nx\nB\nrm -r dist",
        "cat <<A\nx\\\nA\nrm -r dist\nA",
        "cat <<$'A'\nA\nrm -r dist\nA",
        "echo \"$(cat <<A\nA)\nrm -r dist\nA\n)\"",
        "cat <<A \"x\nA\nrm -r dist\n\"",
        "echo 'a; rm -r dist",
        "ls; rm -r dist)",
        "if true; then rm -r dist",
        "a;; rm -r dist",
        ": $((1/0)); rm -r dist",
        ": $(()); rm -r dist",
        ": $((08)); rm -r dist",
        ": ${x:?no}; rm -r dist",
        "x=$(ls; rm -r dist",
        "a &> b rm; rm -r dist",
    ] {
        let script = Script::parse(text.as_bytes());
        assert!(!script.names(&["rm", "-r", "dist"]), "{text}");
    }
    // Control: where it would be run.
    for text in [
        "files=rm; rm -r dist",
        ": ${NOTE:-this will}; rm -r dist",
        "[[ $a =~ b ]]; rm -r dist",
        ": $((1 + 2)); rm -r dist",
        ": todo; rm -r dist\ntrue",
        "a && exit; rm -r dist",
        "(exit); rm -r dist",
        "exit & rm -r dist",
        "exec > log; rm -r dist",
        "true && rm -r dist",
        "false || rm -r dist",
        "cat <<A\nx\nA\nrm -r dist",
        "a &> b; rm -r dist",
    ] {
        let script = Script::parse(text.as_bytes());
        assert!(script.names(&["rm", "-r", "dist"]), "{text}");
    }
}

/// The shell would execute what a file or a variable says, so none of its children is known by the text.
#[test]
fn attack_a_shell_that_executes_more_than_its_text_names_nothing() {
    for text in [
        ". ./x.sh; ls",
        "source x.sh && ls",
        "\\. ./x.sh; ls",
        "'eval' \"$x\"; ls",
        "command eval \"$x\"; ls",
        "builtin . x; ls",
        "A=1 . ./x.sh; ls",
        "$x; ls",
        "\"$x\" a; ls",
        "ev*l x; ls",
        "$x/a; ls",
        "{e,}val x; ls",
        "trap 'x' EXIT; ls",
        "alias a=b; ls",
        "hash -p ./x ls; ls",
        "enable -f ./x.so x; ls",
        "mapfile -C x -c 1 < f; ls",
        "test -v 'a[$(x)]'; ls",
        "[ \"$a\" \"$b\" ]; ls",
        "[ $a ]; ls",
        "[[ $a -eq 1 ]]; ls",
        "[[ a || . ./x ]]; ls",
        "read 'a[$(x)]' < f; ls",
        "read BASH_ENV < f; bash -c ls; ls",
        "printf -v 'a[$(x)]' 1; ls",
        "printf \"$a\"; ls",
        "export $x; ls",
        "BASH_ENV=./x.sh bash -c ls; ls",
        "PS4='$(x)'; set -x; ls",
        "echo ${x@P}; ls",
        "echo ${!x}; ls",
        "echo ${x[y]} $x[y]; ls",
        "echo $((x)); ls",
        "((x)); ls",
        "echo `x`; ls",
        "cat <<A\n$(. ./x.sh)\nA\nls",
        "echo $'a\\'; . ./x.sh; : '; ls",
        "wait -p 'a[$(x)]'; ls",
        "i\\\nf x; ls",
        "e\\\nval x; ls",
        "x+=1 . ./y; ls",
    ] {
        assert!(!Script::parse(text.as_bytes()).names(&["ls"]), "{text}");
    }
    // Control: the same words as arguments of programs, and builtins that evaluate nothing.
    for text in [
        "./x.sh . eval; ls",
        "git source; ls",
        "echo eval; ls",
        "[ \"$a\" = \"$b\" ]; ls",
        "[ ! -f \"$a\" ]; ls",
        "printf '%s\\n' \"$a\"; ls",
        "export A=$x; ls",
        "read -r a < f; ls",
        "set -x; ls",
        "wait $!; ls",
    ] {
        assert!(Script::parse(text.as_bytes()).names(&["ls"]), "{text}");
    }
}

#[test]
fn one_command_is_told_from_several() {
    let only = |text: &str| Script::parse(text.as_bytes()).is_only(&["ls"]);
    assert!(only("ls") && only("ls > x") && only("exec ls"));
    assert!(!only("ls; id") && !only("! ls") && !only("ls -l") && !only("echo $(true); ls"));
    assert!(!only(". ./x; ls") && !only("exit; ls"));
}

#[test]
fn a_literal_word_has_nothing_to_expand() {
    assert_eq!(literal_word(b"'a'\"'\"'b' x"), Some((b"a'b".to_vec(), &b" x"[..])));
    for text in
        [&b"$x"[..], b"'open", b"\"a$x\"", b"*", b"", b" x", b"`x`", b"\"open", b"\"$x\"[", b"$?"]
    {
        assert_eq!(literal_word(text), None, "{}", text.escape_ascii());
    }
}

#[test]
fn nothing_is_too_deep() {
    for part in ["(", "$(", "{ ", "if ", "while ", "\"$(", "! ", "x=", "<("] {
        let _ = Script::parse(part.repeat(100_000).as_bytes());
    }
}

/// What a shell did by the name `mark`.
fn runs(shell: &str, text: &str) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let bin = dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let mark = bin.join("mark");
    fs::write(&mark, "#!/bin/sh\n[ \"$#\" = 1 ] && [ \"$1\" = x ] && echo >> \"$MARKED\"\n")
        .unwrap();
    fs::set_permissions(&mark, fs::Permissions::from_mode(0o755)).unwrap();
    let marked = dir.path().join("marked");
    let mut command = Command::new(format!("/bin/{shell}"));
    command.args(["-c", text]).current_dir(dir.path()).env_clear();
    command.env("PATH", &bin).env("MARKED", &marked);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    // It may be in the background.
    (0..100).any(|_| {
        marked.exists() || {
            std::thread::sleep(Duration::from_millis(10));
            false
        }
    })
}

proptest! {
    #![proptest_config(crate::cases::cases(200))]

    /// What a script names without a condition is run, in bash and in dash, or the script is refused.
    #[test]
    fn what_is_named_is_run(parts in proptest::collection::vec(proptest::sample::select(vec![
        "mark x", "mark x\n", "mark x; ", "; ", " ", "\n", "#", "\\\n", "\\", "'", "\"", "$", "${a:-", "}",
        "{ ", "; }", "(", ")", "$(", "<<A\n", "<<'A'\n", "\nA\n", "A", ": ", "a=", "exit\n", "exit; ",
        "; false && ", "; true || ", "; true && ", "| ", "& ", "&> f ", "> f ", "2>&1", "if true; then ",
        "; fi", "else ", "case a in ", ";; esac", "f() ", "[[ a =~ ", "]]", "$((", "))", "! ", "exec ",
        "for i in a; do ", "; done", "-", "=", "[", "]", "{}",
    ]), 1..9)) {
        let text = parts.concat();
        // `; false` as an argument is no condition that is known.
        let known = !text.contains("\\;");
        if known && Script::parse(text.as_bytes()).names(&["mark", "x"]) {
            // A script that a shell cannot read is run in part or not at all.
            for shell in ["bash", "dash"] {
                let mut check = Command::new(shell);
                let reads = check.args(["-n", "-c", &text]).stderr(Stdio::null()).status().unwrap();
                prop_assert!(!reads.success() || runs(shell, &text), "{shell}: {text:?}");
            }
        }
    }

    #[test]
    fn any_text_is_read_to_its_end(text in "[a$(){}`'\"\\\\;&|<>\n #!*=-]{0,60}") {
        let _ = Script::parse(text.as_bytes());
        let _ = literal_word(text.as_bytes());
    }

    #[test]
    fn quoted_words_come_back(words in proptest::collection::vec("[ -~]{0,9}", 1..5)) {
        let typed = words
            .iter()
            .map(|word| crate::log::quote::word(word.as_bytes()))
            .collect::<Vec<_>>()
            .join(" ");
        let typed = format!("x {typed}");
        let want: Vec<_> = std::iter::once("x").chain(words.iter().map(String::as_str)).collect();
        // `$'...'` is not read, and zsh would expand `=x`.
        prop_assert!(typed.contains("$'") || typed.contains(" =") || Script::parse(typed.as_bytes()).is_only(&want), "{}", typed);
    }
}
