//! Limits that a stranger's profile raises: whether what it says is above what holds without it.
#![forbid(unsafe_code)]

use std::fmt::Display;
use std::ops::Range;

use toml::Spanned;

use super::amounts::{Limit, Memory};
use super::merge::Layer;
use super::origin::Settled;
use super::settings::Settings;
use super::values::Size;
use crate::error::Result;

/// An untrusted limit must not be above the one that holds without it, on a machine with so many
/// bytes of `memory`.
pub(super) fn only_lower(layer: &Layer, settings: &Settings, memory: u64) -> Result<()> {
    let Some(limits) = &layer.profile.limits else { return Ok(()) };
    let held = &settings.limits;
    let bytes = |limit| in_bytes(limit, memory);
    let raised = [
        raised_size("tmp-size", limits.tmp_size.as_ref(), settings.tmp_size.as_ref()),
        raised_size("run-size", limits.run_size.as_ref(), settings.run_size.as_ref()),
        raised("processes", limits.processes.as_ref(), |said| said.0, held.processes.as_ref()),
        raised("open-files", limits.open_files.as_ref(), |said| said.0, held.open_files.as_ref()),
        raised("file-size", limits.file_size.as_ref(), |said| said.0, held.file_size.as_ref()),
        raised(
            "memory",
            limits.memory.as_ref(),
            |said| bytes(said.0),
            held.memory.clone().map(|held| held.map(bytes)).as_ref(),
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
    let held =
        held.map_or_else(|| "the default".to_owned(), |held| format!("{} bytes", held.value));
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

fn in_bytes(limit: Limit<Memory>, machine: u64) -> Limit<u64> {
    match limit {
        Limit::AtMost(memory) => Limit::AtMost(memory.bytes(machine)),
        Limit::Unlimited => Limit::Unlimited,
    }
}
