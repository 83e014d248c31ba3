//! How much of the machine a profile grants: counts, sizes, shares, each of which can be lifted
//! again with `"unlimited"`. Checked where they are parsed, like all other values.
//! It must never look at the machine: what a share of its memory is, policy says.
//!
//! The first line of an error says what is wrong, each further line is a hint.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use super::values::parse_size;
use crate::visible::visible;

/// Takes a limit of a lower layer away.
const UNLIMITED: &str = "unlimited";

/// Fewer processes than this, and a shell with a pipe fails: bwrap and the inner stage are two.
const LEAST_PROCESSES: u64 = 16;
/// Fewer open files than this, and programs fail to load their libraries.
const LEAST_FILES: u64 = 64;
/// With less memory than this (bytes) not even the sandbox itself comes up.
const LEAST_MEMORY: u64 = 64 << 20;
/// The kernel's smallest quota is a hundredth of a period (1 ms of 100 ms).
const LEAST_CPU: f64 = 0.01;
/// More processors than any machine has.
const MOST_CPU: f64 = 65536.0;

/// What a profile says of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit<T> {
    /// No more than this.
    AtMost(T),
    /// As much as the machine gives.
    Unlimited,
}

/// A part of the machine's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths of all there is.
    Percent(u8),
}

impl Memory {
    /// In bytes, on a machine with so many.
    pub fn bytes(self, machine: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => {
                let part = u128::from(machine) * u128::from(percent) / 100;
                u64::try_from(part).unwrap_or(u64::MAX)
            }
        }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{bytes}"),
            Self::Percent(percent) => write!(f, "\"{percent}%\""),
        }
    }
}

/// How a profile would write it.
impl<T: fmt::Display> fmt::Display for Limit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(amount) => amount.fmt(f),
            Self::Unlimited => write!(f, "\"{UNLIMITED}\""),
        }
    }
}

/// Declares a limit as a key holds it: a newtype whose only way in is its check.
macro_rules! limit {
    ($(#[$doc:meta])* $name:ident, $amount:ty, $parse:path, $schema:tt) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(pub Limit<$amount>);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Written).and_then(|written| match written {
                    Value::Text(text) if text == UNLIMITED => Ok(Self(Limit::Unlimited)),
                    other => $parse(&other)
                        .map(|amount| Self(Limit::AtMost(amount)))
                        .map_err(de::Error::custom),
                })
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

limit! {
    /// How many processes and threads there may be.
    Processes, u64, processes,
    { "anyOf": [{ "type": "integer", "minimum": 16 }, { "const": "unlimited" }] }
}
limit! {
    /// How many files a process may have open.
    OpenFiles, u64, open_files,
    { "anyOf": [{ "type": "integer", "minimum": 64 }, { "const": "unlimited" }] }
}
limit! {
    /// How large a file may become, in bytes.
    FileSize, u64, file_size,
    { "type": "string" }
}
limit! {
    /// How much memory everything inside may have together.
    MemorySize, Memory, memory,
    { "type": "string" }
}
limit! {
    /// How much of the processors' time, in hundredths of one processor.
    Cpu, u32, cpu,
    { "anyOf": [{ "type": "number", "minimum": 0.01 }, { "const": "unlimited" }] }
}

/// A value as it stands in the file.
#[derive(Clone, Debug)]
enum Value {
    Text(String),
    Number(f64),
    Whole(u64),
}

struct Written;

impl Visitor<'_> for Written {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a string")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        u64::try_from(number).map(Value::Whole).map_err(|_| E::custom("a limit is not negative"))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Whole(number))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }
}

fn processes(written: &Value) -> Result<u64, String> {
    count(written, LEAST_PROCESSES, "processes")
}

fn open_files(written: &Value) -> Result<u64, String> {
    count(written, LEAST_FILES, "open files")
}

fn count(written: &Value, least: u64, what: &str) -> Result<u64, String> {
    match written {
        Value::Whole(number) if *number < least => {
            Err(format!("{number} {what} are too few to work with\n{least} are the least"))
        }
        Value::Whole(number) => Ok(*number),
        _ => Err(format!("this is not a number of {what}\nwrite 4096, or \"{UNLIMITED}\"")),
    }
}

fn file_size(written: &Value) -> Result<u64, String> {
    let Value::Text(text) = written else {
        return Err(format!("a number alone is not a size\nwrite \"512MiB\", or \"{UNLIMITED}\""));
    };
    parse_size(text)
}

