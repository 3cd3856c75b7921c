//! The status of a configuration on its way from the agent to the portal: the body of
//! `PUT …/configurations/{name}/status` of the data plane. ARM itself takes no status.

use serde::{Deserialize, Serialize};

use super::{ComplianceMessage, ComplianceState, ComplianceStatus, MessageLevel, Timestamp};

/// How many problems a report lists; the number of the others is in `problemsOmitted`.
pub const MAX_PROBLEMS: usize = 100;

/// How many objects a report lists.
pub const MAX_OBJECTS: usize = 1000;

/// How many drifts a report lists.
pub const MAX_DRIFTS: usize = 20;

/// The most that a report may take on the wire: 100 problems of four texts of 1,024 characters and the
/// texts of its objects, each byte of which takes up to six in JSON, and room for the rest.
pub const MAX_STATUS_BYTES: usize = 4 * 1024 * 1024;

/// The bound of each text of a report, in characters; a longer one ends in `…`.
const MAX_TEXT: usize = 1024;

/// The same of what is said of an object.
const MAX_STATE: usize = 640;

/// How many bytes the texts of all objects may have together: a thousand have some 60,000.
const MAX_STATES: usize = 200 * 1024;

/// The longest public key, in bytes; one of 16,384 bits takes some 3 KiB.
const MAX_PUBLIC_KEY: usize = 8 * 1024;

/// What an agent reports of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StatusReport {
    /// The `etag` of the configuration that this speaks of. A report of another version is stale
    /// and refused with 412.
    pub observed_etag: String,
    /// The state in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compliance_state: Option<ComplianceState>,
    /// When a commit was last applied; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_config_applied: Option<Timestamp>,
    /// What there is to say, for a person.
    pub message: String,
    /// How serious it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_level: Option<MessageLevel>,
    /// The commit that was last tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempted_revision: Option<String>,
    /// The commit that was last gone through to the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied_revision: Option<String>,
    /// Who wrote that, and when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied_commit: Option<Commit>,
    /// How many objects there are, and in which state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<ObjectCounts>,
    /// How the objects fare, at most [`MAX_OBJECTS`]: those that are not well first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inventory: Vec<ObjectState>,
    /// What others had changed and was put right, the newest first; at most [`MAX_DRIFTS`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drifts: Vec<Drift>,
    /// What is wrong, at most [`MAX_PROBLEMS`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// How many problems are not listed.
    pub problems_omitted: u32,
    /// The public SSH key by which the repository is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository_public_key: Option<String>,
}

impl StatusReport {
    /// The same within its bounds: at most [`MAX_PROBLEMS`] problems, and no text without end.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let omitted = self.problems.len().saturating_sub(MAX_PROBLEMS);
        self.problems.truncate(MAX_PROBLEMS);
        self.problems_omitted = self
            .problems_omitted
            .saturating_add(u32::try_from(omitted).unwrap_or(u32::MAX));
        for problem in &mut self.problems {
            cut(&mut problem.path);
            cut(&mut problem.reason);
            cut(&mut problem.message);
            problem.object.iter_mut().for_each(cut);
        }
        if let Some(commit) = &mut self.applied_commit {
            cut_to(MAX_STATE, &mut commit.author);
            cut_to(MAX_STATE, &mut commit.title);
        }
        self.inventory.truncate(MAX_OBJECTS);
        for state in &mut self.inventory {
            for text in [&mut state.object, &mut state.health, &mut state.message] {
                cut_to(MAX_STATE, text);
            }
        }
        let mut room = MAX_STATES;
        let fit = self.inventory.iter().take_while(|state| {
            room =
                room.saturating_sub(state.object.len() + state.health.len() + state.message.len());
            room > 0
        });
        self.inventory.truncate(fit.count());
        self.drifts.truncate(MAX_DRIFTS);
        for drift in &mut self.drifts {
            cut_to(MAX_STATE, &mut drift.object);
            drift
                .manager
                .iter_mut()
                .for_each(|manager| cut_to(MAX_STATE, manager));
        }
        if let Some(ComplianceState::Other(word)) = &mut self.compliance_state {
            cut(word);
        }
        if let Some(MessageLevel::Other(word)) = &mut self.message_level {
            cut(word);
        }
        cut(&mut self.message);
        cut(&mut self.observed_etag);
        self.attempted_revision.iter_mut().for_each(cut);
        self.applied_revision.iter_mut().for_each(cut);
        // Half a key is none.
        self.repository_public_key = self
            .repository_public_key
            .filter(|key| key.len() <= MAX_PUBLIC_KEY);
        self
    }

    /// The same in the form in which ARM's clients read it.
    pub fn compliance_status(&self) -> ComplianceStatus {
        let pending = ComplianceStatus::default();
        ComplianceStatus {
            compliance_state: self.compliance_state.clone().or(pending.compliance_state),
            last_config_applied: self.last_config_applied.or(pending.last_config_applied),
            message: Some(ComplianceMessage {
                operator_message: Some(self.message.clone()).filter(|text| !text.is_empty()),
                attempted_revision: self.attempted_revision.clone(),
                applied_revision: self.applied_revision.clone(),
                objects: self.objects,
                problems: self.problems.clone(),
                problems_omitted: self.problems_omitted,
                ..ComplianceMessage::default()
            }),
            message_level: self.message_level.clone().or(pending.message_level),
        }
    }
}

fn cut(text: &mut String) {
    cut_to(MAX_TEXT, text);
}

fn cut_to(length: usize, text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(length) {
        text.truncate(end);
        text.push('…');
    }
}

/// How many objects a configuration has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectCounts {
    /// Objects that are applied and not pruned.
    pub total: u32,
    /// Objects that the last sync created or changed.
    pub changed: u32,
    /// Objects that the last sync deleted.
    pub pruned: u32,
    /// Drifts that were put right since the last commit.
    pub healed: u32,
    /// Objects that are not healthy, or not yet.
    pub unhealthy: u32,
    /// Problems, those that are not listed included.
    pub problems: u32,
}

/// Who wrote a commit, as the commit says; nobody has checked it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Commit {
    /// The author's name.
    pub author: String,
    /// When.
    pub authored_at: Timestamp,
    /// The first line of its message.
    pub title: String,
}

/// How an object fares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectState {
    /// The object, as `Kind.group namespace/name`.
    pub object: String,
    /// A word of kstatus, such as `Current`.
    pub health: String,
    /// What it lacks.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// An object that was no longer as declared, and was put right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// The object, as `Kind.group namespace/name`.
    pub object: String,
    /// When it was put right.
    pub time: Timestamp,
    /// Whether it had been deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// The field manager that changed it last, such as `kubectl-edit`, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
}

/// Something that is wrong with a place in the repository, or with the object that it declares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Problem {
    /// The file, from the root of the repository; empty when it is not about a file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The line in it, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The object, as `Kind.group namespace/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// A stable word in CamelCase.
    pub reason: String,
    /// What is wrong and what to do.
    pub message: String,
}
