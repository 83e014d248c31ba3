//! The built-in demonstration: a scripted agent that needs no key and no network. It does what an
//! agent does, tries what it should not be able to do, and is judged from outside afterwards.
//! It must never claim that something held which was not tried.

mod act;
mod program;
mod scratch;

pub use act::act;
pub use scratch::Scratch;

/// Tells the agent inside where the planted secret lies outside.
pub const SECRET_VARIABLE: &str = "CLAUDEBOX_DEMO_SECRET";

/// The file that the agent tries to leave in places where it may not write.
const MARK: &str = "claudebox-demo-was-here";
