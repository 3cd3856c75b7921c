//! Services and Ingresses. Whoever gives them addresses is not part of Kubernetes and may be absent,
//! so that, as in kstatus, none is no fault; the message tells.

use serde_json::Value;

use super::{
    Health,
    fields::{Wrong, objects, text},
};

pub(super) fn service(object: &Value) -> Result<Health, Wrong> {
    if text(object, "spec.type")? != Some("LoadBalancer") {
        return Ok(Health::current("it needs nothing else"));
    }
    if text(object, "spec.clusterIP")?.is_none_or(str::is_empty) {
        return Ok(Health::in_progress("it has no cluster address yet"));
    }
    address(object, "load balancer")
}

pub(super) fn ingress(object: &Value) -> Result<Health, Wrong> {
    address(object, "ingress controller")
}

fn address(object: &Value, giver: &str) -> Result<Health, Wrong> {
    let mut addresses = Vec::new();
    for one in objects(object, "status.loadBalancer.ingress")? {
        addresses.extend(text(one, "ip")?.or(text(one, "hostname")?));
    }
    Ok(Health::current(match addresses.is_empty() {
        true => format!("no {giver} has given it an address"),
        false => format!("its address is {}", addresses.join(", ")),
    }))
}
