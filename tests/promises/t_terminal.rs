//! T: nothing from inside, and no name that somebody else wrote, acts on the user's terminal or makes
//! tmux run anything. Judged by each byte that arrives at the terminal, and by files that come to be.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use claudebox::visible::is_invisible;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::common::place::Place;
use crate::common::pty::{Pty, contains, control_strings};
use crate::common::run::Output;
use crate::common::user::users;
use crate::common::{DEADLINE, must_have, must_have_sandbox};
use crate::outside::tree;

/// What an agent prints, and bytes of it that must not arrive. Control strings need no bytes: none
/// that arrives may hold `PWN` (in base64 for the clipboard, `UFdO`).
const HOSTILE: &[(&str, &[u8], &[u8])] = &[
    ("icon and title", b"\x1b]0;PWN0\x07", b"PWN0"),
    ("icon", b"\x1b]1;PWN1\x07", b"PWN1"),
    ("title", b"\x1b]2;PWN2\x1b\\", b"PWN2"),
    ("title of a window of screen", b"\x1bkPWNk\x1b\\", b"\x1bk"),
    ("directory", b"\x1b]7;file:///PWN7\x07", b"PWN7"),
    ("notification", b"\x1b]9;PWN9\x07", b"PWN9"),
    ("notification of urxvt", b"\x1b]777;notify;PWN777;x\x07", b"PWN777"),
    ("notification of kitty", b"\x1b]99;;PWN99\x1b\\", b"PWN99"),
    ("clipboard", b"\x1b]52;c;UFdONTI=\x07", b"UFdONTI="),
    ("clipboard, asked for", b"\x1b]52;c;?\x07", b"]52;c;?"),
    ("font", b"\x1b]50;PWN50\x07", b"PWN50"),
    ("file of iTerm2", b"\x1b]1337;File=name=UFdO:PWN1337\x07", b"PWN1337"),
    ("past tmux", b"\x1bPtmux;\x1b\x1b]2;PWNPAST\x07\x1b\\", b"PWNPAST"),
    ("settings, asked for", b"\x1bP$qPWNq\x1b\\", b"PWNq"),
    ("terminfo, asked for", b"\x1bP+q50574e\x1b\\", b"+q50574e"),
    ("sixel", b"\x1bPq#0;2;0;0;0PWNSIX\x1b\\", b"PWNSIX"),
    ("graphics of kitty", b"\x1b_GPWNG;AAAA\x1b\\", b"PWNG"),
    ("privacy message", b"\x1b^PWNPM\x1b\\", b"PWNPM"),
    ("start of string", b"\x1bXPWNSOS\x1b\\", b"PWNSOS"),
    ("answerback", b"\x05", b"\x05"),
    ("printer", b"\x1b[5i", b"\x1b[5i"),
    ("size of the window", b"\x1b[8;7;77t", b"\x1b[8;7;77t"),
    ("iconify", b"\x1b[2t", b"\x1b[2t"),
    ("title, asked for", b"\x1b[21t", b"\x1b[21t"),
    ("reset", b"\x1bc", b"\x1bc"),
    ("C1 in UTF-8", b"\xc2\x9d0;PWNC1\xc2\x9c", b"\xc2\x9d"),
    // Behind the rest: tmux 3.3 draws anew then, and forgets what else it was to pass on.
    ("palette", b"\x1b]4;1;rgb:ab/cd/ef\x07", b"rgb:ab/cd/ef"),
    ("C1 raw", b"\x9d0;PWNRAW\x9c", b"\x9d0"),
];

/// All of it, for a program to print.
fn hostile() -> Vec<u8> {
    HOSTILE.iter().flat_map(|(_, bytes, _)| [bytes, b"\r\n".as_slice()].concat()).collect()
}

/// What of it arrived at a terminal.
fn arrived(bytes: &[u8]) -> Vec<String> {
    let named = HOSTILE.iter().filter(|(_, _, needle)| contains(bytes, needle));
    let mut found: Vec<String> = named.map(|(name, ..)| (*name).to_owned()).collect();
    for string in control_strings(bytes) {
        if [b"PWN".as_slice(), b"UFdO"].iter().any(|mark| contains(&string, mark)) {
            found.push(string.escape_ascii().to_string());
        }
    }
    found
}

/// A pipe in the project that the agent waits at.
fn pipe(place: &Place) -> PathBuf {
    let path = place.project().join("go");
    mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    place.user().own(&path);
    path
}

fn let_go(pipe: &Path) -> fs::File {
    let mut file = fs::File::options().read(true).write(true).open(pipe).unwrap();
    std::io::Write::write_all(&mut file, b"x\n").unwrap();
    file
}

