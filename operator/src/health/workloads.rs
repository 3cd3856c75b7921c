//! What keeps pods running: Deployments, ReplicaSets, StatefulSets, DaemonSets, and what scales and
//! guards them. The pods' own troubles are in `pods`.

use serde_json::Value;

use super::{
    Health,
    fields::{Conditions, Wrong, count, flag, number, text},
};

/// The value of `progressDeadlineSeconds` that means none: the controller then does not report
/// progress.
const NO_DEADLINE: i64 = i32::MAX as i64;

fn wanted(object: &Value) -> Result<i64, Wrong> {
    Ok(number(object, "spec.replicas")?.unwrap_or(1))
}

fn of(count: i64, all: i64, what: &str) -> String {
    match all {
        1 => format!("{count} of 1 replica {}", what.replacen("are", "is", 1)),
        _ => format!("{count} of {all} replicas {what}"),
    }
}

fn too_many(have: i64, wanted: i64) -> String {
    match have.saturating_sub(wanted) {
        1 => "1 replica too many has still to end".to_owned(),
        more => format!("{more} replicas too many have still to end"),
    }
}

/// Why pods cannot be made: a quota, an admission webhook.
fn refused(conditions: &Conditions<'_>) -> String {
    conditions
        .holds("ReplicaFailure")
        .map_or_else(String::new, |one| {
            format!("; {}", one.told("pods cannot be made"))
        })
}

pub(super) fn deployment(object: &Value, conditions: &Conditions<'_>) -> Result<Health, Wrong> {
    let wanted = wanted(object)?;
    let have = count(object, "status.replicas")?;
    let updated = count(object, "status.updatedReplicas")?;
    let ready = count(object, "status.readyReplicas")?;
    let available = count(object, "status.availableReplicas")?;
    let refused = refused(conditions);
    let deadline = number(object, "spec.progressDeadlineSeconds")?.unwrap_or(NO_DEADLINE);
    let progress = conditions.find("Progressing");
    if let Some(late) = progress.filter(|one| one.reason == "ProgressDeadlineExceeded") {
        return Ok(Health::failed(format!(
            "{}; {}{refused}",
            late.told("it made no progress in time"),
            of(available, wanted, "are available"),
        )));
    }
    // kstatus waits for a paused rollout until somebody goes on with it. What was paused is as far
    // as it is meant to be, so long as what it has works.
    if flag(object, "spec.paused")? {
        return Ok(if have == 0 && wanted > 0 {
            Health::current("it is paused and has no pods")
        } else if available < wanted {
            let available = of(available, wanted, "are available");
            Health::in_progress(format!("it is paused, and {available}{refused}"))
        } else {
            let updated = of(updated, wanted, "are of its newest template");
            Health::current(format!("it is paused; {updated}"))
        });
    }
    let waits = |message: String| Ok(Health::in_progress(message + &refused));
    if wanted > have {
        return waits(of(have, wanted, "are made"));
    }
    if wanted > updated {
        return waits(of(updated, wanted, "are of its newest template"));
    }
    if have > wanted {
        return waits(too_many(have, wanted));
    }
    if updated > available {
        return waits(of(available, updated, "are available"));
    }
    if wanted > ready {
        return waits(of(ready, wanted, "are ready"));
    }
    // Nothing is left to be reported about no pods.
    if wanted == 0 && number(object, "status.observedGeneration")?.is_some() {
        return Ok(Health::current("it is scaled to zero"));
    }
    let rolled_out =
        progress.is_some_and(|one| one.is_true() && one.reason == "NewReplicaSetAvailable");
    if deadline != NO_DEADLINE && !rolled_out {
        return waits("its rollout has not ended".to_owned());
    }
    if conditions.holds("Available").is_none() {
        return waits("it is not reported as available".to_owned());
    }
    Ok(Health::current(of(available, wanted, "are available")))
}

/// A ReplicaSet or a ReplicationController.
pub(super) fn replicas(object: &Value, conditions: &Conditions<'_>) -> Result<Health, Wrong> {
    let wanted = wanted(object)?;
    let have = count(object, "status.replicas")?;
    let labelled = count(object, "status.fullyLabeledReplicas")?;
    let available = count(object, "status.availableReplicas")?;
    let ready = count(object, "status.readyReplicas")?;
    let refused = refused(conditions);
    let waits = |message: String| Ok(Health::in_progress(message + &refused));
    if !refused.is_empty() {
        return waits(of(have, wanted, "are made"));
    }
    if wanted > labelled {
        return waits(of(labelled, wanted, "are made with all labels"));
    }
    if wanted > available {
        return waits(of(available, wanted, "are available"));
    }
    if wanted > ready {
        return waits(of(ready, wanted, "are ready"));
    }
    if have > wanted {
        return waits(too_many(have, wanted));
    }
    Ok(Health::current(match wanted {
        0 => "it is scaled to zero".to_owned(),
        _ => of(available, wanted, "are available"),
    }))
}

