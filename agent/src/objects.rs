//! What the agent makes for an operator: ServiceAccount, bindings, Deployment. Pure: from a pair to
//! the objects to apply.

mod deployment;

use std::collections::{BTreeMap, BTreeSet};

use gitmoor_crds::{GROUP, PLURAL, Scope};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::ServiceAccount,
        rbac::v1::{
            ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
        },
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Resource as _,
    core::{ApiResource, DynamicObject},
};
use serde_json::Value;

use crate::{
    names::{
        CLUSTER_ROLE, MANAGED_BY, MANAGED_BY_VALUE, NAMESPACE_ROLE, OPERATOR, OPERATOR_OWN,
        SERVED_NAMESPACE, SERVED_SCOPE, operator,
    },
    pair::Pair,
    settings::{Runtime, Settings},
};

/// What the agent makes, in the order in which it is taken away: no operator is left without its
/// rights, and no rights without their holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Deployment,
    ClusterRoleBinding,
    RoleBinding,
    Role,
    ServiceAccount,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Deployment,
        Self::ClusterRoleBinding,
        Self::RoleBinding,
        Self::Role,
        Self::ServiceAccount,
    ];

    pub(crate) fn resource(self) -> ApiResource {
        match self {
            Self::Deployment => ApiResource::erase::<Deployment>(&()),
            Self::ClusterRoleBinding => ApiResource::erase::<ClusterRoleBinding>(&()),
            Self::RoleBinding => ApiResource::erase::<RoleBinding>(&()),
            Self::Role => ApiResource::erase::<Role>(&()),
            Self::ServiceAccount => ApiResource::erase::<ServiceAccount>(&()),
        }
    }
}

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ObjectKey {
    pub(crate) kind: Kind,
    /// Absent for what belongs to no namespace.
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} ", self.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

/// The pair that an object of this name is made for. Only such objects are ever taken away.
pub(crate) fn pair_of(key: &ObjectKey, agent_namespace: &str) -> Option<Pair> {
    let tenant = key
        .namespace
        .as_deref()
        .map(|namespace| (namespace, Scope::Namespace));
    let served = key
        .name
        .strip_prefix(OPERATOR)
        .and_then(|rest| rest.strip_prefix('-'));
    let cluster_wide = served.map(|namespace| (namespace, Scope::Cluster));
    tenant
        .into_iter()
        .chain(cluster_wide)
        .map(|(namespace, scope)| Pair {
            namespace: namespace.to_owned(),
            scope,
        })
        .find(|pair| keys(pair, agent_namespace).contains(key))
}

/// All that could ever be made for a pair, whatever the runtime.
fn keys(pair: &Pair, agent_namespace: &str) -> BTreeSet<ObjectKey> {
    let home = Some(pair.home(agent_namespace).to_owned());
    let name = operator(pair);
    let key = |kind, namespace: &Option<String>, name: &str| ObjectKey {
        kind,
        namespace: namespace.clone(),
        name: name.to_owned(),
    };
    let mut keys = BTreeSet::from([
        key(Kind::ServiceAccount, &home, &name),
        key(Kind::Deployment, &home, &name),
    ]);
    match pair.scope {
        Scope::Namespace => keys.extend([
            key(Kind::RoleBinding, &home, OPERATOR),
            key(Kind::RoleBinding, &home, OPERATOR_OWN),
            key(Kind::Role, &home, OPERATOR_OWN),
        ]),
        Scope::Cluster => keys.extend([key(Kind::ClusterRoleBinding, &None, &name)]),
    }
    keys
}

