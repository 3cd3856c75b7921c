//! The page, as a browser asks for it.

mod browser;
mod hostile;
mod reading;
mod signing_in;
mod writing;
