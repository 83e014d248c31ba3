//! The log as a person reads it: events go in, coloured lines come out. It decides nothing about
//! time (the caller says what time it is) and does no I/O. Everything that came from inside the
//! sandbox is made visible and quoted before it becomes part of a line; the only escape sequences
//! that come out are the colours added here.
#![forbid(unsafe_code)]

mod between;

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use regex_lite::Regex;

use self::between::{Between, Moment, Told};
use super::event::{Confined, End, Event, ExecLogStatus, Git, HostFile, Micros, Notice, Start};
use super::fold::{Fold, Shown};
use super::layout::{Beside, DIM, Layout};
use super::row::{Row, State, place};
use super::tree::{Rules, Tree};
use super::{net, quote, text};
use crate::bytes::Bytes;
use crate::visible::visible;

const WARNING: Style = AnsiColor::Yellow.on_default();
const ALARM: Style = AnsiColor::Red.on_default().bold();
/// So much earlier than the event before, in microseconds, means that the clock was set back; less is
/// two threads of the supervisor, each with its own look at it.
const SET_BACK: Micros = 1_000_000;

/// What is asked of the view.
#[derive(Clone, Debug)]
pub struct Options {
    /// The time zone of the times shown.
    pub zone: TimeZone,
    /// Nothing is folded, unwrapped or left out.
    pub all: bool,
    /// Only what went wrong, and claudebox's own words.
    pub failed: bool,
    /// Every command has a row, and lines are drawn from each to what it started.
    pub tree: bool,
    /// Only commands, and lines between them, whose text matches.
    pub grep: Option<Regex>,
}

/// The view of one log.
#[derive(Debug)]
pub struct View {
    options: Options,
    layout: Layout,
    tree: Tree,
    fold: Fold,
    net: net::fold::Fold,
    between: Between,
    began: Option<Micros>,
    /// When it was last, by whatever said so.
    latest: Micros,
    project: Bytes,
    /// The log is not seen from its beginning.
    partial: bool,
    damaged: u64,
    day: Option<Date>,
    cwd: Option<Bytes>,
    out: String,
}

impl View {
    /// A view that has seen nothing.
    pub fn new(options: Options) -> Self {
        let greps = options.grep.is_some();
        let rules = Rules {
            raw: options.all,
            whole: options.tree,
            selects: options.failed || greps,
            greps,
            ..Rules::default()
        };
        let net = net::fold::Fold::new(options.all);
        Self {
            options,
            layout: Layout::default(),
            tree: Tree::new(rules),
            fold: Fold::default(),
            net,
            between: Between::default(),
            began: None,
            latest: 0,
            project: Bytes::default(),
            partial: false,
            damaged: 0,
            day: None,
            cwd: None,
            out: String::new(),
        }
    }

    /// How many columns there are from now on; `None`: as many as needed. With nothing left out
    /// nothing is cut either.
    pub fn set_width(&mut self, width: Option<u16>) {
        self.layout.width = width.filter(|_| !self.options.all).map(usize::from);
        self.tree.layout = self.layout;
    }

