//! What the tests across crates share: a control plane with an agent on it, installed as a user
//! installs it and with those rights only, and a Git server.
//!
//! The agent hosts its operators (`inProcess`), so that the tenants' own tokens are what the API
//! server sees.

mod world;

pub use world::{ConfigurationKey, SYSTEM, World, condition, world};
