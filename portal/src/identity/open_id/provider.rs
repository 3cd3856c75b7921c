//! The provider: where its ends are, its keys, and what it gives for a code. Every answer has a time
//! and a bound, none is followed elsewhere, and what is doubtful is no sign-in.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use gitmoor_arm::Secret;
use jsonwebtoken::jwk::Jwk;
use reqwest::{Certificate, Client, RequestBuilder, StatusCode, redirect::Policy};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use tokio::sync::{Mutex, Semaphore};
use url::{Host, Url, form_urlencoded};

use super::{
    Attempt, OpenId, OpenIdError,
    id_token::{self, Doubt, Expected},
};
use crate::encryption::Vault;

/// The most that an answer may hold.
const MAX_ANSWER: usize = 256 * 1024;

/// How many keys are looked at.
const MAX_KEYS: usize = 32;

/// The longest that a code or a token may be.
const MAX_TEXT: usize = 16 * 1024;

/// How long what the provider says of itself is believed.
const FRESH: Duration = Duration::from_secs(60 * 60);

/// How soon it is asked again for a key that was not there.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// How long nobody is made to wait for it again after it did not answer.
const FAILED_FOR: Duration = Duration::from_secs(5);

/// How many sign-ins are with the provider at once; more wait, as long as a request may take.
const AT_ONCE: usize = 16;

/// Why someone is not signed in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignInError {
    /// The provider cannot be asked.
    #[error("asking the provider's {what}")]
    Ask {
        what: &'static str,
        source: reqwest::Error,
    },
    /// It says no, or something else than it should.
    #[error("the provider's {what} answers {answer}")]
    Answer { what: &'static str, answer: String },
    /// What it says of itself cannot be right.
    #[error("what the provider says of itself is wrong: {0}")]
    Metadata(&'static str),
    /// It could not be asked a moment ago.
    #[error("the provider did not answer as it should a moment ago")]
    Lately,
    /// It says nothing that can be believed of the person.
    #[error("the provider's ID token is not to be believed")]
    Token,
    /// The claim that names people is not there, or not verified.
    #[error("the provider's ID token has no usable claim `{0}`")]
    Claim(String),
}

/// A person, as the provider calls them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) subject: String,
}

/// What a provider says of itself.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

struct Known {
    metadata: Metadata,
    keys: Vec<Jwk>,
    at: Instant,
}

/// What is remembered of it.
#[derive(Default)]
struct Memory {
    known: Option<Arc<Known>>,
    failed: Option<Instant>,
}

/// A provider that people sign in at.
pub(crate) struct Provider {
    settings: OpenId,
    secret: Option<Secret>,
    client: Client,
    known: Mutex<Memory>,
    at_once: Semaphore,
}

impl Provider {
    pub(crate) async fn new(settings: &OpenId, vault: Option<&Vault>) -> Result<Self, OpenIdError> {
        if !is_safe(&settings.issuer) {
            return Err(OpenIdError::Issuer(settings.issuer.clone()));
        }
        let secret = match &settings.client_secret {
            Some(source) => Some(source.text(vault).await?),
            None => None,
        };
        let limit = Duration::from_secs(settings.request_seconds.get().into());
        let builder = Client::builder()
            .redirect(Policy::none())
            .referer(false)
            .timeout(limit)
            .user_agent(concat!("gitmoor/", env!("CARGO_PKG_VERSION")));
        let path = settings.ca_file.clone().unwrap_or_default();
        let wrong = |source: Box<dyn std::error::Error + Send + Sync>| OpenIdError::Authorities {
            path: path.clone(),
            source,
        };
        let builder = match &settings.ca_file {
            None => builder,
            Some(file) => {
                let pem = fs::read(file).map_err(|error| wrong(error.into()))?;
                let roots = Certificate::from_pem_bundle(&pem).map_err(|e| wrong(e.into()))?;
                builder.tls_certs_only(roots)
            }
        };
        Ok(Self {
            settings: settings.clone(),
            secret,
            client: builder.build().map_err(|error| wrong(error.into()))?,
            known: Mutex::default(),
            at_once: Semaphore::new(AT_ONCE),
        })
    }

    pub(crate) fn settings(&self) -> &OpenId {
        &self.settings
    }

    /// Where a browser goes to sign in; it comes back to `back`.
    pub(crate) async fn entrance(&self, attempt: &Attempt, back: &str) -> Result<Url, SignInError> {
        let known = self.known(FRESH).await?;
        let mut url = known.metadata.authorization_endpoint.clone();
        let mut scope = self.settings.scopes.clone();
        scope.insert(0, "openid".to_owned());
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", back)
            .append_pair("scope", &scope.join(" "))
            .append_pair("state", &attempt.state())
            .append_pair("nonce", &attempt.nonce())
            .append_pair("code_challenge", &attempt.challenge())
            .append_pair("code_challenge_method", "S256");
        Ok(url)
    }

    /// Whether it is this provider that a browser comes back from, as far as it says (RFC 9207).
    pub(crate) fn is_issuer(&self, issuer: Option<&str>) -> bool {
        issuer.is_none_or(|issuer| self.settings.is_named(issuer))
    }