/// The objects of an operator, in the order in which they are applied. Always the same for the same
/// names and settings.
pub(crate) fn objects(
    pair: &Pair,
    names: &BTreeSet<String>,
    settings: &Settings,
) -> Vec<(ObjectKey, DynamicObject)> {
    let home = pair.home(&settings.namespace);
    let name = operator(pair);
    let mut objects = vec![object(
        Kind::ServiceAccount,
        &service_account(),
        home,
        &name,
        pair,
    )];
    match pair.scope {
        Scope::Namespace => objects.extend([
            object(
                Kind::RoleBinding,
                &role_binding::<ClusterRole>(home, &name, NAMESPACE_ROLE),
                home,
                OPERATOR,
                pair,
            ),
            object(Kind::Role, &own_role(names), home, OPERATOR_OWN, pair),
            object(
                Kind::RoleBinding,
                &role_binding::<Role>(home, &name, OPERATOR_OWN),
                home,
                OPERATOR_OWN,
                pair,
            ),
        ]),
        // Its ClusterRole holds all that the other needs two roles for.
        Scope::Cluster => objects.push(object(
            Kind::ClusterRoleBinding,
            &cluster_role_binding(home, &name),
            home,
            &name,
            pair,
        )),
    }
    if settings.runtime == Runtime::Deployment {
        let deployment = deployment::deployment(pair, settings);
        objects.push(object(Kind::Deployment, &deployment, home, &name, pair));
    }
    objects
}

/// The labels of what is made for a pair.
fn labels(pair: &Pair) -> BTreeMap<String, String> {
    [
        (MANAGED_BY, MANAGED_BY_VALUE),
        (SERVED_NAMESPACE, &pair.namespace),
        (SERVED_SCOPE, pair.scope.name()),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

fn object(
    kind: Kind,
    typed: &impl serde::Serialize,
    home: &str,
    name: &str,
    pair: &Pair,
) -> (ObjectKey, DynamicObject) {
    let namespace = (kind != Kind::ClusterRoleBinding).then(|| home.to_owned());
    let mut object = DynamicObject::new(name, &kind.resource());
    object.data = serde_json::to_value(typed).expect("the API's types are plain data");
    if let Value::Object(fields) = &mut object.data {
        // They are the DynamicObject's own fields.
        fields.retain(|field, _| !matches!(field.as_str(), "apiVersion" | "kind" | "metadata"));
    }
    object.metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: namespace.clone(),
        labels: Some(labels(pair)),
        ..ObjectMeta::default()
    };
    let name = name.to_owned();
    let key = ObjectKey {
        kind,
        namespace,
        name,
    };
    (key, object)
}

/// No token in pods that do not ask for one: the Deployment's does.
fn service_account() -> ServiceAccount {
    ServiceAccount {
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

fn subject(home: &str, name: &str) -> Subject {
    Subject {
        kind: "ServiceAccount".to_owned(),
        name: name.to_owned(),
        namespace: Some(home.to_owned()),
        api_group: None,
    }
}

fn role_ref<R: kube::Resource<DynamicType = ()>>(role: &str) -> RoleRef {
    RoleRef {
        api_group: Role::group(&()).into_owned(),
        kind: R::kind(&()).into_owned(),
        name: role.to_owned(),
    }
}

fn role_binding<R: kube::Resource<DynamicType = ()>>(
    home: &str,
    name: &str,
    role: &str,
) -> RoleBinding {
    RoleBinding {
        role_ref: role_ref::<R>(role),
        subjects: Some(vec![subject(home, name)]),
        ..RoleBinding::default()
    }
}

fn cluster_role_binding(home: &str, name: &str) -> ClusterRoleBinding {
    ClusterRoleBinding {
        role_ref: role_ref::<ClusterRole>(CLUSTER_ROLE),
        subjects: Some(vec![subject(home, name)]),
        ..ClusterRoleBinding::default()
    }
}

/// What a tenant's operator may do with its own resource. A tenant can take on its operator's
/// ServiceAccount, so writing is allowed for exactly the configurations of this pair: one of scope
/// `cluster` in the same namespace is none of its business. `patch` of the resource itself is for
/// the finalizer.
fn own_role(names: &BTreeSet<String>) -> Role {
    let own = |resources: &[&str], verbs: &[&str], names: Option<Vec<String>>| PolicyRule {
        api_groups: Some(vec![GROUP.to_owned()]),
        resources: Some(resources.iter().map(|&one| one.to_owned()).collect()),
        resource_names: names,
        verbs: verbs.iter().map(|&one| one.to_owned()).collect(),
        ..PolicyRule::default()
    };
    Role {
        rules: Some(vec![
            own(&[PLURAL], &["get", "list", "watch"], None),
            own(
                &[PLURAL, &format!("{PLURAL}/status")],
                &["patch"],
                Some(names.iter().cloned().collect()),
            ),
        ]),
        ..Role::default()
    }
}
