//! The sandbox: from a policy to bwrap's argv, and the inner stage that runs behind it.

pub mod compile;
pub mod discard;
pub mod inner;
pub mod prepare;
