//! What a session did, added up from its log: which programs ran and which were not found, and the
//! network. It keeps a bounded number of names. Of the arguments it keeps nothing.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};

use crate::bytes::Bytes;
use crate::log::event::{Event, Exec, ExecId, ExecLogStatus, Outcome, Ran};
use crate::log::net::totals::Totals;

/// How many names of programs are kept, and how many execs are waited for at once.
const MOST: usize = 10_000;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    /// Execs were observed.
    pub(crate) execs: bool,
    /// What the agent's processes executed, and how often; without the agent itself.
    pub(crate) ran: BTreeMap<String, u64>,
    /// What they looked for and did not find.
    pub(crate) missing: BTreeSet<String>,
    /// The network.
    pub(crate) network: Totals,
    /// Of these it is not known whether they ran: the process was gone too soon.
    untold: BTreeMap<String, u64>,
    waiting: BTreeMap<ExecId, Waiting>,
}

/// An exec of which is not known yet what became of it.
#[derive(Clone, Debug)]
struct Waiting {
    program: String,
    is_agent: bool,
}

impl Observed {
    /// The next event of the log.
    pub(crate) fn event(&mut self, event: Event) {
        match event {
            Event::Confined(confined) => {
                self.execs = matches!(confined.exec_log, ExecLogStatus::On { .. });
            }
            Event::Exec(exec) => self.exec(&exec),
            Event::Ran(ran) => self.outcome(&ran),
            other => self.network.event(other),
        }
    }

    /// The log is read to its end.
    pub(crate) fn over(&mut self) {
        self.network.over();
        // What was not found elsewhere was probably not found there either.
        for (program, times) in std::mem::take(&mut self.untold) {
            if !self.missing.contains(&program) || self.ran.contains_key(&program) {
                *self.ran.entry(program).or_default() += times;
            }
        }
        let ran = &self.ran;
        // A search along PATH fails in each directory but one.
        self.missing.retain(|program| !ran.contains_key(program));
    }

    fn exec(&mut self, exec: &Exec) {
        let Some(program) = program(&exec.path) else { return };
        self.waiting.insert(exec.id, Waiting { program, is_agent: exec.depth == 0 });
        if self.waiting.len() > MOST {
            self.waiting.pop_first();
        }
    }

    fn outcome(&mut self, ran: &Ran) {
        let Some(Waiting { program, is_agent }) = self.waiting.remove(&ran.id) else { return };
        match ran.outcome {
            Outcome::Failed | Outcome::ProbablyFailed
                if ran.errno.as_deref() == Some("ENOENT") && self.missing.len() < MOST =>
            {
                self.missing.insert(program);
            }
            Outcome::Failed | Outcome::ProbablyFailed | Outcome::Superseded | Outcome::Checked => {}
            _ if is_agent => {}
            Outcome::Unknown if self.untold.len() < MOST => {
                *self.untold.entry(program).or_default() += 1;
            }
            _ if self.ran.len() < MOST || self.ran.contains_key(&program) => {
                *self.ran.entry(program).or_default() += 1;
            }
            _ => {}
        }
    }
}

/// The name of a program, where it is one that a person would type.
fn program(path: &Bytes) -> Option<String> {
    let name = path.as_path().file_name()?.to_str()?;
    let plain = |ch: char| ch.is_ascii_alphanumeric() || "-_.+".contains(ch);
    (name.len() <= 64 && name.chars().all(plain)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec(id: ExecId, depth: u32, path: &str) -> Event {
        Event::Exec(Box::new(Exec { id, depth, path: path.into(), ..Exec::default() }))
    }

    fn ran(id: ExecId, outcome: Outcome, errno: Option<&str>) -> Event {
        let errno = errno.map(str::to_owned);
        Event::Ran(Ran { t: 0, id, outcome, argv: None, exe: None, errno })
    }

    #[test]
    fn what_is_found_at_last_is_not_missing() {
        let mut observed = Observed::default();
        let events = [
            exec(1, 0, "/usr/bin/agent"),
            ran(1, Outcome::Verified, None),
            exec(2, 1, "/usr/local/bin/git"),
            ran(2, Outcome::ProbablyFailed, Some("ENOENT")),
            exec(3, 1, "/usr/bin/git"),
            ran(3, Outcome::Verified, None),
            exec(4, 1, "/usr/bin/git"),
            ran(4, Outcome::OwnLoader, None),
            exec(5, 1, "/usr/bin/rg"),
            ran(5, Outcome::Failed, Some("ENOENT")),
            exec(6, 1, "/usr/bin/closed"),
            ran(6, Outcome::Failed, Some("EACCES")),
            exec(7, 1, "/tmp/x\ny"),
            ran(7, Outcome::Verified, None),
            exec(8, 1, "/usr/bin/asked"),
            ran(8, Outcome::Checked, None),
            exec(9, 1, "/usr/local/bin/rg"),
            ran(9, Outcome::Unknown, None),
            exec(10, 1, "/usr/bin/git"),
            ran(10, Outcome::Unknown, None),
        ];
        for event in events {
            observed.event(event);
        }
        observed.over();
        assert_eq!(observed.ran, [("git".to_owned(), 3)].into());
        assert_eq!(observed.missing, ["rg".to_owned()].into());
    }
}
