//! Tokens of an operator's ServiceAccount, from the TokenRequest API.

use std::{error::Error as _, time::Duration};

use futures::future::BoxFuture;
use gitmoor_operator::connections::{Token, TokenError, Tokens};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{Api, Client, api::PostParams};

/// As the kubelet asks for its pods' tokens, in seconds.
const LIFETIME: i64 = 60 * 60;

/// Where the tokens of one ServiceAccount come from.
pub(super) struct AccountTokens {
    accounts: Api<ServiceAccount>,
    name: String,
}

impl AccountTokens {
    pub(super) fn new(client: Client, namespace: &str, name: String) -> Self {
        Self {
            accounts: Api::namespaced(client, namespace),
            name,
        }
    }

    async fn ask(&self) -> Result<Token, TokenError> {
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(LIFETIME),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let answer = self
            .accounts
            .create_token_request(&self.name, &PostParams::default(), &request)
            .await
            .map_err(|error| {
                let cause = error.source().map(|cause| format!(": {cause}"));
                TokenError(format!("{error}{}", cause.unwrap_or_default()))
            })?;
        let status = answer
            .status
            .ok_or_else(|| TokenError("the answer has none".to_owned()))?;
        // The server may grant less than was asked for. Its own count, and not its clock.
        let granted = answer.spec.expiration_seconds.unwrap_or(LIFETIME);
        Ok(Token {
            secret: status.token,
            valid_for: Duration::from_secs(granted.unsigned_abs()),
        })
    }
}

impl Tokens for AccountTokens {
    fn request(&self) -> BoxFuture<'_, Result<Token, TokenError>> {
        Box::pin(self.ask())
    }
}
