//! The engine's own tests: pure parts as tables, the rest on a real control plane and real Git
//! servers.

#[path = "operator/fetch.rs"]
mod fetch;
#[path = "operator/inventory.rs"]
mod inventory;
#[path = "operator/manifest.rs"]
mod manifest;
#[path = "operator/plan.rs"]
mod plan;
#[path = "operator/read.rs"]
mod read;
#[path = "operator/report.rs"]
mod report;
