//! `claudebox log`: the log of a session on standard output, once or as it grows. It must never
//! hold a lock on the log, wake up while nothing happens, or keep more of the log in memory than
//! the commands that are running.

use std::io::{self, IsTerminal as _, Write};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;
use regex_lite::Regex;

use super::clock::now;
use super::encode;
use super::event::Event;
use super::follow::{Watch, Woken};
use super::reader::{self, Entry, Reader};
use super::view::{Options, View};
use crate::cli::LogArgs;
use crate::error::{Error, Result, Tried as _};
use crate::visible::visible;

/// With `--follow` on a terminal a long log begins with about this many of its last lines.
const TAIL: usize = 3000;
/// Output is handed on when this much is ready, in bytes.
const BLOCK: usize = 16 << 10;

/// A line that is too long ends at the terminal's edge (DECAWM off): broken there it would begin a
/// line, where the agent's words can read as a row. It is off only while lines are written, so that
/// whoever is interrupted leaves the user's terminal as it was.
const CUT_LINES: &[u8] = b"\x1b[?7l";
/// And on again.
const BREAK_LINES: &[u8] = b"\x1b[?7h";

/// Where the log is shown.
pub struct Screen<'a> {
    /// Takes the lines.
    pub out: &'a mut dyn Write,
    /// Asked again for every event: how many columns there are, `None` where lines may be long.
    pub columns: &'a dyn Fn() -> Option<u16>,
    /// Behind `out`; watched for its reader going away.
    pub fd: BorrowedFd<'a>,
    /// A person looks at it.
    pub terminal: bool,
}

/// Shows a session's log on standard output, as the arguments ask for it.
pub fn to_stdout(directory: &Path, args: &LogArgs) -> Result<()> {
    let stdout = io::stdout();
    let columns = || rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col);
    let columns = || columns().filter(|columns| *columns > 0);
    let mut screen = Screen {
        out: &mut anstream::stdout().lock(),
        columns: &columns,
        fd: stdout.as_fd(),
        terminal: stdout.is_terminal(),
    };
    show(directory, args, &mut screen)
}

/// Shows a session's log. Returns when the log ends, or without `--follow` where it ends for now.
/// A reader of the output that goes away is no failure.
pub fn show(directory: &Path, args: &LogArgs, screen: &mut Screen<'_>) -> Result<()> {
    let fits = screen.terminal && !args.json && !args.all;
    let mut show = Show { directory, printer: Printer::new(args)?, ready: String::new(), fits };
    let result = if args.follow { show.follow(screen) } else { show.once(screen) };
    match result {
        Err(err) if err.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            Err(Error::launcher("this session has no log")
                .hint("it was not started, or it ended before its agent was"))
        }
        other => other.tried(|| "show the log"),
    }
}

/// How events become text.
enum Printer {
    Json,
    View(Box<View>),
}

impl Printer {
    fn new(args: &LogArgs) -> Result<Self> {
        if args.json {
            return Ok(Self::Json);
        }
        let grep = args.grep.as_deref().map(Regex::new).transpose().map_err(|err| {
            Error::usage(format!("--grep is no regular expression: {}", visible(err.to_string())))
                .hint("put a backslash before ( ) [ ] { } . * + ? to mean the character itself")
        })?;
        let options = Options {
            zone: TimeZone::system(),
            all: args.all,
            failed: args.failed,
            tree: args.tree,
            grep,
        };
        Ok(Self::View(Box::new(View::new(options))))
    }
}

struct Show<'a> {
    directory: &'a Path,
    printer: Printer,
    /// Text that has not been handed on.
    ready: String,
    /// Lines are cut to the width of a terminal.
    fits: bool,
}

