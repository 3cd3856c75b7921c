//! The agent does its work on a real control plane, with the rights of `examples/install` and no
//! others.

#[path = "agent/deployment.rs"]
mod deployment;
#[path = "agent/operators.rs"]
mod operators;
#[path = "agent/scopes.rs"]
mod scopes;
#[path = "agent/support.rs"]
mod support;
