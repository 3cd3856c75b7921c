//! Tokens: from a file, for a secret or an assertion, or from the machine's metadata service. Kept
//! until shortly before they expire; one request for a new one at a time.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use http::StatusCode;
use serde::Deserialize;
use tokio::{io::AsyncReadExt as _, sync::Mutex};
use url::Url;

use super::{
    http::{Answer, Http, origin},
    shorten,
};
use crate::{Credential, FileError, ManagedIdentity, Secret, TokenError};

/// The most that a token or a secret may hold; tokens with many groups have some 10 KiB.
const MAX_FILE: u64 = 64 * 1024;

/// A token is no longer used when this is left of its life, or half of it if that is less.
const MARGIN: Duration = Duration::from_mins(5);

/// No token is kept longer, whatever it says.
const MAX_LIFE: Duration = Duration::from_hours(24);

/// Where tokens come from.
#[derive(Debug)]
pub(super) struct TokenSource {
    credential: Credential,
    /// What an enrolled agent has in place of a credential of the settings.
    identity: Option<Enrolled>,
    audience: String,
    /// Locked while a new one is asked for, so that it is asked for once.
    kept: Mutex<Option<Kept>>,
}

/// As whom an enrolled agent calls, and where it gets its tokens.
#[derive(Debug)]
pub(super) struct Enrolled {
    pub(super) authority: Url,
    pub(super) tenant_id: String,
    pub(super) client_id: String,
    pub(super) client_secret: Secret,
}

/// A token and until when it is good.
#[derive(Clone, Debug)]
struct Kept {
    token: Secret,
    renew: Instant,
    expires: Instant,
}

impl TokenSource {
    pub(super) fn new(credential: Credential, identity: Option<Enrolled>, audience: &str) -> Self {
        Self {
            credential,
            identity,
            audience: audience.trim_end_matches('/').to_owned(),
            kept: Mutex::default(),
        }
    }

