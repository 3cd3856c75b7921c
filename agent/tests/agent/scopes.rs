//! Which configurations get an operator, and where that of scope `cluster` lives.

use gitmoor_agent::{ClusterScope, Settings};
use gitmoor_crds::{Scope, reasons::NOT_ALLOWED};
use k8s_openapi::api::{
    core::v1::ServiceAccount,
    rbac::v1::{ClusterRoleBinding, RoleBinding},
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::support::{AGENT, Ground, SYSTEM, code, configuration, eventually, in_process};

/// Whether the status of a configuration says that it is refused.
async fn refused(ground: &Ground, namespace: &str, name: &str) -> bool {
    let one = ground.configurations(namespace).get(name).await.unwrap();
    let status = one.status.unwrap_or_default();
    let is = |kind: &str, value: &str| {
        status.conditions.iter().any(|condition| {
            condition.type_ == kind
                && condition.status == value
                && condition.reason == NOT_ALLOWED
                && condition.observed_generation == one.metadata.generation
        })
    };
    is("Ready", "False")
        && is("Stalled", "True")
        && status.observed_generation == one.metadata.generation
}

#[tokio::test]
async fn protected_namespaces_and_unallowed_scopes_are_refused_in_words_and_once() {
    let ground = Ground::new().await;
    ground.namespace("locked").await;
    ground.namespace("open").await;
    let start = ground.cluster.audit().mark().unwrap();
    let agent = ground
        .agent(Settings {
            protected_namespaces: vec!["locked".to_owned()],
            ..in_process()
        })
        .await;
    let cases = [
        ("kube-system", "one", Scope::Namespace),
        (SYSTEM, "one", Scope::Namespace),
        ("locked", "one", Scope::Namespace),
        ("open", "wide", Scope::Cluster),
    ];
    for (namespace, name, scope) in cases {
        ground.create(namespace, name, scope).await;
    }
    for (namespace, name, _) in cases {
        eventually("the status says why", || refused(&ground, namespace, name)).await;
    }
    // One that is served, after them.
    ground.create("open", "narrow", Scope::Namespace).await;
    let _: RoleBinding = ground.wait("open", "gitmoor-operator-own").await;
    for namespace in ["kube-system", SYSTEM, "locked"] {
        assert!(
            ground
                .find::<ServiceAccount>(namespace, "gitmoor-operator")
                .await
                .is_none()
        );
    }
    assert!(
        ground
            .find::<ServiceAccount>(SYSTEM, "gitmoor-operator-open")
            .await
            .is_none()
    );
    let asked = ground.asked(AGENT, start).await;
    let statuses = asked
        .iter()
        .filter(|one| one.subresource == "status")
        .count();
    assert_eq!(statuses, cases.len(), "{asked:#?}");
    agent.stop().await;

    // Allowed after all: the refusal is taken back, and only once.
    let start = ground.cluster.audit().mark().unwrap();
    let agent = ground.agent(in_process()).await;
    let _: RoleBinding = ground.wait("locked", "gitmoor-operator-own").await;
    eventually("the refusal is taken back", || async {
        let one = ground.configurations("locked").get("one").await.unwrap();
        one.status.unwrap_or_default().conditions.is_empty()
    })
    .await;
    let asked = ground.asked(AGENT, start).await;
    let statuses = asked
        .iter()
        .filter(|one| one.subresource == "status")
        .count();
    assert_eq!(
        statuses, 1,
        "those that stand are not written again: {asked:#?}"
    );
    agent.stop().await;
}

#[tokio::test]
async fn a_cluster_wide_operator_lives_where_its_tenant_cannot_reach_it() {
    let ground = Ground::new().await;
    ground.namespace("wide").await;
    let settings = Settings {
        allow_cluster_scope: ClusterScope::Always,
        ..in_process()
    };
    let agent = ground.agent(settings).await;
    ground.create("wide", "all", Scope::Cluster).await;
    ground.create("wide", "own", Scope::Namespace).await;
    let _: ServiceAccount = ground.wait(SYSTEM, "gitmoor-operator-wide").await;
    let _: RoleBinding = ground.wait("wide", "gitmoor-operator-own").await;
    let bindings: Api<ClusterRoleBinding> = Api::all(ground.admin.clone());
    eventually("the binding", || async {
        bindings
            .get_opt("gitmoor-operator-wide")
            .await
            .unwrap()
            .is_some()
    })
    .await;
    let binding = bindings.get("gitmoor-operator-wide").await.unwrap();
    assert_eq!(binding.role_ref.name, "gitmoor-cluster-operator");
    let subject = &binding.subjects.unwrap()[0];
    assert_eq!(subject.namespace.as_deref(), Some(SYSTEM));
    let operator = (SYSTEM, "gitmoor-operator-wide");
    let anything =
        json!({"verb": "create", "group": "rbac.authorization.k8s.io", "resource": "clusterroles"});
    assert!(ground.may(operator, anything).await);

    // The tenant's own operator has no way to it, nor to its configuration.
    let tenant = ("wide", "gitmoor-operator");
    let table = [
        json!({"namespace": SYSTEM, "verb": "create", "resource": "serviceaccounts", "subresource": "token", "name": "gitmoor-operator-wide"}),
        json!({"namespace": SYSTEM, "verb": "get", "resource": "secrets"}),
        json!({"namespace": SYSTEM, "verb": "create", "resource": "pods"}),
        json!({"namespace": "wide", "verb": "patch", "group": "gitmoor.io", "resource": "sourcecontrolconfigurations", "name": "all"}),
    ];
    for attributes in table {
        assert!(
            !ground.may(tenant, attributes.clone()).await,
            "{attributes}"
        );
    }

    ground.delete("wide", "all").await;
    eventually("its account and binding are gone", || async {
        ground
            .find::<ServiceAccount>(SYSTEM, "gitmoor-operator-wide")
            .await
            .is_none()
            && bindings
                .get_opt("gitmoor-operator-wide")
                .await
                .unwrap()
                .is_none()
    })
    .await;
    assert!(
        ground
            .find::<ServiceAccount>("wide", "gitmoor-operator")
            .await
            .is_some()
    );
    agent.stop().await;
}

#[tokio::test]
async fn who_may_write_configurations_may_not_write_one_of_scope_cluster() {
    let ground = Ground::new().await;
    ground.namespace("policy").await;
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "writes-configurations"},
        "rules": [{"apiGroups": ["gitmoor.io"], "resources": ["sourcecontrolconfigurations"], "verbs": ["create", "patch"]}],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "dora"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "writes-configurations"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "dora"}],
    });
    let apply = PatchParams::apply("test");
    Api::<k8s_openapi::api::rbac::v1::ClusterRole>::all(ground.admin.clone())
        .patch("writes-configurations", &apply, &Patch::Apply(role))
        .await
        .unwrap();
    Api::<RoleBinding>::namespaced(ground.admin.clone(), "policy")
        .patch("dora", &apply, &Patch::Apply(binding))
        .await
        .unwrap();
    let dora = ground.cluster.user_client("dora", &[]);
    let api: Api<gitmoor_crds::SourceControlConfiguration> = Api::namespaced(dora, "policy");
    let create = async |name: &str, scope| {
        api.create(&PostParams::default(), &configuration(name, scope))
            .await
    };
    eventually("the policy is in force", || async {
        create("narrow", Scope::Namespace).await.is_ok()
            || ground
                .find::<gitmoor_crds::SourceControlConfiguration>("policy", "narrow")
                .await
                .is_some()
    })
    .await;
    assert_eq!(code(create("wide", Scope::Cluster).await), Some(403));

    // Nor turn one that an administrator made to another repository.
    ground.create("policy", "given", Scope::Cluster).await;
    let turn = Patch::Merge(json!({"spec": {"repository": "https://127.0.0.1:1/dora/evil.git"}}));
    let turned = api.patch("given", &PatchParams::default(), &turn).await;
    assert_eq!(code(turned), Some(403));
    let mark = Patch::Merge(json!({"metadata": {"labels": {"gitmoor.io/source": "arm"}}}));
    let marked = api.patch("given", &PatchParams::default(), &mark).await;
    assert_eq!(code(marked), Some(403));
    let finalizer = Patch::Merge(json!({"metadata": {"finalizers": []}}));
    assert!(
        api.patch("given", &PatchParams::default(), &finalizer)
            .await
            .is_ok()
    );
}
