//! The engine's own tests: pure parts as tables, the rest on a real control plane and real Git
//! servers.

#[cfg(test)]
#[path = "operator/differences.rs"]
mod differences;
#[cfg(test)]
#[path = "operator/events.rs"]
mod events;
#[cfg(test)]
#[path = "operator/fetch.rs"]
mod fetch;
#[cfg(test)]
#[path = "operator/health.rs"]
mod health;
#[cfg(test)]
#[path = "operator/inventory.rs"]
mod inventory;
#[cfg(test)]
#[path = "operator/kubectl.rs"]
mod kubectl;
#[cfg(test)]
#[path = "operator/manifest.rs"]
mod manifest;
#[cfg(test)]
#[path = "operator/plan.rs"]
mod plan;
#[cfg(test)]
#[path = "operator/properties.rs"]
mod properties;
#[cfg(test)]
#[path = "operator/read.rs"]
mod read;
#[cfg(test)]
#[path = "operator/report.rs"]
mod report;
