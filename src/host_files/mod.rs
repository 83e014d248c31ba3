//! Host-executable files: what stands in a project and is executed by programs of the host without
//! anybody asking for it (`.envrc`, `.vscode/tasks.json`, a nested repository's `config`, ...). What
//! an agent leaves there would run outside of the sandbox. `docs/host-files.md` is the page for
//! users; promise P of the threat model is kept here.

mod aside;
pub mod ask;
pub(crate) mod beneath;
pub mod compare;
mod conclusion;
pub mod found;
pub mod index;
pub mod known;
pub mod links;
pub mod look;
pub mod name;
pub mod path;
pub mod record;
pub mod screen;
pub mod settle;
mod show;
pub mod survey;
pub mod table;
mod tell;
pub mod walk;
