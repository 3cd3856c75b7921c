//! What runs to an end: Jobs, and CronJobs, which make them.

use serde_json::Value;

use super::{
    Health,
    fields::{Conditions, Wrong, count, flag, list, number, text},
};

/// As in kstatus a Job that runs is `Current`: it was started, which is all that its spec says.
pub(super) fn job(object: &Value, conditions: &Conditions<'_>) -> Result<Health, Wrong> {
    let parallelism = number(object, "spec.parallelism")?.unwrap_or(1);
    let completions = number(object, "spec.completions")?.unwrap_or(parallelism);
    let succeeded = count(object, "status.succeeded")?;
    let failed = count(object, "status.failed")?;
    let active = count(object, "status.active")?;
    let pods = format!("{succeeded} of {completions} pods succeeded, {failed} failed");
    if conditions.holds("Complete").is_some() {
        return Ok(Health::current(format!("it is complete: {pods}")));
    }
    if let Some(one) = conditions.holds("Failed") {
        let words = one.told("it failed");
        return Ok(Health::failed(format!("{words}; {pods}")));
    }
    if conditions.holds("Suspended").is_some() || flag(object, "spec.suspend")? {
        return Ok(Health::current(format!("it is suspended: {pods}")));
    }
    if text(object, "status.startTime")?.is_none_or(str::is_empty) {
        return Ok(Health::in_progress("it has not started"));
    }
    let message = format!("it runs: {pods}, {active} active");
    Ok(Health::current(message))
}

/// Its Jobs are judged for themselves.
pub(super) fn cron_job(object: &Value) -> Result<Health, Wrong> {
    if flag(object, "spec.suspend")? {
        return Ok(Health::current("it is suspended"));
    }
    let last = text(object, "status.lastScheduleTime")?;
    let active = list(object, "status.active")?.len();
    Ok(Health::current(match (last, active) {
        (None, _) => "it has not been due yet".to_owned(),
        (Some(last), 0) => format!("it was last due at {last}"),
        (Some(last), active) => format!("it was last due at {last}, {active} active"),
    }))
}
