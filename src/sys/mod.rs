//! System calls that no crate offers safely. Every `unsafe` block of the project is below here.

pub mod landlock;
