//! Where a value was said: layer, file and line, or option. `explain` and errors name it.
#![forbid(unsafe_code)]

use std::fmt;

use crate::visible::visible;

/// Where a value was said. Layers are ranked in this order; a later one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LayerKind {
    /// Ships with claudebox.
    BuiltIn,
    /// `/etc/claudebox`.
    System,
    /// `$XDG_CONFIG_HOME/claudebox`.
    User,
    /// The project's `.claudebox.toml`.
    Project,
    /// `config.toml` of the user.
    Config,
    /// The command line.
    CommandLine,
}

/// The place a value comes from, for `explain` and for errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Which layer.
    pub layer: LayerKind,
    /// The file as a person would name it (`base.toml (built in)`, `/home/a/…/x.toml`), or the
    /// option (`--bind`).
    pub source: String,
    /// Line, from 1; 0 for the command line.
    pub line: usize,
}

/// `FILE:LINE`, or the option; safe for a terminal.
impl fmt::Display for Origin {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&visible(&self.source))?;
        if self.line == 0 { Ok(()) } else { write!(to, ":{}", self.line) }
    }
}

/// A value and its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled<T> {
    /// The value.
    pub value: T,
    /// Where it was said.
    pub origin: Origin,
}

impl<T> Settled<T> {
    /// The same, in other terms.
    pub fn map<U>(self, to: impl FnOnce(T) -> U) -> Settled<U> {
        Settled { value: to(self.value), origin: self.origin }
    }
}
