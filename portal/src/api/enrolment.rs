//! Enrolment: an agent exchanges a token that is good once for a credential of its own.

use axum::response::Response;
use gitmoor_arm::{ENROLMENT_PLACE, EnrolmentAnswer, EnrolmentRequest, FieldError, SealingKey};
use http::StatusCode;
use serde_json::json;

use super::{Api, json, refusal::Refusal};

/// The largest body that is read: a token and a key are two lines.
pub(super) const MAX_BODY: usize = 4 * 1024;

pub(super) async fn enrol(api: &Api, body: &[u8]) -> Result<Response, Refusal> {
    let wrong = |field: &str, message: String| {
        Refusal::invalid(&[FieldError {
            field: field.to_owned(),
            message,
        }])
    };
    // serde_json's own words may quote the token.
    let request: EnrolmentRequest = serde_json::from_slice(body)
        .map_err(|_| wrong("body", "give a `token` and a `sealingKey`".to_owned()))?;
    let key: SealingKey = request
        .sealing_key
        .parse()
        .map_err(|error: gitmoor_arm::SealingError| wrong("sealingKey", error.to_string()))?;
    // A key that nothing can be sealed to must not use the token up.
    key.seal(ENROLMENT_PLACE, &"".into())
        .map_err(|error| wrong("sealingKey", error.to_string()))?;
    let enrolled = api.store.enrol(&request.token, &key).await?;
    let Some((cluster, secret)) = enrolled else {
        tracing::warn!("an enrolment token that is not good was refused");
        return Err(Refusal::bad_enrolment());
    };
    tracing::info!(%cluster, principal = %secret.id(), "an agent was enrolled");
    let credential = json!({
        "tenantId": api.store.tenant(),
        "clientId": secret.id(),
        "clientSecret": secret.expose(),
    });
    let sealed = key.seal(ENROLMENT_PLACE, &credential.to_string().into());
    let sealed = sealed.map_err(|_| Refusal::unsealable())?;
    Ok(json(StatusCode::OK, &EnrolmentAnswer { sealed }))
}
