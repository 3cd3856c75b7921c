//! How to reach a cluster, as whichever user: configurations, clients, kubeconfigs, `kubectl`.

use std::{ffi::OsStr, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{Api, Client, Config, api::PostParams, config::AuthInfo};
use serde_json::json;

use crate::{
    ADMIN_USER, OWN_USER,
    authority::{Authority, Pair},
    cluster::{Cluster, Error},
    directory::write_private,
};

/// The group that may do everything, whatever RBAC says.
pub(crate) const MASTERS: &str = "system:masters";

/// Longer than any test, in seconds.
const TOKEN_LIFETIME: i64 = 24 * 60 * 60;

impl Cluster {
    /// A configuration for [`ADMIN_USER`], who may do everything.
    ///
    /// This and every other configuration is kube's default in all that is not the address and the
    /// user: no limit on reads, and retries of 429, 503 and 504.
    pub fn admin_config(&self) -> Config {
        self.user_config(ADMIN_USER, &[MASTERS])
    }

    /// A configuration for any user, who need not be known anywhere.
    pub fn user_config(&self, user: &str, groups: &[&str]) -> Config {
        let Pair { certificate, key } = client_certificate(self.authority(), user, groups);
        let mut config = anonymous(self.url(), self.authority());
        config.auth_info = AuthInfo {
            client_certificate_data: Some(BASE64_STANDARD.encode(certificate)),
            client_key_data: Some(BASE64_STANDARD.encode(key).into()),
            ..AuthInfo::default()
        };
        config
    }

    /// A configuration for a ServiceAccount, which must exist: with a token that the API server
    /// gave for a day.
    ///
    /// # Errors
    /// When the API server refuses the token.
    pub async fn service_account_config(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Config, Error> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.own_client(), namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(TOKEN_LIFETIME),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let answer = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await;
        let answer = answer.map_err(|source| Error::Token {
            account: format!("{namespace}/{name}"),
            source: Box::new(source),
        })?;
        let token = answer
            .status
            .expect("the answer to a TokenRequest has a token")
            .token;
        let mut config = anonymous(self.url(), self.authority());
        config.auth_info = AuthInfo {
            token: Some(token.into()),
            ..AuthInfo::default()
        };
        Ok(config)
    }

    /// A client for [`admin_config`](Self::admin_config). Like all clients it belongs to the
    /// tokio runtime that it is made in.
    pub fn admin_client(&self) -> Client {
        client(self.admin_config())
    }

    /// A client for [`user_config`](Self::user_config).
    pub fn user_client(&self, user: &str, groups: &[&str]) -> Client {
        client(self.user_config(user, groups))
    }

    /// A client for [`service_account_config`](Self::service_account_config).
    ///
    /// # Errors
    /// When the API server refuses the token.
    pub async fn service_account_client(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Client, Error> {
        Ok(client(self.service_account_config(namespace, name).await?))
    }

    /// The client for this crate's own requests.
    pub(crate) fn own_client(&self) -> Client {
        client(self.user_config(OWN_USER, &[MASTERS]))
    }

    /// Writes a kubeconfig for any user, with everything in the one file, readable by its owner.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_kubeconfig(&self, path: &Path, user: &str, groups: &[&str]) -> Result<(), Error> {
        let Pair { certificate, key } = client_certificate(self.authority(), user, groups);
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "gitmoor-cluster", "cluster": {
                "server": self.url(),
                "certificate-authority-data": BASE64_STANDARD.encode(self.ca_pem()),
            }}],
            "users": [{"name": user, "user": {
                "client-certificate-data": BASE64_STANDARD.encode(certificate),
                "client-key-data": BASE64_STANDARD.encode(key),
            }}],
            "contexts": [{"name": "gitmoor-cluster", "context": {"cluster": "gitmoor-cluster", "user": user}}],
            "current-context": "gitmoor-cluster",
        });
        Ok(write_private(path, &format!("{kubeconfig:#}\n"))?)
    }

    /// `kubectl` with these arguments, as [`ADMIN_USER`]; another `--kubeconfig` among them wins.
    /// It is killed when its handle is dropped, and keeps its caches in the cluster's directory.
    pub fn kubectl<I>(&self, arguments: I) -> tokio::process::Command
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        let mut command = tokio::process::Command::new(self.program());
        command
            .arg("kubectl")
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig())
            .env("KUBECACHEDIR", self.layout().kubectl_cache())
            .env("KUBERC", "off")
            .kill_on_drop(true);
        command
    }
}

/// A configuration of nobody.
pub(crate) fn anonymous(url: &str, authority: &Authority) -> Config {
    let mut config = Config::new(
        url.parse()
            .expect("it is made of a scheme, an address and a port"),
    );
    config.root_cert = Some(vec![authority.der().to_vec()]);
    config
}

pub(crate) fn client(config: Config) -> Client {
    Client::try_from(config).expect("the certificates and the address in it were made here")
}

fn client_certificate(authority: &Authority, user: &str, groups: &[&str]) -> Pair {
    authority
        .client_certificate(user, groups)
        .expect("making and using a key fails only without randomness")
}
