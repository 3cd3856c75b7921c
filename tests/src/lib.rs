//! What the tests across crates share: a control plane with an agent on it, installed as a user
//! installs it and with those rights only, and a Git server.
//!
//! The agent hosts its operators (`inProcess`), so that the tenants' own tokens are what the API
//! server sees. Some tests put a portal in front of the agent, so that its configurations come from
//! there.

pub mod arm;
pub mod logs;
pub mod lone;
pub mod proxy;
pub mod relay;
pub mod trees;
mod world;

pub use world::{ConfigurationKey, SYSTEM, World, bare_world, condition, world};