fn id(place: &Place) -> String {
    let output = place.claudebox(["ls", "--json"]).run().code(0);
    let line: serde_json::Value =
        serde_json::from_str(output.stdout.lines().next().unwrap()).unwrap();
    line["id"].as_str().unwrap().to_owned()
}

/// Has the session's own tmux do something.
fn inner_tmux(place: &Place, arguments: &[&str]) -> Output {
    let socket = place.root().join("run/claudebox").join(id(place)).join("tmux.sock");
    place.command("tmux").args(["-S", socket.to_str().unwrap()]).args(arguments).run().code(0)
}

#[test]
fn promise_t_what_the_agent_prints_stays_in_its_pane() {
    must_have_sandbox();
    must_have(&["tmux"]);
    for user in users() {
        let place = Place::new(user);
        place.project_file("hostile", hostile());
        let go = pipe(&place);
        // As a screen and, for the log pane, as arguments and names.
        let script = "n=0; while :; do n=$((n+1)); cat hostile; a=\"$(tr -d '\\0' <hostile)\"
            /bin/true \"$a\"; \"./$a\" 2>&-; (cd / && exec -a \"$a\" /bin/true); echo shown-$n
            read x <go; done";
        let program = place.executable().to_str().unwrap();
        let mut pty = Pty::open(&place, [program, "run", "--", "bash", "-c", script]);
        pty.wait_for("shown-1");
        // The log pane has shown it too.
        pty.wait_for("PWN0");
        assert_eq!(arrived_but_as_text(&pty.bytes()), [""; 0], "{user:?}");

        // The control: the same with tmux as programs find it elsewhere.
        let options = [
            ["set", "-s", "set-clipboard", "on"].as_slice(),
            &["set", "-gw", "allow-passthrough", "on"],
            &["set", "-gw", "allow-rename", "on"],
            &["set", "-g", "set-titles", "on"],
            &["set", "-g", "set-titles-string", "#{pane_title}"],
        ];
        for option in options {
            inner_tmux(&place, option);
        }
        let _go = let_go(&go);
        pty.wait_for("shown-2");
        pty.wait_for("UFdONTI=");
        pty.wait_for("]2;PWNPAST");
        let found = arrived(&pty.bytes());
        assert!(found.iter().any(|found| found.starts_with("]0;")), "{found:?}");
        inner_tmux(&place, &["kill-server"]);
        pty.wait();
    }
}

/// The same, where the letters of a sequence may stand on the screen as visible text.
fn arrived_but_as_text(bytes: &[u8]) -> Vec<String> {
    let text = |found: &String| {
        HOSTILE.iter().any(|(name, _, needle)| {
            name == found && needle.iter().all(|byte| (b' '..=b'~').contains(byte))
        })
    };
    arrived(bytes).into_iter().filter(|found| !text(found)).collect()
}

/// The control for all of it: without panes each byte arrives.
#[test]
fn promise_t_without_panes_it_arrives_and_the_header_says_so() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        place.project_file("hostile", hostile());
        let program = place.executable().to_str().unwrap();
        let run = [program, "run", "--no-monitor", "--", "cat", "hostile"];
        let mut pty = Pty::open(&place, run);
        assert_eq!(pty.wait(), 0);
        let bytes = pty.bytes();
        for (name, _, needle) in HOSTILE {
            assert!(contains(&bytes, needle), "{name}");
        }
        place.claudebox(["log"]).run().code(0).says("no tmux of ours between");
        // Where nothing reaches a terminal, nothing is said.
        place.claudebox(["run", "--no-monitor", "--", "true"]).run().code(0);
        let log = place.claudebox(["log"]).run().code(0);
        assert!(!log.stdout.contains("no tmux of ours"), "{log:#?}");
    }
}

/// Late answers of a terminal to an agent's question, with words of the agent's in them.
#[test]
fn promise_t_what_the_terminal_answers_is_not_executed_by_the_shell() {
    must_have_sandbox();
    for user in users() {
        // Without claudebox, the control, it is executed.
        for claudebox in [true, false] {
            let place = Place::new(user);
            let go = pipe(&place);
            // The answer begins to come when the agent has ended.
            let agent = "printf '\\033[6n'; read x <go";
            let program = place.executable().to_str().unwrap();
            let run = format!("'{program}' run --no-monitor -- sh -c \"{agent}\"");
            let run = if claudebox { run } else { format!("sh -c \"{agent}\"") };
            let mut pty = Pty::open(&place, ["bash", "--norc", "--noprofile", "-i"]);
            pty.wait_for("bash-");
            pty.type_in(&format!("{run}; echo en''ded\r"));
            pty.wait_for("\x1b[6n");
            let _go = let_go(&go);
            if claudebox {
                pty.wait_for("\x1b[c");
            } else {
                pty.wait_for("ended\r\n");
            }
            pty.type_in("touch pwned\r");
            pty.type_in("\x1b[?62;22c");
            pty.wait_for("ended\r\n");
            pty.type_in("\rstty -a; echo do''ne\r");
            pty.wait_for("done\r\n");
            let pwned = place.project().join("pwned").exists();
            assert_eq!(pwned, !claudebox, "{user:?}");
            assert!(contains(&pty.bytes(), b" icanon"), "the terminal is as it was");
        }
    }
}

