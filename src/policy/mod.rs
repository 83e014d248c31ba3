//! The policy: profile settings, invocation and host settled into what is done. Nothing after it
//! interprets an `Option` or looks at the machine again.

pub mod invocation;
