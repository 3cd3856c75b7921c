//! Pods, with their own words for what holds them up. What a container printed when it ended is not
//! among them: it could hold anything.

use serde_json::Value;

use super::{
    Health, Status,
    fields::{Conditions, Wrong, count, number, objects, text, told},
};

/// What a container waits for in the ordinary course of a start.
const STARTING: [&str; 2] = ["ContainerCreating", "PodInitializing"];
const CRASH_LOOP: &str = "CrashLoopBackOff";

pub(super) fn pod(object: &Value, conditions: &Conditions<'_>) -> Result<Health, Wrong> {
    let phase = text(object, "status.phase")?.unwrap_or_default();
    match phase {
        "" => return Ok(Health::in_progress("nothing has looked at it yet")),
        "Succeeded" => return Ok(Health::current("it ended well")),
        // As in kstatus: it ran, and there is nothing left to wait for.
        "Failed" => {
            let why = ended_badly(object)?;
            return Ok(Health::current(format!("it ended without success{why}")));
        }
        "Running" if conditions.holds("Ready").is_some() => {
            return Ok(Health::current("it is ready"));
        }
        "Running" | "Pending" => {}
        // The node does not answer.
        other => {
            let message = format!("its phase is {other}");
            return Ok(Health::new(Status::Unknown, message));
        }
    }
    let troubles = troubles(object)?;
    let all = |troubles: &[&Trouble]| {
        let told: Vec<&str> = troubles.iter().map(|one| one.told.as_str()).collect();
        told.join("; ")
    };
    // kstatus looks at crash loops of a running pod alone; that of an init container, which keeps
    // the pod pending, is no better.
    let loops: Vec<&Trouble> = troubles.iter().filter(|one| one.crash_loop).collect();
    if !loops.is_empty() {
        return Ok(Health::failed(all(&loops)));
    }
    if let Some(one) = conditions.denies("PodScheduled")
        && phase == "Pending"
    {
        let words = one.told("it has no node");
        // kstatus gives it 15 seconds by the clock; there is none here.
        return Ok(match one.reason {
            "Unschedulable" => Health::failed(words),
            _ => Health::in_progress(words),
        });
    }
    if !troubles.is_empty() {
        let troubles: Vec<&Trouble> = troubles.iter().collect();
        return Ok(Health::in_progress(all(&troubles)));
    }
    Ok(Health::in_progress(match conditions.denies("Ready") {
        Some(one) => one.told("it is not ready"),
        None if phase == "Running" => "it runs and is not ready".to_owned(),
        None => "it is being started".to_owned(),
    }))
}

/// What keeps a container from running.
struct Trouble {
    crash_loop: bool,
    told: String,
}

fn containers(object: &Value) -> Result<impl Iterator<Item = &Value>, Wrong> {
    let first = objects(object, "status.initContainerStatuses")?;
    Ok(first
        .iter()
        .chain(objects(object, "status.containerStatuses")?))
}

fn troubles(object: &Value) -> Result<Vec<Trouble>, Wrong> {
    let mut troubles = Vec::new();
    for container in containers(object)? {
        let Some(reason) = text(container, "state.waiting.reason")? else {
            continue;
        };
        if STARTING.contains(&reason) {
            continue;
        }
        let name = text(container, "name")?.unwrap_or_default();
        let message = text(container, "state.waiting.message")?.unwrap_or_default();
        let words = told(reason, message).unwrap_or_default();
        let exit = exit(container, "lastState.terminated")?;
        let exit = exit.map_or_else(String::new, |exit| format!("; before, it {exit}"));
        let restarts = match count(container, "restartCount")? {
            0 => String::new(),
            1 => ", restarted once".to_owned(),
            times => format!(", restarted {times} times"),
        };
        troubles.push(Trouble {
            crash_loop: reason == CRASH_LOOP,
            told: format!("container {name}: {words}{exit}{restarts}"),
        });
    }
    Ok(troubles)
}

fn ended_badly(object: &Value) -> Result<String, Wrong> {
    let reason = text(object, "status.reason")?.unwrap_or_default();
    let message = text(object, "status.message")?.unwrap_or_default();
    let mut why = told(reason, message).map_or_else(String::new, |words| format!(": {words}"));
    for container in containers(object)? {
        let code = number(container, "state.terminated.exitCode")?;
        if let Some(exit) = exit(container, "state.terminated")?
            && code != Some(0)
        {
            let name = text(container, "name")?.unwrap_or_default();
            why += &format!("; container {name} {exit}");
        }
    }
    Ok(why)
}

/// How a container ended: its exit code and, as for one that took too much memory, why.
fn exit(container: &Value, state: &str) -> Result<Option<String>, Wrong> {
    let Some(code) = number(container, &format!("{state}.exitCode"))? else {
        return Ok(None);
    };
    let reason = text(container, &format!("{state}.reason"))?.unwrap_or_default();
    Ok(Some(match reason {
        "" | "Error" => format!("exited with {code}"),
        reason => format!("exited with {code} ({reason})"),
    }))
}
