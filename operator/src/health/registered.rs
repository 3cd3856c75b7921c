//! What adds kinds to the API server: definitions of custom resources, and servers behind it.

use super::{Health, fields::Conditions};

pub(super) fn definition(conditions: &Conditions<'_>) -> Health {
    if let Some(one) = conditions.denies("NamesAccepted") {
        return Health::failed(one.told("its names are taken"));
    }
    match conditions.find("Established") {
        Some(one) if one.is_true() => Health::current("its kind is served"),
        Some(one) if one.status == "False" && one.reason != "Installing" => {
            Health::failed(one.told("its kind is not served"))
        }
        _ => Health::in_progress("its kind is not served yet"),
    }
}

/// kstatus has no rule for it. A server that does not answer may be starting.
pub(super) fn api_service(conditions: &Conditions<'_>) -> Health {
    match conditions.find("Available") {
        Some(one) if one.is_true() => Health::current(one.told("its server answers")),
        Some(one) => Health::in_progress(one.told("its server does not answer")),
        None => Health::in_progress("nothing has looked at it yet"),
    }
}
