//! Another of Azure's services, called with the same kinds of credentials.

use std::{path::Path, time::Duration};

use ::http::StatusCode;
use url::Url;

use super::{
    http::{Http, origin},
    refusal,
    token::TokenSource,
};
use crate::{Credential, Error};

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// One of Azure's services.
#[derive(Debug)]
pub struct Service {
    http: Http,
    tokens: TokenSource,
}

impl Service {
    /// A service, whose tokens are for `audience`. Sends nothing yet.
    ///
    /// # Errors
    /// When the credential cannot be used, or the file of certificate authorities.
    pub fn new(
        credential: Credential,
        audience: &str,
        ca_file: Option<&Path>,
    ) -> Result<Self, Error> {
        credential.check()?;
        Ok(Self {
            http: Http::new(ca_file, TIMEOUT)?,
            tokens: TokenSource::new(credential, None, audience),
        })
    }

    /// The body that is there.
    ///
    /// # Errors
    /// When there is no token, the service cannot be reached, or it refuses.
    pub async fn get(&self, url: &Url) -> Result<Vec<u8>, Error> {
        let token = self.tokens.token(&self.http, None).await?;
        let answer = self
            .http
            .send(|clients| {
                let request = clients.through_proxy.get(url.clone());
                request.bearer_auth(token.expose())
            })
            .await
            .map_err(|source| Error::Transport {
                server: origin(url),
                source,
            })?;
        if answer.status != StatusCode::OK {
            return Err(refusal(url, &answer));
        }
        Ok(answer.body)
    }
}
