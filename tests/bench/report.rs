//! The table of `docs/benchmarks.md`: printed, and written between its markers.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::ratios::Row;

const BEGIN: &str = "<!-- measured: begin -->";
const END: &str = "<!-- measured: end -->";

/// The Markdown, growing section by section.
#[derive(Debug, Default)]
pub(crate) struct Report {
    text: String,
}

impl Report {
    /// Adds a paragraph.
    pub(crate) fn paragraph(&mut self, text: &str) {
        let _ = writeln!(self.text, "{text}\n");
    }

    /// Adds a table of ratios; figures are shown in `unit`, of which one is `nanoseconds`.
    pub(crate) fn ratios(&mut self, title: &str, unit: &str, nanoseconds: f64, rows: &[Row]) {
        let _ = writeln!(self.text, "### {title}\n");
        let _ = writeln!(self.text, "| | median {unit} | added {unit} | ratio | min | max |");
        let _ = writeln!(self.text, "|---|---:|---:|---:|---:|---:|");
        for row in rows {
            let [median, min, max] = row.ratio;
            let (figure, added) = (row.median / nanoseconds, row.added / nanoseconds);
            let _ = writeln!(
                self.text,
                "| {} | {figure:.2} | {added:.2} | {median:.2} | {min:.2} | {max:.2} |",
                row.name
            );
        }
        self.text.push('\n');
    }

    /// Adds a table of plain facts.
    pub(crate) fn facts(&mut self, title: &str, facts: &[(String, String)]) {
        let _ = writeln!(self.text, "### {title}\n\n| | |\n|---|---:|");
        for (name, value) in facts {
            let _ = writeln!(self.text, "| {name} | {value} |");
        }
        self.text.push('\n');
    }

    /// Prints everything.
    pub(crate) fn print(&self) {
        println!("{}", self.text);
    }

    /// Replaces what is between the markers of a document.
    pub(crate) fn write_into(&self, document: &Path) -> std::io::Result<()> {
        let text = fs::read_to_string(document)?;
        let parts = text
            .split_once(BEGIN)
            .and_then(|(head, rest)| rest.split_once(END).map(|(_, tail)| (head, tail)));
        let Some((head, tail)) = parts else {
            return Err(std::io::Error::other(format!("no {BEGIN} and {END} in it")));
        };
        fs::write(document, format!("{head}{BEGIN}\n\n{}{END}{tail}", self.text))
    }
}
