//! A caller of the portal's ARM API, as an administrator's script is one.

use std::time::Duration;

use anyhow::{Context as _, Result};
use gitmoor_arm::ClusterId;
use reqwest::{Certificate, Client, Method};
use serde_json::Value;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The api-version of the calls.
const VERSION: &str = "2023-05-01";

/// The portal, as someone with a token sees it.
pub(crate) struct Portal {
    client: Client,
    url: String,
    cluster: ClusterId,
    token: String,
}

impl Portal {
    pub(crate) fn new(url: String, ca: &[u8], cluster: ClusterId, token: String) -> Result<Self> {
        let ca = Certificate::from_pem(ca).context("read the portal's CA")?;
        let client = Client::builder()
            .tls_certs_only([ca])
            .no_proxy()
            .timeout(TIMEOUT)
            .build()
            .context("make a client for the portal")?;
        Ok(Self {
            client,
            url,
            cluster,
            token,
        })
    }

    /// The address of a configuration.
    pub(crate) fn address(&self, name: &str) -> Result<String> {
        let path = self.cluster.configuration(name)?;
        Ok(format!(
            "{}{}?api-version={VERSION}",
            self.url,
            path.as_str()
        ))
    }

    /// Creates or changes a configuration.
    pub(crate) async fn put(&self, name: &str, body: &Value) -> Result<Value> {
        self.send(Method::PUT, name, Some(body)).await
    }

    /// What the portal knows of a configuration.
    pub(crate) async fn read(&self, name: &str) -> Result<Value> {
        self.send(Method::GET, name, None).await
    }

    async fn send(&self, method: Method, name: &str, body: Option<&Value>) -> Result<Value> {
        let address = self.address(name)?;
        let mut request = self
            .client
            .request(method.clone(), &address)
            .bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let attempt = || format!("{method} {address}");
        let response = request.send().await.with_context(attempt)?;
        let status = response.status();
        let text = response.text().await.with_context(attempt)?;
        anyhow::ensure!(status.is_success(), "{method} {address}: {status}: {text}");
        serde_json::from_str(&text).with_context(attempt)
    }
}
