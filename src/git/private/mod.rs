//! How a private git directory comes to be, before anything of the agent's runs: the host's repository
//! is looked at ([`survey`], [`find_linked`]), refused where it cannot be had privately ([`refuse`]), and what of
//! it may pass is copied, written anew or borrowed ([`build`]). Nothing here ever looks at a private
//! directory that an agent has had.

pub mod build;
pub mod config;
mod copy;
pub mod find_linked;
pub mod layout;
pub mod linked;
mod pins;
pub mod programs;
pub mod refuse;
pub mod repository;
pub mod setting;
mod store;
pub mod survey;
mod tables;
pub mod url;
mod words;