/// A name as hostile as a file system lets it be.
fn name() -> OsString {
    let bytes = b"x\x1b]2;PWN\x07\x9b\xff\n\r\xe2\x80\xae\xe2\x80\x8b#(touch ran)#{pane_id}%H;";
    OsString::from_vec(bytes.to_vec())
}

/// The name's beginning as text.
const AS_TEXT: [&str; 2] = [r"x\x1b]2;PWN\x07", r"x\e]2;PWN\x07"];

/// Output of a command that prints only what prints.
#[track_caller]
fn prints(output: &Output) {
    for text in [&output.stdout, &output.stderr] {
        let odd = text.chars().find(|ch| *ch != '\n' && is_invisible(*ch));
        assert_eq!(odd, None, "{output:#?}");
    }
}

#[test]
fn promise_t_names_are_text_wherever_claudebox_prints_them() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let project = place.root().join(name());
        let git = |arguments: &[&str]| {
            place.command("git").directory(&project).args(arguments).run().code(0);
        };
        fs::create_dir(&project).unwrap();
        user.own(&project);
        git(&["init", "--quiet"]);
        git(&["checkout", "--quiet", "-b", "b#(id)\u{202e}\u{200b}"]);
        let profile = |name: OsString, text: &str| {
            place.home_file(Path::new(".config/claudebox/profiles").join(name), text);
        };
        profile([name(), ".toml".into()].join(OsStr::new("")), "git = \"none\"\n");
        profile("bad.toml".into(), "\"\\u001b]2;PWN\\u0007\" = 1 # \u{202e}\n");
        let run = |arguments: &[OsString]| {
            let output = place.claudebox(arguments).directory(&project).run();
            prints(&output);
            output
        };
        // A session that makes, executes, leaves and fails what has such names.
        let script = "mkdir \"$1\"; echo x >\"$1/.envrc\"; /bin/true \"$1\" \"$(printf '\\033[2J')\"
            cp /bin/true \"$1/$1\"; \"./$1/$1\"; \"./$1/nosuch\" 2>&-; cd \"$1\"; /bin/true; exit 0";
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let odd = |words_: &[&str], last: &str| {
            let mut all = words(words_);
            let mut word = OsString::from(last);
            word.push(name());
            all.push(word);
            all
        };
        let session = odd(&["run", "-v", "--no-monitor", "--", "bash", "-c", script, "bash"], "");
        run(&session).code(0);
        let says = |arguments: &[&str]| {
            let output = run(&words(arguments));
            let both = format!("{}{}", output.stdout, output.stderr);
            let named = AS_TEXT.iter().any(|text| both.contains(text))
                || both.contains("x\\u001b]2;PWN\\u0007");
            assert!(named, "{arguments:?} says nothing of the name: {output:#?}");
        };
        for arguments in [
            ["ls"].as_slice(),
            &["ls", "--all"],
            &["ls", "--json"],
            &["explain", "--", "true"],
            &["explain", "--json", "--", "true"],
            &["explain", "--bwrap", "--", "true"],
            &["log"],
            &["log", "--all"],
            &["log", "--tree"],
            &["log", "--failed"],
            &["log", "--json"],
            &["verify"],
            &["verify", "--all"],
            &["keep", "nosuch"],
            &["run", "-vv", "--no-monitor", "--", "true"],
        ] {
            says(arguments);
        }
        for arguments in [
            odd(&["run"], ""),
            odd(&["run", "--"], "./"),
            odd(&["run", "--"], ""),
            odd(&["run", "--profile"], ""),
            odd(&["run", "--profile"], "./"),
            odd(&["run", "--project"], "./"),
            odd(&["run", "--bind"], "/"),
            odd(&["run", "--env"], ""),
            odd(&["run", "--network"], ""),
            odd(&["run"], "--"),
            odd(&[], ""),
            odd(&["attach"], ""),
            odd(&["log"], ""),
            odd(&["log", "--grep"], "("),
            odd(&["verify"], ""),
            odd(&["keep"], ""),
            odd(&["trust"], ""),
            odd(&["profile", "show"], ""),
            odd(&["profile", "path"], ""),
            odd(&["profile", "check"], "./"),
            odd(&["completions"], ""),
            words(&["profile", "check"]),
            words(&["profile", "list"]),
            words(&["run", "bad"]),
            words(&["doctor"]),
        ] {
            run(&arguments);
        }
        // The project's own profile is a stranger's too.
        for text in
            ["\"\\u001b]2;PWN\" = 1\n", "[agent]\ncommand = [\"\\u001b]2;PWN\"]\n", "x\u{1b}]2;PWN"]
        {
            fs::write(project.join(".claudebox.toml"), text).unwrap();
            user.own(&project.join(".claudebox.toml"));
            for arguments in [["run", "--", "true"].as_slice(), &["trust"], &["explain"]] {
                run(&words(arguments));
            }
        }
        // The control: what does not look at names prints them.
        let output =
            place.command("ls").directory(place.root()).args(["--show-control-chars"]).run();
        assert!(output.stdout.contains('\x1b'), "{output:#?}");
    }
}

