//! Limits that a stranger's profile raises: whether what it says is above what holds without it.
#![forbid(unsafe_code)]

use std::fmt::{self, Display, Formatter};
use std::ops::Range;

use toml::Spanned;

use super::amounts::{Limit, Memory};
use super::merge::Layer;
use super::origin::Settled;
use super::settings::Settings;
use super::values::Size;
use crate::error::Result;
use crate::plan::limits::size;

/// An untrusted limit must not be above the one that holds without it, on a machine with so many
/// bytes of `memory`.
pub(super) fn only_lower(layer: &Layer, settings: &Settings, memory: u64) -> Result<()> {
    let Some(limits) = &layer.profile.limits else { return Ok(()) };
    let held = &settings.limits;
    let of_machine = |part: Memory| part.bytes(memory);
    let raised = [
        raised_size("tmp-size", limits.tmp_size.as_ref(), settings.tmp_size.as_ref()),
        raised_size("run-size", limits.run_size.as_ref(), settings.run_size.as_ref()),
        raised("processes", limits.processes.as_ref(), |said| said.0, held.processes.as_ref()),
        raised("open-files", limits.open_files.as_ref(), |said| said.0, held.open_files.as_ref()),
        raised(
            "file-size",
            limits.file_size.as_ref(),
            |said| in_bytes(said.0, |bytes| bytes),
            held.file_size
                .clone()
                .map(|held| held.map(|held| in_bytes(held, |bytes| bytes)))
                .as_ref(),
        ),
        raised(
            "memory",
            limits.memory.as_ref(),
            |said| in_bytes(said.0, of_machine),
            held.memory.clone().map(|held| held.map(|held| in_bytes(held, of_machine))).as_ref(),
        ),
        raised(
            "cpu",
            limits.cpu.as_ref(),
            |said| in_processors(said.0),
            held.cpu.clone().map(|held| held.map(in_processors)).as_ref(),
        ),
    ];
    let Some(Raised { key, span, held }) = raised.into_iter().flatten().next() else {
        return Ok(());
    };
    let title = format!("this project's profile is not trusted, and raises `limits.{key}`");
    Err(layer
        .source
        .error(span, &title)
        .hint(format!("it is {held} without it"))
        .hint("read it, then run `claudebox trust`"))
}

/// A limit that a stranger wants to raise.
struct Raised {
    key: &'static str,
    span: Range<usize>,
    /// What holds without it.
    held: String,
}

/// Sizes of file systems in memory have no "unlimited", and where nobody says one, claudebox's own
/// default holds, which a stranger does not get to replace.
fn raised_size(
    key: &'static str,
    said: Option<&Spanned<Size>>,
    held: Option<&Settled<u64>>,
) -> Option<Raised> {
    let said = said?;
    let most = held.map_or(0, |held| held.value);
    let held = held.map_or_else(|| "the default".to_owned(), |held| size(held.value));
    (said.get_ref().0 > most).then(|| Raised { key, span: said.span(), held })
}

fn raised<S, T: PartialOrd + Display>(
    key: &'static str,
    said: Option<&Spanned<S>>,
    limit: impl Fn(&S) -> Limit<T>,
    held: Option<&Settled<Limit<T>>>,
) -> Option<Raised> {
    let (said, held) = (said?, &held?.value);
    let raises = match (limit(said.get_ref()), held) {
        (Limit::AtMost(said), Limit::AtMost(held)) => said > *held,
        (Limit::Unlimited, Limit::AtMost(_)) => true,
        (_, Limit::Unlimited) => false,
    };
    raises.then(|| Raised { key, span: said.span(), held: held.to_string() })
}

fn in_processors(limit: Limit<u32>) -> Limit<f64> {
    match limit {
        Limit::AtMost(hundredths) => Limit::AtMost(f64::from(hundredths) / 100.0),
        Limit::Unlimited => Limit::Unlimited,
    }
}

fn in_bytes<T>(limit: Limit<T>, bytes: impl Fn(T) -> u64) -> Limit<Bytes> {
    match limit {
        Limit::AtMost(amount) => Limit::AtMost(Bytes(bytes(amount))),
        Limit::Unlimited => Limit::Unlimited,
    }
}

/// An amount as a person reads it.
#[derive(PartialEq, PartialOrd)]
struct Bytes(u64);

impl Display for Bytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&size(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_is_said_as_a_person_reads_it() {
        let machine = |part: Memory| part.bytes(25_276_515_765);
        let held = in_bytes(Limit::AtMost(Memory::Percent(80)), machine);
        assert_eq!(held.to_string(), "18.8 GiB");
        assert_eq!(in_bytes(Limit::AtMost(2 << 30), |bytes: u64| bytes).to_string(), "2 GiB");
        assert_eq!(in_bytes(Limit::Unlimited, machine).to_string(), "\"unlimited\"");
    }
}
