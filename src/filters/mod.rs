//! The two seccomp filters as programs: the *errno filter*, by which system calls fail inside, and the
//! *notification filter*, which stops the calls that the supervisor looks at. Both are made of tables,
//! and installed by the inner stage through [`crate::sys::seccomp`]. It must never make a system call.

mod bpf;
pub mod calls;
pub(crate) mod errno;
pub mod notify;
