//! The page, as a browser asks for it.

mod bodies;
pub(super) mod browser;
mod forms;
mod hostile;
pub(super) mod live;
mod on_call;
mod open_id;
pub(super) mod reading;
pub(super) mod signing_in;
mod writing;
