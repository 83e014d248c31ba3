//! Host-executable files: what stands in a project and is executed by programs of the host without
//! anybody asking for it (`.envrc`, `.vscode/tasks.json`, a nested repository's `config`, ...). What
//! an agent leaves there would run outside of the sandbox. `docs/host-files.md` is the page for
//! users; promise P of the threat model is kept here.

mod beneath;
pub mod index;
pub mod known;
pub mod survey;
pub mod table;
pub mod walk;
