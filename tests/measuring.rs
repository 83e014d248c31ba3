//! The parts of the benchmark that compute: `cargo bench` itself runs no tests.

#![expect(dead_code, reason = "the benchmark uses the rest")]
#[path = "bench/pairs.rs"]
mod pairs;
#[path = "bench/report.rs"]
mod report;