/// tmux runs `#(...)` in a format. No name of the project, the branch, a program or a title may
/// get into one, be the tmux claudebox's own or the user's.
#[test]
fn promise_t_no_name_becomes_a_format_of_tmux() {
    must_have_sandbox();
    must_have(&["tmux"]);
    for user in users() {
        no_format(&Place::new(user), false);
    }
    no_format(&Place::new(users()[0]), true);
}

fn no_format(place: &Place, users_tmux: bool) {
    let project = place.root().join("p#(touch ran)#[fg=red]");
    fs::create_dir(&project).unwrap();
    place.user().own(&project);
    let git = place.command("git").directory(&project).args(["init", "--quiet"]);
    git.args(["--initial-branch", "b#(id>ran)"]).run().code(0);
    place.project_file("../t#(touch ran).toml", "extends = [\"default\"]\n");
    let script = "printf '\\033]2;#(touch ran)\\007\\033k#(touch ran)\\033\\\\'
        cp /bin/sleep '#(touch ran)'; mkdir -p 'd/#(touch ran)'; cd 'd/#(touch ran)'
        echo sh''own; exec '../../#(touch ran)' 600";
    let program = place.executable().to_str().unwrap();
    let profile = place.root().join("t#(touch ran).toml");
    let profile = profile.to_str().unwrap();
    let users = place.root().join("users");
    let outer = ["tmux", "-S", users.to_str().unwrap(), "-f", "/dev/null", "new-session"];
    let start = ["sh", "-c", "cd \"$0\" && exec \"$@\"", project.to_str().unwrap()];
    let outer = outer.into_iter().filter(|_| users_tmux);
    let run = [program, "run", "--profile", profile, "--", "bash", "-c", script];
    let mut pty = Pty::open(place, start.into_iter().chain(outer).chain(run));
    pty.wait_for("shown");
    let socket = if users_tmux {
        users
    } else {
        let session = place.claudebox(["ls", "--all", "--json"]).run().code(0).stdout;
        let session: serde_json::Value = serde_json::from_str(session.trim()).unwrap();
        place.root().join("run/claudebox").join(session["id"].as_str().unwrap()).join("tmux.sock")
    };
    let tmux = |arguments: &[&str]| {
        let run = place.command("tmux").args(["-S", socket.to_str().unwrap()]).args(arguments);
        run.run().code(0)
    };
    tmux(&["set", "-g", "status-interval", "1"]);
    // What a person looks at: windows, panes, clients, keys, a message, a menu.
    for keys in ["w", "q", "i", "s", "D", "~", "?", "<", ">", "t"] {
        pty.type_in(&format!("\x02{keys}"));
        thread::sleep(Duration::from_millis(80));
        pty.type_in("q");
    }
    thread::sleep(Duration::from_millis(1200));
    let ran = || tree(place.root()).into_keys().find(|path| path.ends_with("ran"));
    assert_eq!(ran(), None, "{:?} {users_tmux}", place.user());
    // The control: a format that held one of the names would run it. The status line may hold a prompt by now.
    let until = Instant::now() + DEADLINE;
    while ran().is_none() {
        tmux(&["display-message", "-p", "#(touch ran)"]);
        assert!(
            Instant::now() < until,
            "tmux runs nothing at all: {} {}",
            tmux(&["list-clients"]).stdout,
            pty.bytes().escape_ascii()
        );
        thread::sleep(Duration::from_millis(50));
    }
    tmux(&["kill-server"]);
    pty.wait();
}