impl Show<'_> {
    fn once(&mut self, screen: &mut Screen<'_>) -> io::Result<()> {
        // Asked before reading: a session that ends meanwhile has its end in what is read.
        let mut reader = Reader::open(self.directory)?;
        let live = reader::is_live(self.directory)?;
        let ended = self.read(&mut reader, screen)?;
        match &mut self.printer {
            Printer::View(view) if !ended && live => view.finish(true),
            Printer::View(view) if !ended => view.broke_off(),
            _ => {}
        }
        self.print(screen)
    }

    fn follow(&mut self, screen: &mut Screen<'_>) -> io::Result<()> {
        let watch = Watch::new(self.directory)?;
        let Some(mut reader) = self.begin(&watch, screen)? else { return Ok(()) };
        loop {
            let live = reader::is_live(self.directory)?;
            if self.read(&mut reader, screen)? {
                return self.print(screen);
            }
            if !live {
                // Nobody will write the end that was just looked for.
                if let Printer::View(view) = &mut self.printer {
                    view.broke_off();
                }
                return self.print(screen);
            }
            let timeout = match &mut self.printer {
                Printer::Json => None,
                Printer::View(view) => {
                    let now = now();
                    view.pass(now);
                    view.deadline().map(|then| Duration::from_micros(then.saturating_sub(now)))
                }
            };
            self.print(screen)?;
            if watch.wait(screen.fd, timeout)? == Woken::HungUp {
                return Ok(());
            }
        }
    }

    /// Waits for the log to begin; on a terminal leaps to its last lines. `None` where the reader
    /// of the output went away first.
    fn begin(&mut self, watch: &Watch, screen: &mut Screen<'_>) -> io::Result<Option<Reader>> {
        let mut reader = loop {
            match Reader::open(self.directory) {
                // The supervisor locks the log before it writes the first line.
                Ok(reader) if !reader.is_empty()? => break reader,
                Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
                _ => {}
            }
            if watch.wait(screen.fd, None)? == Woken::HungUp {
                return Ok(None);
            }
        };
        if let (Printer::View(view), true) = (&mut self.printer, screen.terminal) {
            let tail = Reader::open_tail(self.directory, TAIL)?;
            if !tail.is_at_start() {
                view.set_width((screen.columns)());
                // The header: what started, and what confines it.
                for _ in 0..2 {
                    match reader.next_entry()? {
                        Some(Entry::Event(event, _))
                            if matches!(*event, Event::Start(_) | Event::Confined(_)) =>
                        {
                            view.event(*event);
                        }
                        _ => break,
                    }
                }
                view.leap();
                reader = tail;
            }
        }
        Ok(Some(reader))
    }

    /// Shows what there is to read. Says whether the log has come to its end.
    fn read(&mut self, reader: &mut Reader, screen: &mut Screen<'_>) -> io::Result<bool> {
        let mut ended = false;
        while let Some(entry) = reader.next_entry()? {
            match (entry, &mut self.printer) {
                (Entry::Event(event, raw), Printer::Json) => {
                    ended |= matches!(*event, Event::End(_));
                    self.ready.push_str(&encode::printable(raw));
                    self.ready.push('\n');
                }
                (Entry::Damaged, Printer::Json) => {}
                (entry, Printer::View(view)) => {
                    view.set_width((screen.columns)());
                    match entry {
                        Entry::Event(event, _) => {
                            ended |= matches!(*event, Event::End(_));
                            view.event(*event);
                        }
                        Entry::Damaged => view.damaged(),
                    }
                    self.ready.push_str(&view.take());
                }
            }
            if self.ready.len() >= BLOCK {
                self.print(screen)?;
            }
        }
        Ok(ended)
    }

    fn print(&mut self, screen: &mut Screen<'_>) -> io::Result<()> {
        if let Printer::View(view) = &mut self.printer {
            self.ready.push_str(&view.take());
        }
        if self.ready.is_empty() {
            return Ok(());
        }
        self.set_breaks(screen, CUT_LINES);
        let written = screen.out.write_all(self.ready.as_bytes()).and_then(|()| screen.out.flush());
        self.set_breaks(screen, BREAK_LINES);
        self.ready.clear();
        written
    }

    /// Past `out`, which takes every escape sequence away from who wants no colours. A terminal that does
    /// not take it gets lines that fit by our own count.
    fn set_breaks(&self, screen: &Screen<'_>, sequence: &[u8]) {
        if self.fits {
            let _ = rustix::io::write(screen.fd, sequence);
        }
    }
}
