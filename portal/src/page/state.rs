//! How something is, in one word and one shape, and which is worse. Colour says nothing alone.

use gitmoor_arm::{ComplianceState, MessageLevel, OperatorParams, Timestamp};

use crate::store::{ClusterSummary, ConfigurationSummary, OFFLINE_AFTER, Summary};

/// The state of a configuration or a cluster, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Failed,
    Noncompliant,
    Offline,
    Problems,
    Pending,
    Connecting,
    Suspended,
    Compliant,
    Empty,
}

impl State {
    pub(super) const ALL: [Self; 9] = [
        Self::Failed,
        Self::Noncompliant,
        Self::Offline,
        Self::Problems,
        Self::Pending,
        Self::Connecting,
        Self::Suspended,
        Self::Compliant,
        Self::Empty,
    ];

    /// For people.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Failed => "Failed",
            Self::Noncompliant => "Noncompliant",
            Self::Offline => "Offline",
            Self::Problems => "Problems",
            Self::Pending => "Pending",
            Self::Connecting => "Never seen",
            Self::Suspended => "Suspended",
            Self::Compliant => "Compliant",
            Self::Empty => "Nothing to do",
        }
    }

    /// For URLs, and the class that gives it its shape.
    pub(super) fn slug(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Noncompliant => "noncompliant",
            Self::Offline => "offline",
            Self::Problems => "problems",
            Self::Pending => "pending",
            Self::Connecting => "connecting",
            Self::Suspended => "suspended",
            Self::Compliant => "compliant",
            Self::Empty => "empty",
        }
    }

    pub(super) fn parse(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.slug() == slug)
    }

    /// Whether someone should look at it.
    pub(super) fn is_wrong(self) -> bool {
        self <= Self::Problems
    }

    pub(super) fn of_configuration(one: &ConfigurationSummary) -> Self {
        let params = OperatorParams::parse(one.properties.operator_params());
        let suspended = params.is_ok_and(|params| params.suspend);
        Self::of(one.summary.as_ref(), suspended)
    }

    /// Of what was reported, if anything, on a configuration that is suspended or not.
    pub(super) fn of(summary: Option<&Summary>, suspended: bool) -> Self {
        let Some(summary) = summary else {
            return Self::Pending;
        };
        let warning = summary.level == Some(MessageLevel::Warning);
        match &summary.state {
            Some(ComplianceState::Failed) => Self::Failed,
            _ if suspended => Self::Suspended,
            // So an agent says that someone suspended it in the cluster.
            Some(ComplianceState::Noncompliant) if warning => Self::Suspended,
            Some(ComplianceState::Noncompliant) => Self::Noncompliant,
            Some(ComplianceState::Compliant) if warning || summary.problems > 0 => Self::Problems,
            Some(ComplianceState::Compliant) => Self::Compliant,
            _ if warning => Self::Problems,
            _ => Self::Pending,
        }
    }

    /// Whether a cluster's agent calls.
    pub(super) fn of_agent(cluster: &ClusterSummary, now: Timestamp) -> Option<Self> {
        match &cluster.seen {
            None => Some(Self::Connecting),
            Some(seen) if now.0 - seen.at.0 > OFFLINE_AFTER => Some(Self::Offline),
            Some(_) => None,
        }
    }

    /// The worst of a cluster.
    pub(super) fn of_cluster(cluster: &ClusterSummary, now: Timestamp) -> Self {
        let configurations = cluster.configurations.iter().map(Self::of_configuration);
        configurations
            .chain(Self::of_agent(cluster, now))
            .min()
            .unwrap_or(Self::Empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_reports_is_one_word() {
        use ComplianceState::{Compliant, Failed, Noncompliant, Pending};
        use MessageLevel::{Error, Information, Warning};
        let table = [
            (Failed, Error, 0, false, State::Failed),
            (Failed, Error, 0, true, State::Failed),
            (Noncompliant, Error, 2, false, State::Noncompliant),
            (Noncompliant, Warning, 0, false, State::Suspended),
            (Compliant, Information, 0, true, State::Suspended),
            (Compliant, Warning, 1, false, State::Problems),
            (Compliant, Information, 0, false, State::Compliant),
            (Pending, Information, 0, false, State::Pending),
            (Pending, Warning, 0, false, State::Problems),
        ];
        for (state, level, problems, suspended, wanted) in table {
            let summary = Summary {
                state: Some(state),
                level: Some(level),
                problems,
                ..Summary::default()
            };
            assert_eq!(State::of(Some(&summary), suspended), wanted, "{summary:?}");
        }
        assert_eq!(State::of(None, true), State::Pending);
    }

    #[test]
    fn every_state_is_found_by_its_slug() {
        for state in State::ALL {
            assert_eq!(State::parse(state.slug()), Some(state));
        }
        assert!(State::ALL.is_sorted());
    }
}