fn memory(written: &Value) -> Result<Memory, String> {
    let hint = format!("write \"4GiB\", \"50%\" of the machine's, or \"{UNLIMITED}\"");
    let Value::Text(text) = written else {
        return Err(format!("a number alone is not an amount of memory\n{hint}"));
    };
    let Some(percent) = text.strip_suffix('%') else {
        return match parse_size(text)? {
            bytes if bytes < LEAST_MEMORY => {
                Err("this is too little to work with\n\"64MiB\" is the least".to_owned())
            }
            bytes => Ok(Memory::Bytes(bytes)),
        };
    };
    match percent.trim().parse() {
        Ok(percent @ 1..=100) => Ok(Memory::Percent(percent)),
        _ => Err(format!("`{}` is not a part of the memory\n{hint}", visible(text))),
    }
}

fn cpu(written: &Value) -> Result<u32, String> {
    let processors = match written {
        Value::Number(number) => *number,
        Value::Whole(number) => f64::from(u32::try_from(*number).unwrap_or(u32::MAX)),
        Value::Text(_) => f64::NAN,
    };
    if !(LEAST_CPU..=MOST_CPU).contains(&processors) {
        return Err(format!("this is not a number of processors\nwrite 1.5, or \"{UNLIMITED}\""));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in that range")]
    Ok((processors * 100.0).round() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, rename_all = "kebab-case")]
    struct File {
        processes: Option<Processes>,
        open_files: Option<OpenFiles>,
        size: Option<FileSize>,
        memory: Option<MemorySize>,
        cpu: Option<Cpu>,
    }

    fn read(text: &str) -> File {
        toml::from_str(text).unwrap()
    }

    fn refused(text: &str) -> String {
        toml::from_str::<File>(text).unwrap_err().message().to_owned()
    }

    #[test]
    fn amounts_are_what_a_person_would_write() {
        let file = read(
            "processes = 100\nopen-files = 1024\nsize = \"2GiB\"\nmemory = \"80%\"\ncpu = 1.5",
        );
        assert_eq!(file.processes, Some(Processes(Limit::AtMost(100))));
        assert_eq!(file.open_files, Some(OpenFiles(Limit::AtMost(1024))));
        assert_eq!(file.size, Some(FileSize(Limit::AtMost(2 << 30))));
        assert_eq!(file.memory, Some(MemorySize(Limit::AtMost(Memory::Percent(80)))));
        assert_eq!(file.cpu, Some(Cpu(Limit::AtMost(150))));
        let file = read("memory = \"4GiB\"\ncpu = 0.5");
        assert_eq!(file.memory, Some(MemorySize(Limit::AtMost(Memory::Bytes(4 << 30)))));
        assert_eq!(file.cpu, Some(Cpu(Limit::AtMost(50))));
        assert_eq!(read("cpu = 2").cpu, Some(Cpu(Limit::AtMost(200))));
    }

    #[test]
    fn every_limit_can_be_lifted() {
        let file = read(
            "processes = \"unlimited\"\nopen-files = \"unlimited\"\nsize = \"unlimited\"\n\
             memory = \"unlimited\"\ncpu = \"unlimited\"",
        );
        assert_eq!(file.processes, Some(Processes(Limit::Unlimited)));
        assert_eq!(file.open_files, Some(OpenFiles(Limit::Unlimited)));
        assert_eq!(file.size, Some(FileSize(Limit::Unlimited)));
        assert_eq!(file.memory, Some(MemorySize(Limit::Unlimited)));
        assert_eq!(file.cpu, Some(Cpu(Limit::Unlimited)));
    }

    #[test]
    fn what_nobody_can_mean_is_refused() {
        for wrong in [
            "processes = 15",
            "processes = -1",
            "processes = \"100\"",
            "processes = 1.5",
            "open-files = 3",
            "size = 4096",
            "size = \"80%\"",
            "memory = \"0%\"",
            "memory = \"101%\"",
            "memory = \"1MiB\"",
            "memory = 4096",
            "memory = \"Unlimited\"",
            "cpu = 0",
            "cpu = nan",
            "cpu = inf",
            "cpu = -1.0",
            "cpu = \"150%\"",
            "cpu = true",
        ] {
            assert!(!refused(wrong).is_empty(), "{wrong}");
        }
        assert_eq!(
            refused("processes = 3"),
            "3 processes are too few to work with\n16 are the least"
        );
    }

    #[test]
    fn a_part_of_the_memory_is_of_this_machines() {
        assert_eq!(Memory::Percent(50).bytes(8 << 30), 4 << 30);
        assert_eq!(Memory::Percent(100).bytes(u64::MAX), u64::MAX);
        assert_eq!(Memory::Bytes(7).bytes(8 << 30), 7);
    }
}
