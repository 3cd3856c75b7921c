//! ARM's error envelope.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The body of every answer that is no success.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ErrorResponse {
    /// The error itself.
    pub error: ErrorDetail,
}

impl ErrorResponse {
    /// An error of this code, such as `ResourceNotFound`, in these words.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            error: ErrorDetail::new(code, message),
        }
    }
}

/// One error, and those that it is made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ErrorDetail {
    /// A stable word.
    pub code: String,
    /// The same for a person.
    pub message: String,
    /// The field or resource at fault.
    pub target: Option<String>,
    /// The errors it is made of, for example one for each field.
    #[serde(deserialize_with = "null_is_empty")]
    pub details: Vec<Self>,
    /// Anything else.
    #[serde(deserialize_with = "null_is_empty")]
    pub additional_info: Vec<AdditionalInfo>,
}

impl ErrorDetail {
    /// An error of this code, in these words.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            ..Self::default()
        }
    }

    /// The same, with the field or resource at fault.
    #[must_use]
    pub fn with_target(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }
}

/// What an error has to add.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdditionalInfo {
    /// What it is.
    #[serde(rename = "type")]
    pub info_type: String,
    /// Its value.
    pub info: Value,
}

fn null_is_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
