//! `make picture`: runs the demo in a real tmux and renders what is on the screen to
//! `docs/picture.svg`, so that the picture in the README is what a person sees.
//!
//! `cargo run --example picture -- FILE [COLUMNS ROWS]`
#![expect(clippy::print_stdout, reason = "run by hand, for a person")]

mod screen;
mod svg;

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// On the screen when the demo has come to its end and waits for the reader.
const END: &str = "Press Enter to leave";

/// The command, as the window's title.
const TITLE: &str = "claudebox run demo";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().unwrap_or_else(|| "docs/picture.svg".to_owned());
    let columns = arguments.next().unwrap_or_else(|| "120".to_owned());
    let rows = arguments.next().unwrap_or_else(|| "34".to_owned());
    let terminal = Terminal::open(&columns, &rows)?;
    let text = terminal.wait_for(END, Duration::from_secs(120))?;
    let screen = screen::parse(&text, columns.parse()?, rows.parse()?);
    std::fs::write(&file, svg::render(&screen, TITLE))?;
    println!("{file}");
    Ok(())
}

/// A private tmux server with the demo in it: a terminal emulator that can be asked for its cells.
struct Terminal {
    directory: tempfile::TempDir,
}

impl Terminal {
    fn open(columns: &str, rows: &str) -> Result<Self, Box<dyn Error>> {
        let terminal = Self { directory: tempfile::tempdir()? };
        let claudebox = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/claudebox");
        let new = ["-u", "-f", "/dev/null", "new-session", "-d", "-x", columns, "-y", rows, "--"];
        // A home and an environment of its own: nobody's configuration, and nobody's names.
        // Without TMUX, which would make claudebox split that one instead of opening its own.
        let home = terminal.directory.path().join("home");
        std::fs::create_dir(&home)?;
        let mut command: Vec<OsString> = new.into_iter().map(OsString::from).collect();
        command.extend(["env".into(), "-i".into(), assigned("HOME", &home)]);
        command.push(assigned("PATH", std::env::var_os("PATH").unwrap_or_default()));
        command
            .extend(["TERM=tmux-256color", "LANG=C.UTF-8", "COLORTERM=truecolor"].map(Into::into));
        command.extend([claudebox.into(), "run".into(), "demo".into()]);
        terminal.tmux(&command.iter().map(OsString::as_os_str).collect::<Vec<_>>())?;
        Ok(terminal)
    }

    fn wait_for(&self, text: &str, deadline: Duration) -> Result<String, Box<dyn Error>> {
        let until = Instant::now() + deadline;
        loop {
            let plain = self.tmux(&["capture-pane", "-p"].map(OsStr::new))?;
            if plain.contains(text) {
                // The log pane may be a moment behind.
                sleep(Duration::from_secs(1));
                return self.tmux(&["capture-pane", "-p", "-e", "-N"].map(OsStr::new));
            }
            if Instant::now() > until {
                return Err(format!("no {text:?} on the screen:\n{plain}").into());
            }
            sleep(Duration::from_millis(100));
        }
    }

    fn tmux(&self, arguments: &[&OsStr]) -> Result<String, Box<dyn Error>> {
        let socket = self.directory.path().join("tmux");
        let output = Command::new("tmux").arg("-S").arg(socket).args(arguments).output()?;
        if !output.status.success() {
            return Err(format!("tmux: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// `NAME=VALUE`
fn assigned(name: &str, value: impl AsRef<OsStr>) -> OsString {
    let mut word = OsString::from(name);
    word.push("=");
    word.push(value);
    word
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Its end ends the session: the server is ours alone.
        let _ = self.tmux(&[OsStr::new("kill-server")]);
    }
}
