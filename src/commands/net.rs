//! `claudebox net`: which hosts a session may reach, and which it reached and was refused: as tables
//! for a person, or one JSON object. Host names are foreign text and must never reach the terminal
//! unescaped.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Result, Tried as _, printed};
use crate::log::encode;
use crate::log::net::totals::{Denied, Reached, Totals};
use crate::log::net::words;
use crate::log::reader::{Entry, Reader};
use crate::log::text;
use crate::network::live::Status;
use crate::network::rule::{Rule, Rules};
use crate::network::sockets::Way;
use crate::session::{Found, State};
use crate::supervisor;
use crate::visible::visible;

/// How many hosts of one group are named, where not all are asked for.
const NAMED: usize = 2;

/// How it is printed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Form {
    /// As one JSON object.
    pub(super) json: bool,
    /// Every host of a group is named.
    pub(super) all: bool,
    /// How wide the terminal is, where it is one.
    pub(super) columns: Option<u16>,
}

/// Prints the network of a session.
pub(super) fn net(found: &Found, form: Form, out: &mut dyn Write) -> Result<()> {
    // Asked before reading: what it allows meanwhile is in what is read.
    let live = match found.state {
        State::Running => supervisor::network(&found.session.runtime)?,
        _ => None,
    };
    let mut totals = read(&found.session.directory)?;
    if !found.state.lives() {
        totals.over();
    }
    for open in live.iter().flat_map(|live| &live.open) {
        totals.passing(&open.host, open.port, open.sent, open.received);
    }
    if totals.mode.is_empty() {
        totals.mode.clone_from(&found.record.network);
    }
    let known = Known { live: live.as_ref(), began_with: found.session.rules() };
    let shown = if form.json {
        json_line(found, &known, &totals).tried(|| "encode the network")?
    } else {
        tables(found, &known, &totals, form)
    };
    printed(out.write_all(shown.as_bytes()))
}

/// The rules of a session, from whoever knows them.
struct Known<'a> {
    /// A running session says what is in force now.
    live: Option<&'a Status>,
    /// What it began with.
    began_with: Option<Rules>,
}

impl Known<'_> {
    fn rules(&self) -> Option<&Rules> {
        self.live.map(|live| &live.rules).or(self.began_with.as_ref())
    }
}

/// What the log of the session says of the network. A session without a log had none.
fn read(directory: &Path) -> Result<Totals> {
    let mut totals = Totals::default();
    let mut read = || -> io::Result<()> {
        let mut reader = Reader::open(directory)?;
        while let Some(entry) = reader.next_entry()? {
            if let Entry::Event(event, _) = entry {
                totals.event(*event);
            }
        }
        Ok(())
    };
    match read() {
        Err(err) if err.kind() != io::ErrorKind::NotFound => {
            Err(Error::launcher(format!("cannot read the log of the session: {err}"))
                .hint("`claudebox verify` says whether it is damaged"))
        }
        _ => Ok(totals),
    }
}

/// `net --json`. Fields may be added; none may change its meaning.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    /// How the sandbox's traffic comes to the broker; only of a running session.
    #[serde(skip_serializing_if = "Option::is_none")]
    way: Option<&'static str>,
    /// The rules in force; of a session that is over those that it began with.
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<Value>,
    #[serde(flatten)]
    totals: &'a Totals,
}

fn json_line(found: &Found, known: &Known<'_>, totals: &Totals) -> serde_json::Result<String> {
    let list = |rules: &[Rule]| -> Value {
        let one = |rule: &Rule| {
            serde_json::json!({
                "rule": rule.to_string(), "text": rule.text, "origin": rule.origin,
            })
        };
        rules.iter().map(one).collect()
    };
    let rules = known
        .rules()
        .map(|rules| serde_json::json!({"allow": list(&rules.allow), "deny": list(&rules.deny)}));
    let way = known.live.map(|live| live.gateway.way.word());
    let object = Line { id: found.session.id.as_str(), way, rules, totals };
    Ok(encode::printable(&serde_json::to_string(&object)?) + "\n")
}

