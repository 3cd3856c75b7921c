//! `complianceStatus`: what a cluster reports, in the form in which ARM's clients read it.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{ComplianceState, MessageLevel, ObjectCounts, Problem, Timestamp};

/// What became of a configuration in its cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ComplianceStatus {
    /// The state in one word.
    pub compliance_state: Option<ComplianceState>,
    /// When a commit was last applied; [`Timestamp::NEVER`] before the first.
    pub last_config_applied: Option<Timestamp>,
    /// The details; JSON inside a string on the wire.
    pub message: Option<ComplianceMessage>,
    /// How serious they are.
    pub message_level: Option<MessageLevel>,
}

/// What a configuration has before its cluster reported: `Pending`, never applied.
impl Default for ComplianceStatus {
    fn default() -> Self {
        Self {
            compliance_state: Some(ComplianceState::Pending),
            last_config_applied: Some(Timestamp::NEVER),
            message: Some(ComplianceMessage::default()),
            message_level: Some(MessageLevel::Information),
        }
    }
}

/// The `message` of a compliance status: an object written as JSON into a string. Azure has the
/// first two fields, the others are Gitmoor's; clients show the string as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ComplianceMessage {
    /// What the operator has to say to a person.
    pub operator_message: Option<String>,
    /// What it was doing.
    pub cluster_state: Option<String>,
    /// The commit that was last tried.
    pub attempted_revision: Option<String>,
    /// The commit that was last gone through to the end.
    pub applied_revision: Option<String>,
    /// How many objects there are, and in which state.
    pub objects: Option<ObjectCounts>,
    /// What is wrong, each with its place in the repository.
    pub problems: Vec<Problem>,
    /// How many problems are not listed.
    pub problems_omitted: u32,
    /// Fields that this version does not know.
    pub other: Map<String, Value>,
}

/// The same with serde's own rules, as the object inside the string.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", remote = "ComplianceMessage")]
struct Object {
    #[serde(default)]
    operator_message: Option<String>,
    #[serde(default)]
    cluster_state: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempted_revision: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    applied_revision: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    objects: Option<ObjectCounts>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    problems: Vec<Problem>,
    #[serde(default, skip_serializing_if = "is_zero")]
    problems_omitted: u32,
    #[serde(flatten)]
    other: Map<String, Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl From<&str> for ComplianceMessage {
    /// Reads what any server may have written: a text that is no such object is the operator's
    /// message.
    fn from(text: &str) -> Self {
        let mut json = serde_json::Deserializer::from_str(text);
        Object::deserialize(&mut json)
            .ok()
            .filter(|_| json.end().is_ok())
            .unwrap_or_else(|| Self {
                operator_message: Some(text.to_owned()).filter(|text| !text.is_empty()),
                ..Self::default()
            })
    }
}

impl fmt::Display for ComplianceMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut json = Vec::new();
        Object::serialize(self, &mut serde_json::Serializer::new(&mut json))
            .map_err(|_| fmt::Error)?;
        f.write_str(&String::from_utf8_lossy(&json))
    }
}

impl Serialize for ComplianceMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ComplianceMessage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Cow::<'de, str>::deserialize(deserializer)?.as_ref().into())
    }
}
