//! Claims of volumes, and volumes.

use serde_json::Value;

use super::{
    Health,
    fields::{Wrong, text, told},
};

pub(super) fn claim(object: &Value) -> Result<Health, Wrong> {
    let volume = text(object, "spec.volumeName")?.unwrap_or_default();
    Ok(match text(object, "status.phase")?.unwrap_or_default() {
        "Bound" if volume.is_empty() => Health::current("it is bound"),
        "Bound" => Health::current(format!("it is bound to the volume {volume}")),
        "" => Health::in_progress("nothing has looked at it yet"),
        "Pending" => Health::in_progress(
            "it is not bound: no volume was found or made for it, or no pod that uses it has a \
             node yet",
        ),
        "Lost" => Health::in_progress(format!("it lost its volume {volume}")),
        other => Health::in_progress(format!("it is not bound: its phase is {other}")),
    })
}

/// kstatus has no rule for it.
pub(super) fn volume(object: &Value) -> Result<Health, Wrong> {
    let reason = text(object, "status.reason")?.unwrap_or_default();
    let message = text(object, "status.message")?.unwrap_or_default();
    let words = told(reason, message);
    Ok(match text(object, "status.phase")?.unwrap_or_default() {
        "Failed" => Health::failed(words.unwrap_or_else(|| "it failed".to_owned())),
        "" | "Pending" => {
            Health::in_progress(words.unwrap_or_else(|| "it is not available yet".to_owned()))
        }
        phase => Health::current(format!("its phase is {phase}")),
    })
}
