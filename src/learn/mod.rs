//! `claudebox profile new`: a profile's text, from what one run of a command showed. The run is
//! a session like any other: what it is refused is written down, and never granted. Nothing that could
//! be a secret may come into the text: no value of a variable, no argument that looks like a key; and
//! what a run chose by itself (names of hosts, files, programs) stands in it as a comment, unless a rule
//! allowed it already.

pub(crate) mod home;
pub(crate) mod observed;
mod secret;
pub(crate) mod text;
