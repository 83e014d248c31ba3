//! The log of a session as a test sees it: through `claudebox log --json`, never through the file.

use claudebox::log::event::{Connect, Event, Exec, ExecLogStatus, Exit, Refused};
use serde_json::Value;

use super::place::Place;

/// The events of the latest session of the place's project.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) events: Vec<Event>,
}

impl Log {
    /// Reads them; every line must be an event, bare or in its chained envelope.
    pub(crate) fn latest(place: &Place) -> Self {
        let output = place.claudebox(["log", "--json"]).run().code(0);
        let events = output
            .stdout
            .lines()
            .map(|line| {
                let mut line: Value = serde_json::from_str(line).unwrap();
                let event = if line["e"].is_object() { line["e"].take() } else { line };
                serde_json::from_value(event.clone())
                    .unwrap_or_else(|err| panic!("not an event ({err}): {event}"))
            })
            .collect();
        Self { events }
    }

    /// Every exec whose argv matches.
    pub(crate) fn execs(&self, matches: impl Fn(&[String]) -> bool) -> Vec<&Exec> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Exec(exec) if matches(&argv(exec)) => Some(&**exec),
                _ => None,
            })
            .collect()
    }

    /// Whether the session's profile says by which variable the agent marks what it was ordered.
    pub(crate) fn has_tool_marker(&self) -> bool {
        let start = |event: &Event| matches!(event, Event::Start(it) if it.tool_marker.is_some());
        self.events.iter().any(start)
    }

    /// Every connection that was let through.
    pub(crate) fn connects(&self) -> impl Iterator<Item = &Connect> {
        self.events.iter().filter_map(|event| match event {
            Event::Connect(connect) => Some(connect),
            _ => None,
        })
    }

    /// Everything of the network that was refused.
    pub(crate) fn refused(&self) -> impl Iterator<Item = &Refused> {
        self.events.iter().filter_map(|event| match event {
            Event::Refused(refused) => Some(refused),
            _ => None,
        })
    }

    /// Where exit statuses come from.
    pub(crate) fn exit_source(&self) -> Option<&str> {
        self.events.iter().find_map(|event| match event {
            Event::Confined(confined) => match &confined.exec_log {
                ExecLogStatus::On { exit_source, .. } => Some(exit_source.as_str()),
                _ => None,
            },
            _ => None,
        })
    }

    /// How an exec's process ended.
    pub(crate) fn exit(&self, exec: &Exec) -> Option<&Exit> {
        self.events.iter().find_map(|event| match event {
            Event::Exit(exit) if exit.id == exec.id => Some(exit),
            _ => None,
        })
    }
}

/// An exec's arguments as text.
pub(crate) fn argv(exec: &Exec) -> Vec<String> {
    exec.argv.iter().map(|word| String::from_utf8_lossy(&word.0).into_owned()).collect()
}
