//! The page, as a browser asks for it.

pub(super) mod browser;
mod hostile;
pub(super) mod live;
pub(super) mod reading;
mod signing_in;
mod writing;
