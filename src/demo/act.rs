//! The inside of the demonstration: the scripted agent itself. Everything it does goes through
//! execve, so that the log pane has something to show. It must never report a verdict on
//! something it did not really try.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal as _, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use super::{MARK, SECRET_VARIABLE, program};

const BOLD: anstyle::Style = anstyle::Style::new().bold();
const GREEN: anstyle::Style = anstyle::AnsiColor::Green.on_default();
const RED: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();

/// Plays the agent; answers with 0 if everything forbidden was refused.
pub fn act() -> ExitCode {
    let mut agent = Agent::new();
    match agent.play() {
        Ok(()) if agent.escaped == 0 => ExitCode::SUCCESS,
        // An error means that nobody reads any more: not a verdict, and not a success either.
        Ok(()) | Err(_) => ExitCode::FAILURE,
    }
}

struct Agent {
    out: anstream::AutoStream<io::Stdout>,
    pause: Duration,
    escaped: u32,
}

impl Agent {
    fn new() -> Self {
        // Somebody watches only where there is a terminal.
        let pause = if io::stdout().is_terminal() { 700 } else { 0 };
        let out = anstream::stdout();
        Self { out, pause: Duration::from_millis(pause), escaped: 0 }
    }

    fn play(&mut self) -> io::Result<()> {
        self.say("I am a scripted agent in a sandbox. The pane beside me shows what I execute,")?;
        self.say("as the kernel saw it. First some honest work.")?;
        self.work()?;
        self.say("Now what I should not be able to do.")?;
        self.misbehave()?;
        self.say(match self.escaped {
            0 => "Everything forbidden was refused. The project is all I could change.",
            _ => "The sandbox did not hold. Please report this.",
        })
    }

    fn work(&mut self) -> io::Result<()> {
        self.shell("a repository", "git init --quiet . && git add --all")?;
        fs::write("hello.sh", "#!/bin/sh\necho \"hello from a script, process $$\"\n")?;
        fs::set_permissions("hello.sh", fs::Permissions::from_mode(0o755))?;
        self.run("a script", &["./hello.sh"])?;
        self.shell(
            "a child of a child of a child",
            "sh -c 'sh -c \"uname -sr; true\"; true'; true",
        )?;
        self.without_libc()?;
        self.shell(
            "a commit",
            "git add hello.sh && git -c user.name=demo -c user.email=demo@localhost \
             commit --quiet --message 'Say hello' && git log --oneline",
        )?;
        self.run("a command that fails", &["ls", "/no/such/directory"])
    }

    /// A static program that no preloaded library and no runtime could have reported.
    fn without_libc(&mut self) -> io::Result<()> {
        let Some(file) = program::without_libc() else {
            return self.say("(A program without a libc is left out: none for this processor.)");
        };
        fs::write("hello", file)?;
        fs::set_permissions("hello", fs::Permissions::from_mode(0o755))?;
        self.run("a program without a libc", &["./hello"])?;
        fs::remove_file("hello")
    }

    fn misbehave(&mut self) -> io::Result<()> {
        if let Some(secret) = std::env::var_os(SECRET_VARIABLE) {
            let read = Command::new("cat").arg(&secret).output()?;
            self.verdict("read a secret file in the home directory", !read.status.success())?;
        }
        let etc = Command::new("touch").arg(Path::new("/etc").join(MARK)).output()?;
        self.verdict("write a file in /etc", !etc.status.success())?;
        // The parent may be writable here: it is private then. The look from outside decides.
        let _ = Command::new("touch").arg(Path::new("..").join(MARK)).output()?;
        self.say("  wrote to the parent directory, if I could: the host will not have it.")?;
        let logs = Command::new("find")
            .args(["/", "-xdev", "-name", "events.jsonl", "-not", "-path", "/proc/*"])
            .output()?;
        self.verdict("find the log of this session", logs.stdout.is_empty())?;
        let processes = fs::read_dir("/proc")?
            .filter_map(Result::ok)
            .filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit))
            .count();
        self.verdict("see the host's processes", processes < 20)?;
        let init = OpenOptions::new().write(true).open("/proc/1/mem");
        self.verdict("write into process 1, which holds the sandbox", init.is_err())?;
        let outside = SocketAddr::from(([1, 1, 1, 1], 443));
        let network = TcpStream::connect_timeout(&outside, Duration::from_secs(2));
        self.verdict("reach the network", network.is_err())
    }

    fn say(&mut self, text: impl fmt::Display) -> io::Result<()> {
        writeln!(self.out, "{text}")?;
        thread::sleep(self.pause);
        Ok(())
    }

    fn verdict(&mut self, what: &str, refused: bool) -> io::Result<()> {
        if refused {
            self.say(format_args!("  {GREEN}refused{GREEN:#}   {what}"))
        } else {
            self.escaped += 1;
            self.say(format_args!("  {RED}ALLOWED{RED:#}   {what}"))
        }
    }

    fn shell(&mut self, title: &str, script: &str) -> io::Result<()> {
        self.run(title, &["sh", "-c", script])
    }

    /// Runs a command in the open: its title, its output, and its status where that is not 0.
    fn run(&mut self, title: &str, argv: &[&str]) -> io::Result<()> {
        self.say(format_args!("{BOLD}{title}{BOLD:#}"))?;
        self.out.flush()?;
        let [program, arguments @ ..] = argv else { return Ok(()) };
        match Command::new(program).args(arguments).stdin(Stdio::null()).status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => self.say(format_args!("  ({status})")),
            Err(err) => self.say(format_args!("  ({program} cannot be executed: {err})")),
        }
    }
}