    /// A token, other than the one that the server has `refused` if there is another.
    pub(super) async fn token(
        &self,
        http: &Http,
        refused: Option<&Secret>,
    ) -> Result<Secret, TokenError> {
        let mut kept = self.kept.lock().await;
        let now = Instant::now();
        let usable = kept
            .as_ref()
            .filter(|kept| now < kept.expires && Some(&kept.token) != refused);
        if let Some(kept) = usable
            && now < kept.renew
        {
            return Ok(kept.token.clone());
        }
        match self.request(http).await {
            Ok(fresh) => Ok(kept.insert(fresh).token.clone()),
            Err(error) => match usable {
                // Who gives tokens is away for a moment; this one is good for a while.
                Some(kept) => {
                    let error: &(dyn std::error::Error + 'static) = &error;
                    tracing::warn!(error, "the token could not be renewed and is still used");
                    Ok(kept.token.clone())
                }
                None => Err(error),
            },
        }
    }

    async fn request(&self, http: &Http) -> Result<Kept, TokenError> {
        let scope = format!("{}/.default", self.audience);
        let of_secret = async |authority: &Url, tenant: &str, client: &str, secret: &Secret| {
            let form = [
                ("grant_type", "client_credentials"),
                ("client_id", client),
                ("client_secret", secret.expose()),
                ("scope", &scope),
            ];
            exchange(http, &token_url(authority, tenant), &form, secret).await
        };
        if let Some(one) = &self.identity {
            return of_secret(
                &one.authority,
                &one.tenant_id,
                &one.client_id,
                &one.client_secret,
            )
            .await;
        }
        match &self.credential {
            Credential::Enrolment(_) => Err(TokenError::NotEnrolled),
            Credential::TokenFile(path) => {
                let token = read_secret(path).await?;
                // Never kept: whoever writes the file says when it changes.
                let now = Instant::now();
                Ok(Kept {
                    token,
                    renew: now,
                    expires: now,
                })
            }
            Credential::ServicePrincipal(principal) => {
                let secret = read_secret(&principal.client_secret_file).await?;
                let (tenant, client) = (&principal.tenant_id, &principal.client_id);
                of_secret(&principal.authority, tenant, client, &secret).await
            }
            Credential::WorkloadIdentity(identity) => {
                let assertion = read_secret(&identity.federated_token_file).await?;
                let form = [
                    ("grant_type", "client_credentials"),
                    ("client_id", &identity.client_id),
                    (
                        "client_assertion_type",
                        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                    ),
                    ("client_assertion", assertion.expose()),
                    ("scope", &scope),
                ];
                let url = token_url(&identity.authority, &identity.tenant_id);
                exchange(http, &url, &form, &assertion).await
            }
            Credential::ManagedIdentity(identity) => self.metadata(http, identity).await,
        }
    }

    async fn metadata(&self, http: &Http, identity: &ManagedIdentity) -> Result<Kept, TokenError> {
        let mut url = identity.endpoint.clone();
        url.query_pairs_mut()
            .append_pair("api-version", "2018-02-01")
            .append_pair("resource", &format!("{}/", self.audience))
            .extend_pairs(identity.client_id.iter().map(|id| ("client_id", id)));
        let answer = http
            .send(|clients| clients.direct.get(url.clone()).header("Metadata", "true"))
            .await;
        read(&url, answer, None)
    }
}

/// `{authority}/{tenant}/oauth2/v2.0/token`.
fn token_url(authority: &Url, tenant: &str) -> Url {
    let mut url = authority.clone();
    let prefix = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{prefix}/{tenant}/oauth2/v2.0/token"));
    url
}

async fn exchange(
    http: &Http,
    url: &Url,
    form: &[(&str, &str)],
    secret: &Secret,
) -> Result<Kept, TokenError> {
    let answer = http
        .send(|clients| clients.through_proxy.post(url.clone()).form(form))
        .await;
    read(url, answer, Some(secret))
}

/// Numbers come as texts from the metadata service and as numbers from elsewhere.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(f64),
    Text(String),
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: Seconds,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OAuthError {
    error: String,
    error_description: String,
}

fn read(
    url: &Url,
    answer: Result<Answer, super::TransportError>,
    secret: Option<&Secret>,
) -> Result<Kept, TokenError> {
    let server = origin(url);
    let answer = match answer {
        Ok(answer) => answer,
        Err(source) => return Err(TokenError::Transport { server, source }),
    };
    let status = answer.status.as_u16();
    if answer.is_throttle() {
        return Err(TokenError::Throttled {
            server,
            status,
            retry_after: answer.retry_after,
        });
    }
    if answer.status != StatusCode::OK {
        let error: OAuthError = serde_json::from_slice(&answer.body).unwrap_or_default();
        // A server may quote what it was sent.
        let hide = |text: &str| match secret {
            Some(secret) => shorten(&text.replace(secret.expose(), "***")),
            None => shorten(text),
        };
        return Err(TokenError::Refused {
            server,
            status,
            code: hide(&error.error),
            message: hide(&error.error_description),
        });
    }
    let token: Option<TokenAnswer> = serde_json::from_slice(&answer.body).ok();
    token
        .and_then(|token| {
            let life = match token.expires_in {
                Seconds::Number(seconds) => Some(seconds),
                Seconds::Text(text) => text.parse().ok(),
            };
            // Bounded, so that no answer can name a moment past the end of the clock.
            let life = Duration::try_from_secs_f64(life?).ok()?.min(MAX_LIFE);
            let now = Instant::now();
            sendable(&token.access_token).then(|| Kept {
                renew: now + (life - MARGIN.min(life / 2)),
                expires: now + life,
                token: token.access_token.into(),
            })
        })
        .ok_or(TokenError::Malformed { server })
}

/// The text of a file, without the line break at its end.
pub(super) async fn read_secret(path: &Path) -> Result<Secret, TokenError> {
    let read = async || {
        let mut text = Vec::new();
        let file = tokio::fs::File::open(path).await?;
        file.take(MAX_FILE + 1).read_to_end(&mut text).await?;
        if text.len() as u64 > MAX_FILE {
            return Err(FileError::TooLarge(MAX_FILE));
        }
        let text = String::from_utf8(text).map_err(|_| FileError::NoText)?;
        let text = text.trim();
        if !sendable(text) {
            return Err(FileError::NoText);
        }
        Ok(Secret::from(text))
    };
    read().await.map_err(|source| TokenError::File {
        path: path.to_owned(),
        source,
    })
}

/// Whether a text can stand in a header.
fn sendable(token: &str) -> bool {
    !token.is_empty() && token.chars().all(|c| !c.is_control() && c.is_ascii())
}
