//! Who calls, by the bearer token, and what they may do.

use gitmoor_arm::ClusterId;
use http::{HeaderMap, Method, header::AUTHORIZATION};
use uuid::Uuid;

use super::{refusal::Refusal, route::Route};
use crate::{
    Store,
    tokens::{Grant, Role, TokenRecord},
};

/// A caller whose token is right.
pub(super) struct Caller {
    pub(super) id: Uuid,
    pub(super) name: String,
    grant: Grant,
}

/// Recognises the caller.
pub(super) async fn authenticate(store: &Store, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Err(Refusal::no_token());
    };
    let token = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(Refusal::bad_token)?;
    let TokenRecord {
        id, name, grant, ..
    } = store
        .authenticate(token)
        .await?
        .ok_or_else(Refusal::bad_token)?;
    Ok(Caller { id, name, grant })
}

impl Caller {
    /// Whether the caller may do this at all; nothing is said of whether it is there.
    pub(super) fn authorise(&self, route: &Route, method: &Method) -> Result<(), Refusal> {
        let writes = method != Method::GET;
        let allowed = match route {
            // What the provider can do is no secret, but only ARM's callers ask.
            Route::Operations => matches!(self.grant, Grant::Principal { .. }),
            Route::Configurations(cluster) => self.may_use_arm(cluster, writes),
            Route::Configuration(id) => self.may_use_arm(&id.cluster(), writes),
            Route::Desired(cluster) => self.is_agent_of(cluster),
            Route::Status(id) => self.is_agent_of(&id.cluster()),
        };
        if allowed {
            return Ok(());
        }
        Err(Refusal::forbidden(&self.name, self.id, route, method))
    }

    fn may_use_arm(&self, cluster: &ClusterId, writes: bool) -> bool {
        match &self.grant {
            Grant::Principal { scope, role } => {
                scope.covers(cluster) && (!writes || *role == Role::Contributor)
            }
            Grant::Cluster(_) => false,
        }
    }

    fn is_agent_of(&self, cluster: &ClusterId) -> bool {
        matches!(&self.grant, Grant::Cluster(own) if own == cluster)
    }
}
