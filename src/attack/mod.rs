//! `claudebox doctor --attack`: attacks a sandbox of its own, as a session of the profile would have
//! it on this machine, and says which promises held. What is tried is in [`list`], how it is tried
//! inside in [`inside`]; the judge sits outside ([`outside`], [`judge`]), and believes the attacker only
//! where it says that it was refused. It must never leave anything behind, and never try what could harm
//! the host if the sandbox did not hold.

mod act;
mod attempt;
mod inside;
mod judge;
mod list;
mod network;
mod outside;
mod report;
mod scene;

pub use inside::act;
pub use outside::attack;
