//! The agent does its work on a real control plane, with the rights of `examples/install` and no
//! others.
#![allow(clippy::unwrap_used, reason = "tests end at what they do not expect")]

#[path = "agent/arm.rs"]
mod arm;
#[path = "agent/deployment.rs"]
mod deployment;
#[path = "agent/enrolment.rs"]
mod enrolment;
#[path = "agent/operators.rs"]
mod operators;
#[path = "agent/portal.rs"]
mod portal;
#[path = "agent/scopes.rs"]
mod scopes;
#[path = "agent/server.rs"]
mod server;
#[path = "agent/support.rs"]
mod support;
