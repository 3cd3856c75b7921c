//! The control plane does what other tests rely on.

#[cfg(test)]
#[path = "cluster/behaviour.rs"]
mod behaviour;
