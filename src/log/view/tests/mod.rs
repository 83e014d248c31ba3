//! Tests of the view: scripted sessions with their exact lines, and hostile ones.

mod attacks;
mod folding;
mod hostile;
mod housekeeping;
mod live;
mod network;
mod reading;
mod script;
mod wrappers;

use self::script::{NOON, Session, options};
use super::*;
use crate::log::event::{
    Allow, Connect, Disconnect, Exec, ExecId, Exit, Git, Listen, Outcome, Ran, Refused, RuleSaid,
};
