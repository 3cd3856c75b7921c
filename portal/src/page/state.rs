//! How something is, in one word and one shape, and which is worse. Colour says nothing alone.

use std::collections::BTreeSet;

use gitmoor_arm::{ComplianceState, MessageLevel, OperatorParams, Timestamp};

use crate::store::{ClusterSummary, ConfigurationSummary, OFFLINE_AFTER, Seen, Summary};

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
        Self::of(one.summary.as_ref(), suspended).since_changed(one.earlier, suspended)
    }

    /// The same when the report is of the time before the last change, perhaps: what was wrong is so
    /// until the cluster says otherwise, what was right may not be any more.
    pub(super) fn since_changed(self, earlier: bool, suspended: bool) -> Self {
        match self {
            Self::Compliant if earlier => Self::Pending,
            Self::Suspended if earlier && !suspended => Self::Pending,
            state => state,
        }
    }

    /// Since when that is so, if the report tells: what is so now may have begun with the change.
    pub(super) fn since(self, last: Option<&Summary>, earlier: bool) -> Option<Timestamp> {
        last?.since.filter(|_| !earlier || self.is_wrong())
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
        Self::of_presence(cluster.seen.as_ref(), now)
    }

    /// The same of when it was last seen.
    pub(super) fn of_presence(seen: Option<&Seen>, now: Timestamp) -> Option<Self> {
        match seen {
            None => Some(Self::Connecting),
            Some(seen) if now.0 - seen.at.0 > OFFLINE_AFTER => Some(Self::Offline),
            Some(_) => None,
        }
    }

    /// All that a cluster is in, the worst first: that of its agent, and those of its configurations.
    pub(super) fn of_cluster(cluster: &ClusterSummary, now: Timestamp) -> BTreeSet<Self> {
        let configurations = cluster.configurations.iter().map(Self::of_configuration);
        let mut states: BTreeSet<_> = configurations.chain(Self::of_agent(cluster, now)).collect();
        if states.is_empty() {
            states.insert(Self::Empty);
        }
        states
    }

    /// Whether it is that of an agent, and so of a cluster.
    pub(super) fn is_of_agent(self) -> bool {
        matches!(self, Self::Offline | Self::Connecting)
    }

    /// Of those, what is told in a row: the worst, and that of the agent.
    pub(super) fn told(states: &BTreeSet<Self>) -> Vec<Self> {
        let worst = states.iter().take(1);
        let agent = states.iter().skip(1).filter(|one| one.is_of_agent());
        worst.chain(agent).copied().collect()
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
    fn what_was_wrong_before_a_change_is_wrong_until_the_cluster_says_otherwise() {
        for (state, suspended, wanted) in [
            (State::Failed, false, State::Failed),
            (State::Problems, false, State::Problems),
            (State::Compliant, false, State::Pending),
            (State::Suspended, false, State::Pending),
            (State::Suspended, true, State::Suspended),
        ] {
            assert_eq!(state.since_changed(true, suspended), wanted);
            assert_eq!(state.since_changed(false, suspended), state);
        }
    }

    #[test]
    fn every_state_is_found_by_its_slug() {
        for state in State::ALL {
            assert_eq!(State::parse(state.slug()), Some(state));
        }
        assert!(State::ALL.is_sorted());
    }
}