    /// The lines that are ready.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.out)
    }

    /// When [`Self::pass`] would show something although no event comes.
    pub fn deadline(&self) -> Option<Micros> {
        let rows = self.tree.deadline().into_iter().chain(self.fold.deadline());
        rows.chain(self.net.deadline()).chain(self.between.deadline()).min()
    }

    /// The next event.
    pub fn event(&mut self, event: Event) {
        let now = time(&event).unwrap_or(self.latest);
        self.pass(now);
        match event {
            Event::Start(start) => self.start(&start),
            Event::Confined(confined) => self.confined(&confined),
            Event::Exec(exec) => self.tree.exec(*exec),
            Event::Ran(ran) => self.tree.ran(ran),
            Event::Exit(exit) => self.tree.exit(&exit),
            Event::Notice(notice) => self.notice(&notice),
            Event::HostFile(file) => self.host_file(&file),
            Event::Git(git) => self.git(&git),
            Event::End(end) => self.end(&end),
            event @ (Event::Connect(_)
            | Event::Disconnect(_)
            | Event::Refused(_)
            | Event::Allow(_)
            | Event::Listen(_)) => self.net.event(&event),
            Event::Segment(_) | Event::Unknown => {}
        }
        self.show(now);
    }

    /// A line of the log that holds no event.
    pub fn damaged(&mut self) {
        self.damaged += 1;
        if self.damaged == 1 {
            self.say(
                "damaged",
                "a line of the log cannot be read; `claudebox verify` says where",
                ALARM,
            );
        }
    }

    /// Time has passed. If the clock was set back, all that waits is shown: it would wait for as long
    /// again, and a day without a word of what is refused is what an attacker would like.
    pub fn pass(&mut self, now: Micros) {
        let set_back = now.saturating_add(SET_BACK) < self.latest;
        self.latest = now;
        let now = if set_back { Micros::MAX } else { now };
        self.tree.pass(now);
        self.net.pass(now);
        self.show(now);
        let mut shown = Vec::new();
        self.fold.pass(now, &mut shown);
        self.render(shown);
    }

    /// Events are left out here.
    pub fn leap(&mut self) {
        self.partial = true;
        self.say("…", "earlier commands are left out; `claudebox log` shows them all", DIM);
    }

    /// No more events will come, or none for now: shows whatever still waits. `alive`: the session
    /// goes on.
    pub fn finish(&mut self, alive: bool) {
        self.tree.finish(if alive { &State::Running } else { &State::Gone });
        self.net.finish();
        self.show(Micros::MAX);
        self.interrupt();
    }

    /// The log ends, and not with an [`Event::End`].
    pub fn broke_off(&mut self) {
        self.finish(false);
        self.say("ended", "the log has no end: the supervisor died or could not write it", ALARM);
    }

    fn start(&mut self, start: &Start) {
        self.began = Some(start.t);
        self.project = start.project.clone();
        self.tree.begin(&start.project);
        self.cwd = Some(start.project.clone());
        self.tree.rules.helpers.clone_from(&start.helpers);
        // Which agent it is the profile says, that nothing inside has written.
        let claude = start.tool_marker.as_deref() == Some("CLAUDECODE");
        let home = start.home.as_ref().filter(|_| claude);
        let snapshots = home.map(|home| [&home.0[..], b"/.claude/shell-snapshots"].concat());
        self.tree.rules.snapshots = snapshots;
        let when = self.zoned(start.t);
        let date =
            when.as_ref().map_or_else(String::new, |when| when.strftime("%F %T").to_string());
        self.day = when.map(|when| when.date());
        let agent = match start.agent.split_first() {
            Some((program, rest)) => quote::program(&program.0) + &quote::arguments(rest),
            None => String::new(),
        };
        let bold = Style::new().bold();
        let session = format!("{}  {date}", visible(&start.session));
        self.words("session ", &session, Style::new());
        self.words("agent   ", &agent, bold);
        self.words("project ", &quote::word(&start.project.0), Style::new());
        let profile = format!("{}, network {}", visible(&start.profile), visible(&start.network));
        self.words("profile ", &profile, Style::new());
        for what in &start.weakened {
            self.words("WEAKENED", &visible(what), WARNING);
        }
    }

    fn confined(&mut self, confined: &Confined) {
        let mut fine = Vec::new();
        let mut weak = Vec::new();
        match confined.landlock.as_str() {
            "fully" => fine.push(format!("Landlock (ABI {})", confined.landlock_abi)),
            other => weak.push(format!("Landlock: {}", visible(other))),
        }
        match &confined.exec_log {
            ExecLogStatus::On { verifies, .. } => {
                self.tree.rules.verifies = *verifies;
                if *verifies {
                    fine.push("every exec is seen and its arguments confirmed".to_owned());
                } else {
                    fine.push("every exec is seen".to_owned());
                    weak.push("arguments cannot be confirmed on this machine".to_owned());
                }
            }
            ExecLogStatus::Off => weak.push("commands are not logged".to_owned()),
            ExecLogStatus::Unavailable { reason } => {
                weak.push(format!("commands are not logged: {}", visible(reason)));
            }
        }
        if !fine.is_empty() {
            self.words("confined", &fine.join("; "), Style::new());
        }
        for what in weak {
            self.words("WEAKENED", &what, WARNING);
        }
    }

    fn notice(&mut self, notice: &Notice) {
        self.tell(notice.t, visible(&notice.text), WARNING, true);
    }

    fn host_file(&mut self, file: &HostFile) {
        let (path, who) = (quote::word(&file.path.0), visible(&file.who));
        let words = format!("{} host file {path}: {who}", visible(&file.change));
        let style = if file.tracked || file.change == "gone" { WARNING } else { ALARM };
        self.tell(file.t, words, style, false);
    }

    fn git(&mut self, git: &Git) {
        let place = git.submodule.as_ref().map(|path| quote::word(&path.0) + ": ");
        let sync = if git.asked { "git sync" } else { "git" };
        let words = format!("{sync}: {}{}", place.unwrap_or_default(), visible(&git.text));
        let style = match git.what.as_str() {
            "held" | "rewritten" | "deleted" => WARNING,
            _ => Style::new(),
        };
        self.tell(git.t, words, style, git.what == "held");
    }

    /// Tells of something between the rows, as soon as those are shown that are older. `is_bad`: who asks
    /// for what went wrong wants to know, too.
    fn tell(&mut self, t: Micros, words: String, style: Style, is_bad: bool) {
        if self.is_asked_for(is_bad, &[&words]) {
            self.between.push(Told::Words { t, words, style });
        }
    }

    /// Whether something is among what was asked for, going by these texts of it.
    fn is_asked_for(&self, is_bad: bool, texts: &[&str]) -> bool {
        let matches = |regex: &Regex| texts.iter().any(|text| regex.is_match(text));
        (!self.options.failed || is_bad) && self.options.grep.as_ref().is_none_or(matches)
    }

    fn end(&mut self, end: &End) {
        self.finish(false);
        let mut words = format!("exit code {}", end.code);
        if end.reason != "agent-exited" {
            let _ = write!(words, " ({})", visible(&end.reason));
        }
        let by_the_clock = self.began.map(|began| end.t.saturating_sub(began));
        if let Some(length) = end.dur_us.or(by_the_clock) {
            let _ = write!(words, " after {}", text::duration(length));
        }
        let _ = write!(words, ", {}", text::count(end.execs, "command"));
        if !self.partial {
            let _ = write!(words, ", {} failed", self.tree.failed);
            self.net.sum(&mut words);
        }
        if self.damaged > 0 {
            let lines = text::count(self.damaged, "damaged line");
            let _ = write!(words, ", {lines} in the log");
        }
        let style = if end.code == 0 { Style::new().bold() } else { ALARM };
        self.words("ended   ", &words, style);
    }

    /// Says something between the rows.
    fn say(&mut self, label: &str, words: &str, style: Style) {
        self.interrupt();
        self.words(label, words, style);
    }

    fn words(&mut self, label: &str, words: &str, style: Style) {
        self.layout.words(label, words, style, &mut self.out);
    }

    fn interrupt(&mut self) {
        let mut shown = Vec::new();
        self.fold.interrupt(&mut shown);
        self.render(shown);
    }

    /// Shows what is ready by now, the older first.
    fn show(&mut self, now: Micros) {
        for row in self.net.take() {
            if self.is_asked_for(row.what.is_bad(), &[&row.text()]) {
                self.between.push(Told::Net(row));
            }
        }
        let mut moment = Moment { now, waits: self.tree.waits(), next: None };
        for mut row in self.tree.take() {
            // The lines of a drawn tree are not broken.
            if row.branch.is_empty() {
                moment.next = Some(row.t);
                self.show_between(moment);
            }
            let claimed = row.claimed.as_deref().unwrap_or(&row.text);
            if !self.is_asked_for(row.state.is_bad(), &[&row.text, claimed]) {
                continue;
            }
            if self.options.failed || self.options.grep.is_some() {
                row.helper = None;
            }
            let mut shown = Vec::new();
            if self.options.all {
                shown.push(Shown::Row(row));
            } else {
                self.fold.row(row, &mut shown);
            }
            self.render(shown);
        }
        moment.next = None;
        self.show_between(moment);
    }

    fn show_between(&mut self, moment: Moment) {
        while let Some(line) = self.between.next(moment) {
            self.interrupt();
            match line {
                Told::Net(row) => {
                    let time = self.time(row.t);
                    self.layout.net(&row, &time, &mut self.out);
                }
                Told::Words { t, words, style } => {
                    let time = self.time(t);
                    self.layout.words(&time, &words, style, &mut self.out);
                }
            }
        }
    }

    fn render(&mut self, shown: Vec<Shown>) {
        for shown in shown {
            match shown {
                Shown::Row(row) => self.row(&row, None),
                Shown::Again(row, count) => self.row(&row, Some(count)),
                Shown::Helpers(helpers) => {
                    let time = self.time(helpers.t);
                    self.layout.helpers(&time, &helpers, &mut self.out);
                }
            }
        }
    }

    fn row(&mut self, row: &Row, again: Option<u64>) {
        let time = self.time(row.t);
        let moved = row.cwd.is_some() && row.cwd != self.cwd;
        let cwd = row.cwd.as_ref().filter(|_| moved).map(|cwd| place(cwd, &self.project));
        if moved {
            self.cwd.clone_from(&row.cwd);
        }
        let beside = Beside { time: &time, cwd: cwd.as_deref(), again };
        let shown = self.layout.row(row, beside, &mut self.out);
        // What is cut, or left out by what was asked for, nobody has read.
        if let Some(place) = row.place.as_ref().filter(|place| place.columns <= shown) {
            self.tree.see(place);
        }
    }

    /// The time of day; where a new day begins, a line says so first.
    fn time(&mut self, t: Micros) -> String {
        let Some(zoned) = self.zoned(t) else { return "--:--".to_owned() };
        let day = zoned.date();
        if self.day.is_some_and(|before| before != day) {
            let date = format!("── {day} ──");
            self.words(&date, "", DIM);
        }
        self.day = Some(day);
        zoned.strftime(self.layout.clock()).to_string()
    }

    fn zoned(&self, t: Micros) -> Option<Zoned> {
        let time = Timestamp::from_microsecond(i64::try_from(t).ok()?).ok()?;
        Some(time.to_zoned(self.options.zone.clone()))
    }
}

/// When an event happened.
fn time(event: &Event) -> Option<Micros> {
    Some(match event {
        Event::Start(it) => it.t,
        Event::Confined(it) => it.t,
        Event::Exec(it) => it.t,
        Event::Ran(it) => it.t,
        Event::Exit(it) => it.t,
        Event::Notice(it) => it.t,
        Event::HostFile(it) => it.t,
        Event::Git(it) => it.t,
        Event::Connect(it) => it.t,
        Event::Disconnect(it) => it.t,
        Event::Refused(it) => it.t,
        Event::Allow(it) => it.t,
        Event::Listen(it) => it.t,
        Event::Segment(it) => it.t,
        Event::End(it) => it.t,
        Event::Unknown => return None,
    })
}

#[cfg(test)]
mod tests;
