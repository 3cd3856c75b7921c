//! What an agent that is enrolled sends, and what it gets.

use serde::{Deserialize, Serialize};

/// A one-time token and the key that the answer, and all secrets from then on, are to be sealed to.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnrolmentRequest {
    /// The token.
    pub token: String,
    /// The agent's [`SealingKey`](crate::SealingKey).
    pub sealing_key: String,
}

/// The credential.
#[derive(Debug, Serialize, Deserialize)]
pub struct EnrolmentAnswer {
    /// `{"tenantId", "clientId", "clientSecret"}`, sealed for
    /// [`ENROLMENT_PLACE`](crate::ENROLMENT_PLACE).
    pub sealed: String,
}
