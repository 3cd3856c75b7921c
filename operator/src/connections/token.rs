//! A tenant's token: asked for when a request needs it, kept for most of its life.

use std::{
    fmt,
    sync::{Arc, Mutex as Lock, PoisonError},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use http::HeaderValue;
use tokio::sync::Mutex;

/// A bearer token. It is not shown by `Debug`.
pub struct Token {
    /// What is sent.
    pub secret: String,
    /// For how long from now.
    pub valid_for: Duration,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("secret", &"***")
            .field("valid_for", &self.valid_for)
            .finish()
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[error("get a token for the operator's ServiceAccount: {0}")]
pub struct TokenError(pub String);

/// Where tokens come from.
pub trait Tokens: Send + Sync {
    /// A new token.
    fn request(&self) -> BoxFuture<'_, Result<Token, TokenError>>;
}

/// The `Authorization` header of a tenant.
pub(super) struct Bearer {
    tokens: Arc<dyn Tokens>,
    /// The header, and until when it is used.
    current: Lock<Option<(HeaderValue, Instant)>>,
    /// Held while a token is asked for, so that only one request does.
    asking: Mutex<()>,
}

impl Bearer {
    pub(super) fn new(tokens: Arc<dyn Tokens>) -> Self {
        Self {
            tokens,
            current: Lock::default(),
            asking: Mutex::default(),
        }
    }

    pub(super) async fn header(&self) -> Result<HeaderValue, TokenError> {
        if let Some(header) = self.current() {
            return Ok(header);
        }
        let _asking = self.asking.lock().await;
        if let Some(header) = self.current() {
            return Ok(header);
        }
        let token = self.tokens.request().await?;
        let mut header = HeaderValue::try_from(format!("Bearer {}", token.secret))
            .map_err(|_| TokenError("it is no text that a header can hold".to_owned()))?;
        header.set_sensitive(true);
        // As client-go: at 80 % of its life, so that a clock or a slow server does not matter.
        let until = Instant::now() + token.valid_for.mul_f64(0.8);
        *self.lock() = Some((header.clone(), until));
        Ok(header)
    }

    /// After the API server did not accept the token.
    pub(super) fn forget(&self) {
        *self.lock() = None;
    }

    fn current(&self) -> Option<HeaderValue> {
        let current = self.lock();
        let (header, until) = current.as_ref()?;
        (Instant::now() < *until).then(|| header.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(HeaderValue, Instant)>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