fn tables(found: &Found, known: &Known<'_>, totals: &Totals, form: Form) -> String {
    let Found { session, record, state } = found;
    let mut out = format!(
        "session {}, {state}: {} in {}\nnetwork {}\n",
        session.id,
        visible(&record.command),
        visible(&record.project),
        mode(&totals.mode, known.live),
    );
    let columns = form.columns.map(usize::from);
    if let Some(said) = known.rules() {
        // Of a session that is over: what was allowed meanwhile is a list of its own below.
        let head = if state.lives() { "MAY REACH" } else { "BEGAN WITH" };
        section(&mut out, &[head, "SAYS"], rules(&said.allow, form.all), columns);
        section(&mut out, &["NEVER", "SAYS"], rules(&said.deny, form.all), columns);
    }
    let reached = totals.reached.iter().map(reached).collect();
    let heads = ["REACHED", "TIMES", "OPEN", "FAILED", "SENT", "RECEIVED", "BY"];
    section(&mut out, &heads, reached, columns);
    let refused = totals.refused.iter().map(refused).collect();
    section(&mut out, &["REFUSED", "TIMES", "WHY"], refused, columns);
    let listening = totals.listening.iter().map(|listen| {
        vec![words::target(&listen.address, Some(listen.port)), words::listens(listen)]
    });
    section(&mut out, &["LISTENING", "WHERE"], listening.collect(), columns);
    let allowed = totals.allowed.iter().map(|rule| vec![words::said(rule)]);
    section(&mut out, &["ALLOWED MEANWHILE"], allowed.collect(), columns);
    if totals.not_listed > 0 {
        let _ =
            writeln!(out, "\nand {} events about more hosts than are listed", totals.not_listed);
    }
    out
}

fn mode(mode: &str, live: Option<&Status>) -> String {
    let way = live.map(|live| match live.gateway.way {
        Way::Veth => "allow: what is allowed, through a gateway of its own (veth)",
        Way::AnyIp => "allow: what is allowed, through the sandbox's own loopback (anyip)",
        Way::ProxyOnly => "allow: what is allowed, by programs that use a proxy (proxy-only)",
    });
    let said = match mode {
        "allow" => "allow: what is allowed",
        "none" => "none: only a loopback of its own",
        "host" => "host: all of the host's, nothing is refused",
        other => return visible(other),
    };
    way.unwrap_or(said).to_owned()
}

/// The rules, those of one group in one row.
fn rules(rules: &[Rule], all: bool) -> Vec<Vec<String>> {
    let most = if all { usize::MAX } else { NAMED };
    let mut groups: Vec<(&Rule, Vec<String>)> = Vec::new();
    for rule in rules {
        let said = |other: &Rule| other.text == rule.text && other.origin == rule.origin;
        match groups.iter_mut().find(|(first, _)| said(first)) {
            Some((_, targets)) => targets.push(rule.to_string()),
            None => groups.push((rule, vec![rule.to_string()])),
        }
    }
    let row = |(rule, targets): (&Rule, Vec<String>)| {
        let more = targets.len().saturating_sub(most);
        let mut shown = targets.iter().take(most).cloned().collect::<Vec<_>>().join(" ");
        if more > 0 {
            let _ = write!(shown, " +{more}");
        }
        let said =
            if rule.text.starts_with('@') { visible(&rule.text) + ": " + &shown } else { shown };
        vec![said, visible(&rule.origin)]
    };
    groups.into_iter().map(row).collect()
}

fn reached(it: &Reached) -> Vec<String> {
    let count = |count: u64| if count == 0 { "-".to_owned() } else { count.to_string() };
    let mut row = vec![
        words::target(&it.host, Some(it.port)),
        it.connections.to_string(),
        count(it.open),
        count(it.failed),
        words::amount(it.sent),
        words::amount(it.received),
        words::said(&it.rule),
    ];
    if let (Some(error), Some(last)) = (&it.error, row.last_mut()) {
        let _ = write!(last, "; {}", visible(error));
    }
    row
}

