//! System calls that no crate offers safely. Every `unsafe` block of the project is below here.

pub mod attempt;
pub mod bare;
pub mod channel;
pub mod fds;
pub mod keeper;
pub mod landlock;
pub mod netns;
pub mod packet;
pub mod pidfd;
pub mod process;
pub mod seccomp;
pub mod signals;
pub mod text;
pub mod trial;
