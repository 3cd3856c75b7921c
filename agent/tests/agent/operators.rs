//! Operators of scope `namespace`: their rights come, heal and go.

use std::{collections::BTreeMap, time::Duration};

use gitmoor_crds::Scope;
use k8s_openapi::api::{
    authentication::v1::TokenRequest,
    core::v1::{Namespace, ServiceAccount},
    rbac::v1::{Role, RoleBinding},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::time::sleep;

use crate::support::{AGENT, Ground, SYSTEM, code, eventually, in_process};

#[tokio::test]
async fn a_configuration_gets_an_operator_with_the_rights_of_its_namespace() {
    let ground = Ground::new().await;
    ground.namespace("rights").await;
    let start = ground.cluster.audit().mark().unwrap();
    let agent = ground.agent(in_process()).await;
    ground.create("rights", "one", Scope::Namespace).await;
    ground.create("rights", "two", Scope::Namespace).await;

    let account: ServiceAccount = ground.wait("rights", "gitmoor-operator").await;
    assert_eq!(account.automount_service_account_token, Some(false));
    let binding: RoleBinding = ground.wait("rights", "gitmoor-operator").await;
    let own: RoleBinding = ground.wait("rights", "gitmoor-operator-own").await;
    let role = |binding: &RoleBinding| {
        let role = binding.role_ref.clone();
        (role.kind, role.name)
    };
    assert_eq!(
        role(&binding),
        ("ClusterRole".into(), "gitmoor-namespace-operator".into())
    );
    assert_eq!(role(&own), ("Role".into(), "gitmoor-operator-own".into()));
    for binding in [&binding, &own] {
        let subjects = binding.subjects.clone().unwrap();
        let [subject] = subjects.as_slice() else {
            panic!("{subjects:?}")
        };
        assert_eq!(subject.name, "gitmoor-operator");
        assert_eq!(subject.namespace.as_deref(), Some("rights"));
    }
    eventually("the role names both", || async {
        let role: Role = ground.wait("rights", "gitmoor-operator-own").await;
        role.rules.unwrap()[1].resource_names == Some(vec!["one".to_owned(), "two".to_owned()])
    })
    .await;

    // It speaks for itself, and not with the agent's voice.
    let itself = "system:serviceaccount:rights:gitmoor-operator";
    eventually("the operator watches its configurations", || async {
        let all = ground.cluster.audit().since(start).await.unwrap();
        all.iter().any(|one| {
            one.user == itself
                && one.namespace == "rights"
                && one.resource == "sourcecontrolconfigurations"
                && one.code == Some(200)
        })
    })
    .await;

    let operator = ("rights", "gitmoor-operator");
    eventually("the aggregated role is filled", || async {
        ground
            .may(
                operator,
                json!({"namespace": "rights", "verb": "patch", "group": "apps", "resource": "deployments"}),
            )
            .await
    })
    .await;
    let scc = |verb: &str, namespace: &str, name: &str, subresource: &str| {
        json!({
            "group": "gitmoor.io", "resource": "sourcecontrolconfigurations",
            "verb": verb, "namespace": namespace, "name": name, "subresource": subresource,
        })
    };
    let table = [
        (true, scc("watch", "rights", "", "")),
        (true, scc("patch", "rights", "two", "status")),
        (true, scc("patch", "rights", "two", "")),
        (false, scc("patch", "rights", "another", "")),
        (false, scc("patch", "rights", "another", "status")),
        (false, scc("create", "rights", "two", "")),
        (false, scc("delete", "rights", "two", "")),
        (false, scc("get", "default", "", "")),
        (
            false,
            json!({"namespace": "default", "verb": "get", "resource": "configmaps"}),
        ),
        (
            false,
            json!({"namespace": "rights", "verb": "patch", "resource": "namespaces", "name": "rights"}),
        ),
        (
            true,
            json!({"namespace": "rights", "verb": "get", "resource": "secrets"}),
        ),
        (
            true,
            json!({"namespace": "rights", "verb": "create", "resource": "events", "group": "events.k8s.io"}),
        ),
        (
            true,
            json!({"namespace": "rights", "verb": "patch", "resource": "events", "group": "events.k8s.io"}),
        ),
    ];
    for (allowed, attributes) in table {
        assert_eq!(
            ground.may(operator, attributes.clone()).await,
            allowed,
            "{attributes}"
        );
    }
    agent.stop().await;
}

#[tokio::test]
async fn the_agent_has_tokens_of_operators_only_and_reads_no_secret() {
    let ground = Ground::new().await;
    ground.namespace("tokens").await;
    let agent = ground.agent(in_process()).await;
    ground.create("tokens", "one", Scope::Namespace).await;
    let _: ServiceAccount = ground.wait("tokens", "gitmoor-operator").await;
    let _: ServiceAccount = ground.wait("tokens", "default").await;
    agent.stop().await;

    let client = ground
        .cluster
        .service_account_client(SYSTEM, "gitmoor-agent")
        .await
        .unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(client, "tokens");
    let token = async |name: &str| {
        accounts
            .create_token_request(name, &PostParams::default(), &TokenRequest::default())
            .await
    };
    assert!(token("gitmoor-operator").await.is_ok());
    assert_eq!(code(token("default").await), Some(403));
    let agent = (SYSTEM, "gitmoor-agent");
    for verb in ["get", "list", "watch", "delete"] {
        let secrets = json!({"namespace": "tokens", "verb": verb, "resource": "secrets"});
        assert!(!ground.may(agent, secrets).await, "{verb}");
    }
    let cluster_admin = json!({
        "group": "rbac.authorization.k8s.io", "resource": "clusterroles",
        "verb": "bind", "name": "cluster-admin",
    });
    assert!(!ground.may(agent, cluster_admin).await);
}

#[tokio::test]
async fn rights_that_someone_takes_away_come_back() {
    let ground = Ground::new().await;
    ground.namespace("heal").await;
    let agent = ground.agent(in_process()).await;
    ground.create("heal", "one", Scope::Namespace).await;
    let bindings: Api<RoleBinding> = Api::namespaced(ground.admin.clone(), "heal");
    let _: RoleBinding = ground.wait("heal", "gitmoor-operator-own").await;
    let binding: RoleBinding = ground.wait("heal", "gitmoor-operator").await;

    // Deleted.
    bindings
        .delete("gitmoor-operator", &DeleteParams::default())
        .await
        .unwrap();
    eventually("it is back", || async {
        let found: Option<RoleBinding> = ground.find("heal", "gitmoor-operator").await;
        found.is_some_and(|found| found.uid() != binding.uid())
    })
    .await;

    // Replaced by one to a weaker role, without the label.
    let weaker = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "gitmoor-operator"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [],
    });
    bindings
        .delete("gitmoor-operator", &DeleteParams::default())
        .await
        .unwrap();
    let replaced = bindings
        .create(
            &PostParams::default(),
            &serde_json::from_value(weaker).unwrap(),
        )
        .await;
    // Where the agent was faster there is nothing to replace.
    assert!(replaced.is_ok() || code(replaced) == Some(409));
    eventually("its role is the right one", || async {
        let found: Option<RoleBinding> = ground.find("heal", "gitmoor-operator").await;
        found.is_some_and(|found| found.role_ref.name == "gitmoor-namespace-operator")
    })
    .await;

    // Its subjects and labels edited, or edited away.
    for labels in [
        json!({"gitmoor.io/operator-namespace": "other"}),
        json!(null),
    ] {
        let edit = json!({"subjects": [], "metadata": {"labels": labels}});
        bindings
            .patch(
                "gitmoor-operator",
                &PatchParams::default(),
                &Patch::Merge(edit),
            )
            .await
            .unwrap();
        eventually("its subject and labels are back", || async {
            let found: RoleBinding = ground.wait("heal", "gitmoor-operator").await;
            found.subjects == binding.subjects && found.metadata.labels == binding.metadata.labels
        })
        .await;
    }
    agent.stop().await;
}

