//! Enrolment: a token that is good once becomes the credential that an agent keeps.

use std::path::Path;

use ::http::{StatusCode, header::CONTENT_TYPE};
use serde::Deserialize;

use super::{
    below,
    http::{Http, origin},
    refusal,
    token::read_secret,
};
use crate::{
    ENROLMENT_PATH, ENROLMENT_PLACE, EnrolmentAnswer, EnrolmentRequest, Error, OpeningKey, Secret,
    Settings, SettingsError, TokenError,
};

/// As whom an agent calls since it was enrolled, and the key that its secrets are sealed to.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The portal's directory.
    pub tenant_id: String,
    /// The agent's principal.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// What opens what is sealed to it.
    pub key: OpeningKey,
}

/// What is sealed in the answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Given {
    tenant_id: String,
    client_id: String,
    client_secret: String,
}

impl Identity {
    /// The token in the file that the settings name.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn token(file: &Path) -> Result<Secret, Error> {
        Ok(read_secret(file).await?)
    }

    /// Exchanges a token, at the portal of the settings. The same key may try again with the same
    /// token, if the answer did not arrive.
    ///
    /// # Errors
    /// When the portal is not reached, or the token is not, or no longer, good for this key.
    pub async fn enrol(
        settings: &Settings,
        token: &Secret,
        key: OpeningKey,
    ) -> Result<Self, Error> {
        let base = settings.data_plane.as_ref();
        let base = base.ok_or(SettingsError::NoPortal)?;
        let http = Http::new(settings.ca_file.as_deref(), settings.request_timeout)?;
        let url = below(base, ENROLMENT_PATH);
        let request = EnrolmentRequest {
            token: token.expose().to_owned(),
            sealing_key: key.public().to_string(),
        };
        let body = serde_json::to_vec(&request).expect("texts are JSON");
        let answer = http
            .send(|clients| {
                let request = clients.through_proxy.post(url.clone());
                request
                    .header(CONTENT_TYPE, "application/json")
                    .body(body.clone())
            })
            .await;
        let server = origin(&url);
        let answer = answer.map_err(|source| Error::Transport {
            server: server.clone(),
            source,
        })?;
        if answer.status != StatusCode::OK {
            return Err(refusal(&url, &answer));
        }
        let sealed: Option<EnrolmentAnswer> = serde_json::from_slice(&answer.body).ok();
        let given = sealed
            .and_then(|answer| key.open(ENROLMENT_PLACE, &answer.sealed).ok())
            .and_then(|opened| serde_json::from_str::<Given>(opened.expose()).ok());
        let given = given.ok_or(TokenError::Malformed { server })?;
        Ok(Self {
            tenant_id: given.tenant_id,
            client_id: given.client_id,
            client_secret: given.client_secret.into(),
            key,
        })
    }
}