fn refused(it: &Denied) -> Vec<String> {
    let mut why = words::why(&it.last);
    if let Some(remedy) = words::remedy(&it.last) {
        let _ = write!(why, " · {remedy}");
    }
    vec![words::refused_target(&it.last), it.times.to_string(), why]
}

/// A table under its heading; nothing where it is empty. What stands between the first column and the
/// last are numbers; the last is broken into lines.
fn section(out: &mut String, heads: &[&str], rows: Vec<Vec<String>>, columns: Option<usize>) {
    if rows.is_empty() {
        return;
    }
    let mut table: Vec<Vec<String>> = vec![heads.iter().map(|head| (*head).to_owned()).collect()];
    table.extend(rows);
    let width = |at: usize| table.iter().map(|row| text::width(&row[at])).max().unwrap_or(0);
    let widths: Vec<usize> = (0..heads.len() - 1).map(width).collect();
    out.push('\n');
    for row in &table {
        let Some((last, cells)) = row.split_last() else { continue };
        let mut line = String::new();
        for (at, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            let gap = " ".repeat(width.saturating_sub(text::width(cell)));
            let pieces = if at == 0 { [cell.as_str(), &gap] } else { [gap.as_str(), cell] };
            line.extend(pieces);
            line.push_str("  ");
        }
        let indent = text::width(&line);
        let room = columns.map_or(usize::MAX, |all| all.saturating_sub(indent).max(16));
        let last = text::wrap(last, room).join(&format!("\n{:indent$}", ""));
        let _ = writeln!(out, "{}", (line + &last).trim_end());
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use insta::assert_snapshot;

    use super::*;
    use crate::log::event::{
        Connect, Disconnect, Event, FORMAT_VERSION, Listen, Refused, RuleSaid, Start,
    };
    use crate::log::sink::Sink as _;
    use crate::log::writer::{Limits, Writer};
    use crate::network::live::Connected;
    use crate::network::parse;
    use crate::network::sockets::Gateway;
    use crate::session::Sessions;
    use crate::session::tests::{dirs, draft};

    /// A session that reached something and was refused something, and is over.
    fn session() -> (tempfile::TempDir, Found) {
        let root = tempfile::tempdir().unwrap();
        let dirs = dirs(root.path());
        let sessions = Sessions::new(&dirs);
        let (session, locks) = sessions.create(draft("/p")).unwrap();
        let mut writer =
            Writer::create(&session.directory, session.id.as_str(), Limits::default()).unwrap();
        let rule = RuleSaid { text: "@npm".into(), origin: "claude.toml:9 (built in)".into() };
        let start = Start { v: FORMAT_VERSION, network: "allow".into(), ..Start::default() };
        let connect = Connect {
            id: 1,
            host: "registry.npmjs.org".into(),
            port: 443,
            rule,
            ..Connect::default()
        };
        let refused = Refused {
            host: "a\u{1b}[2J.example".into(),
            port: Some(22),
            protocol: "tcp".into(),
            why: "not-listed".into(),
            times: 12,
            allow: Some("a.example:22".into()),
            ..Refused::default()
        };
        let events = [
            Event::Start(start),
            Event::Connect(connect),
            Event::Disconnect(Disconnect {
                id: 1,
                sent: 2000,
                received: 5 << 20,
                ..Disconnect::default()
            }),
            Event::Refused(refused),
            Event::Listen(Listen { address: "::".into(), port: 3000, ..Listen::default() }),
        ];
        for event in &events {
            writer.write(event).unwrap();
        }
        writer.flush().unwrap();
        drop((writer, locks));
        let found = sessions.all().remove(0);
        (root, found)
    }

    fn said(found: &Found, json: bool, columns: Option<u16>) -> String {
        let mut out = Vec::new();
        net(found, Form { json, columns, all: false }, &mut out).unwrap();
        String::from_utf8(out).unwrap().replace(found.session.id.as_str(), "4k7xq2ab")
    }

    #[test]
    fn a_session_that_is_over_says_what_it_reached() {
        let (_root, found) = session();
        assert_snapshot!(said(&found, false, None), @r"
        session 4k7xq2ab, crashed: claude in /p
        network allow: what is allowed

        REACHED                 TIMES  OPEN  FAILED  SENT  RECEIVED  BY
        registry.npmjs.org:443      1     -       -  1.9K      5.0M  @npm (claude.toml:9 (built in))

        REFUSED               TIMES  WHY
        $'a\e[2J.example':22     12  is not allowed · claudebox allow a.example:22

        LISTENING  WHERE
        [::]:3000  listens inside
        ");
        let narrow = said(&found, false, Some(60));
        assert!(narrow.lines().all(|line| text::width(line) <= 80), "{narrow}");
    }

    #[test]
    fn json_is_one_object_that_only_prints() {
        let (_root, found) = session();
        let line = said(&found, true, None);
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["id"], "4k7xq2ab");
        assert_eq!(value["mode"], "allow");
        assert_eq!(value["reached"][0]["received"], 5 << 20);
        assert_eq!(value["refused"][0]["last"]["host"], "a\u{1b}[2J.example");
        assert!(line.ends_with('\n') && !line.contains('\u{1b}'), "{line}");
    }

    #[test]
    fn a_running_session_says_what_it_may_reach() {
        let (_root, found) = session();
        let allow = |text: &str, said: &str| Rule {
            text: said.into(),
            ..parse::allow(text, "claude.toml:9 (built in)").unwrap()
        };
        let rules = Rules {
            allow: vec![
                allow("registry.npmjs.org", "@npm"),
                allow("a.npmjs.org", "@npm"),
                allow("b.npmjs.org", "@npm"),
                allow("db.corp:5432 private", "db.corp:5432 private"),
            ],
            deny: vec![parse::deny("evil.test", "--").unwrap()],
        };
        let gateway = Gateway { way: Way::Veth, v4: Ipv4Addr::new(198, 18, 0, 1), v6: None };
        let open = Connected { host: "a.test".into(), port: 443, sent: 7, received: 8 };
        let live = Status { gateway, rules, names: 1, open: vec![open], published: Vec::new() };
        let known = Known { live: Some(&live), began_with: None };
        let found = Found { state: State::Running, ..found };
        let shown = tables(&found, &known, &Totals::default(), Form::default());
        let shown = shown.split_once("\n\n").unwrap().1;
        assert_snapshot!(shown, @r"
        MAY REACH                                        SAYS
        @npm: registry.npmjs.org:443 a.npmjs.org:443 +1  claude.toml:9 (built in)
        db.corp:5432 private                             claude.toml:9 (built in)

        NEVER      SAYS
        evil.test  --
        ");
        let all = Form { all: true, ..Form::default() };
        let all = tables(&found, &known, &Totals::default(), all);
        let named = "@npm: registry.npmjs.org:443 a.npmjs.org:443 b.npmjs.org:443  claude.toml:9";
        assert!(all.contains(named), "{all}");
        // When it is over, it is known what it began with.
        let began_with = Known { live: None, began_with: Some(live.rules.clone()) };
        let over = Found { state: State::Crashed, ..found.clone() };
        let shown = tables(&over, &began_with, &Totals::default(), Form::default());
        assert!(
            shown.contains("\nBEGAN WITH  ") && shown.contains("db.corp:5432 private"),
            "{shown}"
        );
        let json = json_line(&found, &known, &Totals::default()).unwrap();
        let value: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["rules"]["allow"][3]["rule"], "db.corp:5432 private");
        assert_eq!(value["way"], "veth");
    }
}