    /// Who it is that came back with this code.
    pub(crate) async fn person(
        &self,
        attempt: &Attempt,
        back: &str,
        code: &str,
    ) -> Result<Person, SignInError> {
        if code.is_empty() || code.len() > MAX_TEXT {
            return Err(SignInError::Token);
        }
        let _permit = self.at_once.acquire().await;
        let known = self.known(FRESH).await?;
        let token = self.redeem(&known.metadata, attempt, back, code).await?;
        let nonce = attempt.nonce();
        let expected = Expected {
            issuer: &known.metadata.issuer,
            client: &self.settings.client_id,
            nonce: &nonce,
        };
        let claims = match id_token::read(&token, &known.keys, &expected) {
            // Providers change their keys whenever they like.
            Err(Doubt::UnknownKey) => {
                let known = self.known(ASK_AGAIN).await?;
                id_token::read(&token, &known.keys, &expected)
            }
            other => other,
        };
        self.named(&claims.map_err(|_| SignInError::Token)?)
    }

    fn named(&self, claims: &Map<String, Value>) -> Result<Person, SignInError> {
        /// The longest name that is kept or shown.
        const LONGEST: usize = 255;
        let claim = &self.settings.claim;
        let verified = claim != "email" || claims.get("email_verified") == Some(&Value::Bool(true));
        let subject = claims.get(claim).and_then(Value::as_str);
        let usable = |subject: &&str| {
            !subject.is_empty() && subject.len() <= LONGEST && !subject.contains(char::is_control)
        };
        subject
            .filter(usable)
            .filter(|_| verified)
            .map(|subject| Person {
                subject: subject.to_owned(),
            })
            .ok_or_else(|| SignInError::Claim(claim.clone()))
    }

    async fn redeem(
        &self,
        metadata: &Metadata,
        attempt: &Attempt,
        back: &str,
        code: &str,
    ) -> Result<String, SignInError> {
        let verifier = attempt.verifier();
        let id = &self.settings.client_id;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", back),
            ("code_verifier", verifier.as_str()),
        ];
        let request = self.client.post(metadata.token_endpoint.clone());
        let methods = &metadata.token_endpoint_auth_methods_supported;
        // Where a provider names no method, it is this one.
        let basic = methods.is_empty() || methods.iter().any(|one| one == "client_secret_basic");
        let request = match &self.secret {
            Some(secret) if basic => request.basic_auth(coded(id), Some(coded(secret.expose()))),
            Some(secret) => {
                form.extend([
                    ("client_id", id.as_str()),
                    ("client_secret", secret.expose()),
                ]);
                request
            }
            None => {
                form.push(("client_id", id));
                request
            }
        };
        let tokens: Tokens = ask("token endpoint", request.form(&form)).await?;
        if tokens.id_token.len() > MAX_TEXT {
            return Err(SignInError::Token);
        }
        Ok(tokens.id_token)
    }

    /// What the provider said of itself, at most so long ago. However many want to know, it is asked
    /// once; and when it fails, those who waited do not wait for it one after the other.
    async fn known(&self, age: Duration) -> Result<Arc<Known>, SignInError> {
        let mut memory = self.known.lock().await;
        let known = memory.known.as_ref();
        if let Some(known) = known.filter(|known| known.at.elapsed() < age) {
            return Ok(Arc::clone(known));
        }
        if memory.failed.is_some_and(|at| at.elapsed() < FAILED_FOR) {
            return Err(SignInError::Lately);
        }
        let found = self.ask().await.map(Arc::new);
        memory.failed = found.is_err().then(Instant::now);
        if let Ok(known) = &found {
            memory.known = Some(Arc::clone(known));
        }
        found
    }

    async fn ask(&self) -> Result<Known, SignInError> {
        let base = self.settings.issuer.as_str().trim_end_matches('/');
        let url = format!("{base}/.well-known/openid-configuration");
        let metadata: Metadata = ask("configuration", self.client.get(url)).await?;
        if !self.settings.is_named(&metadata.issuer) {
            return Err(SignInError::Metadata("it has another issuer"));
        }
        let ends = [
            &metadata.authorization_endpoint,
            &metadata.token_endpoint,
            &metadata.jwks_uri,
        ];
        if !ends.into_iter().all(is_safe) {
            return Err(SignInError::Metadata("an end of it is no https:// address"));
        }
        let request = self.client.get(metadata.jwks_uri.clone());
        let set: KeySet = ask("key set", request).await?;
        let keys = set.keys.into_iter().take(MAX_KEYS);
        Ok(Known {
            metadata,
            // Those of kinds that are not known are for others.
            keys: keys
                .filter_map(|key| serde_json::from_value(key).ok())
                .collect(),
            at: Instant::now(),
        })
    }
}

/// By TLS, or on this machine alone; without a password in it.
fn is_safe(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let safe = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    safe && url.username().is_empty() && url.password().is_none() && url.fragment().is_none()
}

/// As a form has it, which RFC 6749 (2.3.1) wants of what stands in the header.
fn coded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn ask<T: DeserializeOwned>(
    what: &'static str,
    request: RequestBuilder,
) -> Result<T, SignInError> {
    // A URL of the provider's may hold what is nobody's business.
    let failed = |source: reqwest::Error| SignInError::Ask {
        what,
        source: source.without_url(),
    };
    let answer = |answer: String| SignInError::Answer { what, answer };
    let mut response = request.send().await.map_err(failed)?;
    let status = response.status();
    if status != StatusCode::OK {
        return Err(answer(status.to_string()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(answer(format!("with more than {MAX_ANSWER} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|_| answer("with what cannot be read".to_owned()))
}