#[tokio::test]
async fn with_the_last_configuration_the_operator_and_its_rights_go() {
    let ground = Ground::new().await;
    ground.namespace("last").await;
    let agent = ground.agent(in_process()).await;
    ground.create("last", "one", Scope::Namespace).await;
    ground.create("last", "two", Scope::Namespace).await;
    let _: RoleBinding = ground.wait("last", "gitmoor-operator-own").await;
    // What a tenant made stays, whatever its labels say.
    let mine = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "mine", "labels": {
            "app.kubernetes.io/managed-by": "gitmoor",
            "gitmoor.io/operator-namespace": "last", "gitmoor.io/operator-scope": "namespace",
        }},
    });
    Api::<ServiceAccount>::namespaced(ground.admin.clone(), "last")
        .create(
            &PostParams::default(),
            &serde_json::from_value(mine).unwrap(),
        )
        .await
        .unwrap();

    ground.delete("last", "one").await;
    eventually("its operator knows of one", || async {
        let role: Role = ground.wait("last", "gitmoor-operator-own").await;
        role.rules.unwrap()[1].resource_names == Some(vec!["two".to_owned()])
    })
    .await;
    ground.delete("last", "two").await;
    gone(&ground, "last").await;
    assert!(
        ground
            .find::<ServiceAccount>("last", "mine")
            .await
            .is_some()
    );

    // And comes anew.
    ground.create("last", "one", Scope::Namespace).await;
    let _: RoleBinding = ground.wait("last", "gitmoor-operator-own").await;
    agent.stop().await;
}

#[tokio::test]
async fn a_configuration_that_went_while_no_agent_ran_leaves_no_rights() {
    let ground = Ground::new().await;
    ground.namespace("orphan").await;
    let agent = ground.agent(in_process()).await;
    ground.create("orphan", "one", Scope::Namespace).await;
    let _: RoleBinding = ground.wait("orphan", "gitmoor-operator-own").await;
    agent.stop().await;
    assert!(
        ground
            .find::<RoleBinding>("orphan", "gitmoor-operator")
            .await
            .is_some(),
        "an agent that stops takes nothing away"
    );
    ground.delete("orphan", "one").await;
    let agent = ground.agent(in_process()).await;
    gone(&ground, "orphan").await;
    agent.stop().await;
}