pub(super) fn stateful_set(object: &Value) -> Result<Health, Wrong> {
    let wanted = wanted(object)?;
    let have = count(object, "status.replicas")?;
    let ready = count(object, "status.readyReplicas")?;
    let updated = count(object, "status.updatedReplicas")?;
    let ready_told = match wanted {
        0 => "it is scaled to zero".to_owned(),
        _ => of(ready, wanted, "are ready"),
    };
    // As in kstatus, where a person is the one who rolls out.
    if text(object, "spec.updateStrategy.type")? == Some("OnDelete") {
        return Ok(Health::current(format!(
            "its pods are replaced when somebody deletes them (OnDelete); {ready_told}"
        )));
    }
    let waits = |message: String| Ok(Health::in_progress(message));
    if wanted > have {
        return waits(of(have, wanted, "are made"));
    }
    if wanted > ready {
        return waits(ready_told);
    }
    if have > wanted {
        return waits(too_many(have, wanted));
    }
    if let Some(partition) = number(object, "spec.updateStrategy.rollingUpdate.partition")? {
        let meant = wanted.saturating_sub(partition).max(0);
        let told = of(updated, meant, "are of its newest template");
        return Ok(match (updated < meant, partition) {
            (true, 0) => Health::in_progress(told),
            (true, _) => Health::in_progress(format!("{told}, by its partition")),
            (false, 0) => Health::current(ready_told),
            (false, _) => Health::current(format!(
                "{ready_told}; {updated} are of its newest template, as its partition says"
            )),
        });
    }
    let current = count(object, "status.currentReplicas")?;
    if wanted > current {
        return waits(of(current, wanted, "are of its current template"));
    }
    if text(object, "status.currentRevision")? != text(object, "status.updateRevision")? {
        return waits(of(updated, wanted, "are of its newest template"));
    }
    Ok(Health::current(ready_told))
}

pub(super) fn daemon_set(object: &Value) -> Result<Health, Wrong> {
    let observed = number(object, "status.observedGeneration")?;
    let meant = number(object, "status.desiredNumberScheduled")?;
    let (Some(_), Some(_), Some(meant)) = (number(object, "metadata.generation")?, observed, meant)
    else {
        return Ok(Health::in_progress("its controller has not seen it yet"));
    };
    let told = |count: i64, what: &str| {
        let nodes = if meant == 1 { "node" } else { "nodes" };
        format!("its pods are {what} on {count} of {meant} {nodes}")
    };
    // kstatus waits for updates that only a person brings about, by deleting pods.
    let on_delete = text(object, "spec.updateStrategy.type")? == Some("OnDelete");
    for (field, what) in [
        ("status.currentNumberScheduled", "made"),
        ("status.updatedNumberScheduled", "of its newest template"),
        ("status.numberAvailable", "available"),
        ("status.numberReady", "ready"),
    ] {
        let count = count(object, field)?;
        if meant > count && !(on_delete && what == "of its newest template") {
            return Ok(Health::in_progress(told(count, what)));
        }
    }
    Ok(Health::current(match meant {
        0 => "no node is to run its pods".to_owned(),
        _ => told(meant, "ready"),
    }))
}

pub(super) fn disruption_budget(
    object: &Value,
    conditions: &Conditions<'_>,
) -> Result<Health, Wrong> {
    // Kubernetes reports this since kstatus was written. It is tried again, and so no failure yet.
    if let Some(failed) = conditions
        .denies("DisruptionAllowed")
        .filter(|one| one.reason == "SyncFailed")
    {
        return Ok(Health::in_progress(
            failed.told("it could not be worked out"),
        ));
    }
    // A budget that allows nothing now does what it is for.
    let healthy = count(object, "status.currentHealthy")?;
    let needed = count(object, "status.desiredHealthy")?;
    let allowed = count(object, "status.disruptionsAllowed")?;
    Ok(Health::current(format!(
        "{healthy} pods are healthy, {needed} are needed, {allowed} may be disrupted"
    )))
}

/// kstatus has no rule for it.
pub(super) fn autoscaler(object: &Value, conditions: &Conditions<'_>) -> Result<Health, Wrong> {
    for kind in ["AbleToScale", "ScalingActive"] {
        // Somebody scaled its target to zero, which switches it off.
        let denies = conditions
            .denies(kind)
            .filter(|one| one.reason != "ScalingDisabled");
        if let Some(one) = denies {
            return Ok(Health::in_progress(one.told("it cannot scale")));
        }
    }
    // To be at its limit, `ScalingLimited`, is no fault.
    let current = count(object, "status.currentReplicas")?;
    let desired = count(object, "status.desiredReplicas")?;
    Ok(Health::current(format!(
        "its target has {current} replicas, {desired} are desired"
    )))
}
