//! The network as an allow-list: deny by default, allowed by name and port, and nothing of it asked
//! of the agent. The rules, the names and the checks are pure; the broker, which runs in the
//! supervisor, and the namespaces, which a process of its own sets up, are the edge. It must never
//! let anything through that no rule allows, whatever fails.

pub mod attempt;
pub mod broker;
pub mod dns;
pub mod gateway;
pub mod guard;
pub mod hello;
mod listening;
pub mod live;
pub mod name;
mod netlink;
mod own;
pub mod parse;
pub mod plan;
pub mod pool;
pub mod proxy;
pub mod refusals;
pub mod rule;
pub mod sockets;
pub mod suffix;