#[tokio::test]
async fn an_operator_stays_until_its_configuration_is_really_gone() {
    let ground = Ground::new().await;
    ground.namespace("finalizer").await;
    let agent = ground.agent(in_process()).await;
    ground.create("finalizer", "one", Scope::Namespace).await;
    let _: RoleBinding = ground.wait("finalizer", "gitmoor-operator-own").await;
    let api = ground.configurations("finalizer");
    let finalizers = async |list: serde_json::Value| {
        let patch = Patch::Merge(json!({"metadata": {"finalizers": list}}));
        api.patch("one", &PatchParams::default(), &patch)
            .await
            .unwrap();
    };
    finalizers(json!(["example.org/hold"])).await;
    ground.delete("finalizer", "one").await;
    // Another one, whose operator comes after the deletion was seen.
    ground.namespace("finalizer-2").await;
    ground.create("finalizer-2", "one", Scope::Namespace).await;
    let _: RoleBinding = ground.wait("finalizer-2", "gitmoor-operator-own").await;
    assert!(
        ground
            .find::<RoleBinding>("finalizer", "gitmoor-operator")
            .await
            .is_some()
    );
    finalizers(json!([])).await;
    gone(&ground, "finalizer").await;
    agent.stop().await;
}

#[tokio::test]
async fn a_configuration_that_waits_for_pruning_does_not_hold_up_the_end_of_its_namespace() {
    let ground = Ground::new().await;
    ground.namespace("ending").await;
    ground.namespace("kube-ending").await;
    let agent = ground.agent(in_process()).await;
    // One that has an operator until the namespace goes, and one that never has.
    for namespace in ["ending", "kube-ending"] {
        ground.create(namespace, "one", Scope::Namespace).await;
        let patch = Patch::Merge(json!({"metadata": {"finalizers": ["gitmoor.io/prune"]}}));
        let api = ground.configurations(namespace);
        api.patch("one", &PatchParams::default(), &patch)
            .await
            .unwrap();
    }
    let _: RoleBinding = ground.wait("ending", "gitmoor-operator-own").await;
    let namespaces: Api<Namespace> = Api::all(ground.admin.clone());
    for namespace in ["ending", "kube-ending"] {
        namespaces
            .delete(namespace, &DeleteParams::default())
            .await
            .unwrap();
    }
    for namespace in ["ending", "kube-ending"] {
        eventually(namespace, || async {
            namespaces.get_opt(namespace).await.unwrap().is_none()
        })
        .await;
    }
    agent.stop().await;
}

#[tokio::test]
async fn an_agent_with_nothing_to_do_asks_for_nothing() {
    let ground = Ground::new().await;
    ground.namespace("still").await;
    let agent = ground.agent(in_process()).await;
    ground.create("still", "one", Scope::Namespace).await;
    let _: RoleBinding = ground.wait("still", "gitmoor-operator-own").await;
    agent.stop().await;
    let versions = async || {
        let account: ServiceAccount = ground.wait("still", "gitmoor-operator").await;
        let role: Role = ground.wait("still", "gitmoor-operator-own").await;
        let bindings: Api<RoleBinding> = Api::namespaced(ground.admin.clone(), "still");
        let bindings = bindings.list(&Default::default()).await.unwrap();
        let mut versions = BTreeMap::new();
        versions.insert("account".to_owned(), account.resource_version());
        versions.insert("role".to_owned(), role.resource_version());
        for binding in bindings {
            versions.insert(binding.name_any(), binding.resource_version());
        }
        versions
    };
    let before = versions().await;

    // A restart applies once what is there already, and changes nothing.
    let start = ground.cluster.audit().mark().unwrap();
    let agent = ground.agent(in_process()).await;
    eventually("the restarted agent has applied", || async {
        let asked = ground.asked(AGENT, start).await;
        asked.iter().filter(|one| one.verb == "patch").count() >= 4
    })
    .await;
    assert_eq!(versions().await, before);
    // The time that is looked at, and not one that is waited for.
    let still = ground.cluster.audit().mark().unwrap();
    sleep(Duration::from_secs(5)).await;
    let asked = ground.asked(AGENT, still).await;
    assert!(asked.is_empty(), "{asked:#?}");
    let patches = ground.asked(AGENT, start).await;
    let patches = patches.iter().filter(|one| one.verb == "patch").count();
    assert_eq!(patches, 4, "one for each object");
    agent.stop().await;
}

async fn gone(ground: &Ground, namespace: &str) {
    eventually("everything that was made is gone", || async {
        ground
            .find::<ServiceAccount>(namespace, "gitmoor-operator")
            .await
            .is_none()
            && ground
                .find::<RoleBinding>(namespace, "gitmoor-operator")
                .await
                .is_none()
            && ground
                .find::<RoleBinding>(namespace, "gitmoor-operator-own")
                .await
                .is_none()
            && ground
                .find::<Role>(namespace, "gitmoor-operator-own")
                .await
                .is_none()
    })
    .await;
}
