//! The examples, and the demo that runs them: a control plane, a portal, an agent and a repository
//! on this machine, and the steps that show what comes of them. The demo's program is `bin/demo.rs`.

mod child;
mod portal;
mod stage;
mod story;
mod terminal;

pub use child::become_program;
pub use stage::Stage;
pub use story::{hand_over, tell};
pub use terminal::Terminal;

use std::path::{Path, PathBuf};

/// The repository of two teams.
pub fn repository() -> PathBuf {
    folder().join("repository")
}

/// A configuration for `kubectl apply`.
pub fn configuration() -> PathBuf {
    folder().join("configuration.yaml")
}

/// What installs an agent on a cluster.
pub fn installation() -> PathBuf {
    folder().join("install/agent.yaml")
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
