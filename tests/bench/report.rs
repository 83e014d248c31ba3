//! The tables of `docs/benchmarks.md`. A target that is missed stands there as missed.

use std::fmt::Write as _;

use super::pairs::{Pairs, Spread};

const BEGIN: &str = "<!-- measured: begin -->";
const END: &str = "<!-- measured: end -->";

/// The Markdown, growing section by section.
#[derive(Debug, Default)]
pub(crate) struct Report {
    text: String,
}

/// In which unit differences are shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit {
    pub(crate) name: &'static str,
    /// Nanoseconds, or whatever else the figures are in.
    pub(crate) size: f64,
}

pub(crate) const MILLISECONDS: Unit = Unit { name: "ms", size: 1e6 };
pub(crate) const MICROSECONDS: Unit = Unit { name: "µs", size: 1e3 };

/// What the project promises itself; always of a median, or of a single figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    /// Only shown.
    None,
    /// The ratio, at most.
    Ratio(f64),
    /// The ratio, at least: of rates.
    AtLeast(f64),
    /// The difference, at most, in the unit of the table.
    Added(f64),
}

/// One comparison.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// What it is compared with.
    pub(crate) beside: String,
    /// The pairs, or why there are none.
    pub(crate) pairs: Result<Pairs, String>,
    pub(crate) target: Target,
}

/// A figure that stands for itself: memory, and what has an absolute limit.
#[derive(Debug)]
pub(crate) struct Fact {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// At most.
    pub(crate) target: Option<f64>,
}

impl Report {
    /// Adds a paragraph.
    pub(crate) fn paragraph(&mut self, text: &str) {
        let _ = writeln!(self.text, "{text}\n");
    }

    /// Adds a table of comparisons.
    pub(crate) fn comparison(&mut self, title: &str, unit: Unit, rows: &[Row]) {
        let _ = writeln!(
            self.text,
            "### {title}\n\n| | beside | pairs | ratio | min–max | added {0} | min–max | target | met |\n\
             |---|---|---:|---:|---:|---:|---:|---:|---|",
            unit.name
        );
        for row in rows {
            self.row(unit, row);
        }
        self.text.push('\n');
    }

    fn row(&mut self, unit: Unit, row: &Row) {
        let Row { name, beside, pairs, target } = row;
        let _ = match pairs {
            Err(reason) => {
                let reason = reason.lines().next().unwrap_or_default().replace('|', "\\|");
                writeln!(self.text, "| {name} | {beside} | 0 | {reason} | | | | | not measured |")
            }
            Ok(pairs) => {
                let ratio = pairs.ratio();
                let added = pairs.added().divided_by(unit.size);
                let (limit, met) = judge(*target, unit, ratio, added);
                writeln!(
                    self.text,
                    "| {name} | {beside} | {} | {:.2} | {:.2}–{:.2} | {:+.2} | {:+.2} – {:+.2} | {limit} | {met} |",
                    pairs.count(),
                    ratio.median,
                    ratio.min,
                    ratio.max,
                    added.median,
                    added.min,
                    added.max,
                )
            }
        };
    }

    /// Adds a table of figures.
    pub(crate) fn facts(&mut self, title: &str, facts: &[Fact]) {
        let _ = writeln!(self.text, "### {title}\n\n| | | target | met |\n|---|---:|---:|---|");
        for Fact { name, value, unit, target } in facts {
            let limit = target.map_or(String::new(), |limit| format!("≤ {limit} {unit}"));
            let met = target.map_or("", |limit| answer(*value <= limit));
            let _ = writeln!(self.text, "| {name} | {value:.2} {unit} | {limit} | {met} |");
        }
        self.text.push('\n');
    }

    /// Everything so far.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

fn judge(target: Target, unit: Unit, ratio: Spread, added: Spread) -> (String, &'static str) {
    match target {
        Target::None => (String::new(), ""),
        Target::Ratio(limit) => (format!("≤ {limit:.2}"), answer(ratio.median <= limit)),
        Target::AtLeast(limit) => (format!("≥ {limit:.2}"), answer(ratio.median >= limit)),
        Target::Added(limit) => {
            (format!("≤ +{limit} {}", unit.name), answer(added.median <= limit))
        }
    }
}

fn answer(met: bool) -> &'static str {
    if met { "yes" } else { "**no**" }
}

/// The document with what is between its markers replaced.
pub(crate) fn replaced(document: &str, tables: &str) -> Option<String> {
    let (head, rest) = document.split_once(BEGIN)?;
    let (_, tail) = rest.split_once(END)?;
    Some(format!("{head}{BEGIN}\n\n{tables}{END}{tail}"))
}
