//! Runs one plan, read as JSON from a file, as the supervisor of a pane or of the user's terminal,
//! and writes its events as lines of JSON: the part of claudebox between a plan and an exit code.
//! The tests of the supervisor drive it.
//!
//! `supervise PLAN RUNTIME_DIR EVENTS own|users` or `supervise shell RUNTIME_DIR`.
#![expect(clippy::print_stderr, reason = "an example says how it is used")]

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use claudebox::error::{Error, Result, Tried as _};
use claudebox::log::event::Event;
use claudebox::log::sink::Sink;
use claudebox::plan::Plan;
use claudebox::supervisor::{Session, Terminal, run, shell};

struct Lines(File);

impl Sink for Lines {
    fn write(&mut self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.0.write_all(&line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let code = match args[..] {
        ["shell", runtime] => shell(Path::new(runtime)),
        [plan, runtime, events, terminal @ ("own" | "users")] => {
            let terminal = if terminal == "own" { Terminal::Own } else { Terminal::Users };
            supervise(plan, Path::new(runtime), events, terminal)
        }
        _ => Err(Error::usage("supervise PLAN RUNTIME_DIR EVENTS own|users")),
    };
    ExitCode::from(code.unwrap_or_else(|err| {
        eprintln!("claudebox: {err}");
        for hint in err.hints() {
            eprintln!("hint: {hint}");
        }
        err.kind().exit_code()
    }))
}

fn supervise(plan: &str, runtime: &Path, events: &str, terminal: Terminal) -> Result<u8> {
    let text = std::fs::read(plan).tried(|| "read the plan")?;
    let plan: Plan = serde_json::from_slice(&text).tried(|| "understand the plan")?;
    let sink =
        File::options().append(true).create(true).open(events).tried(|| "open the events")?;
    let session = Session { id: "example", directory: runtime, runtime, terminal };
    Ok(run(&plan, &session, Box::new(Lines(sink)))?.code)
}
