//! From a commit to live objects and back to a status, on a real control plane with a real Git
//! server. All but a few tests share one cluster, each in namespaces of its own.

#[cfg(test)]
#[path = "end_to_end/admission.rs"]
mod admission;
#[cfg(test)]
#[path = "end_to_end/arm.rs"]
mod arm;
#[cfg(test)]
#[path = "end_to_end/bombs.rs"]
mod bombs;
#[cfg(test)]
#[path = "end_to_end/crashes.rs"]
mod crashes;
#[cfg(test)]
#[path = "end_to_end/deep.rs"]
mod deep;
#[cfg(test)]
#[path = "end_to_end/depends_on.rs"]
mod depends_on;
#[cfg(test)]
#[path = "end_to_end/drift.rs"]
mod drift;
#[cfg(test)]
#[path = "end_to_end/events.rs"]
mod events;
#[cfg(test)]
#[path = "end_to_end/failures.rs"]
mod failures;
#[cfg(test)]
#[path = "end_to_end/heal.rs"]
mod heal;
#[cfg(test)]
#[path = "end_to_end/health.rs"]
mod health;
#[cfg(test)]
#[path = "end_to_end/repositories.rs"]
mod repositories;
#[cfg(test)]
#[path = "end_to_end/secrets.rs"]
mod secrets;
#[cfg(test)]
#[path = "end_to_end/sequences.rs"]
mod sequences;
#[cfg(test)]
#[path = "end_to_end/ssh.rs"]
mod ssh;
#[cfg(test)]
#[path = "end_to_end/steps.rs"]
mod steps;
#[cfg(test)]
#[path = "end_to_end/sync.rs"]
mod sync;
#[cfg(test)]
#[path = "end_to_end/takeover.rs"]
mod takeover;
#[cfg(test)]
#[path = "end_to_end/tenancy.rs"]
mod tenancy;
