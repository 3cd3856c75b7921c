//! Tenants on one cluster: each confined to its namespace by the API server, and told so.

use anyhow::Result;
use gitmoor_crds::{Problem, Scope};
use gitmoor_tests::{condition, world};

const OWN: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: own}\ndata: {a: b}\n";

/// The problem of a file, if there is one.
fn problem_in<'a>(problems: &'a [Problem], path: &str) -> Option<&'a Problem> {
    problems.iter().find(|problem| problem.path == path)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_reaches_out_of_the_namespace_is_refused_and_the_rest_is_applied() -> Result<()> {
    let world = world().await;
    let (blue, red) = (
        world.namespace("blue").await?,
        world.namespace("red").await?,
    );
    let other = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: planted, namespace: {red}}}\ndata: {{a: b}}\n"
    );
    let labels = format!(
        "# Weakens what may run here.\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: {blue}\n  labels: {{pod-security.kubernetes.io/enforce: privileged}}\n"
    );
    let stronger = "
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: stronger}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: default, namespace: default}]
";
    let wide = "
apiVersion: gitmoor.io/v1alpha1
kind: SourceControlConfiguration
metadata: {name: wide}
spec: {repository: https://git.example.org/evil.git, scope: cluster}
";
    let cluster = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: planted}\nrules: []\n";
    let files = [
        ("own.yaml", OWN),
        ("other.yaml", &other),
        ("labels.yaml", &labels),
        ("stronger.yaml", stronger),
        ("wide.yaml", wide),
        ("cluster.yaml", cluster),
    ];
    let repository = world.repository(&blue, &files).await?;
    let quiet = world.repository(&red, &[("own.yaml", OWN)]).await?;
    let key = world.follow(&blue, "shop", world.spec(&blue)).await?;
    let neighbour = world.follow(&red, "shop", world.spec(&red)).await?;

    let status = world.synced(&key, &repository.head()?).await?;
    let lines = [
        ("other.yaml", 1),
        ("labels.yaml", 2),
        ("stronger.yaml", 2),
        ("wide.yaml", 2),
        ("cluster.yaml", 1),
    ];
    for (path, line) in lines {
        let problem =
            problem_in(&status.problems, path).unwrap_or_else(|| panic!("{path}: {status:#?}"));
        assert_eq!(
            (problem.reason.as_str(), problem.line),
            ("Forbidden", Some(line)),
            "{problem:?}"
        );
    }
    assert_eq!(status.problems.len(), lines.len());
    assert_eq!(condition(&status, "Ready").map(|one| one.0), Some("False"));
    assert!(
        world.config_map(&blue, "own").await?.is_some(),
        "the rest is applied"
    );
    assert!(world.config_map(&red, "planted").await?.is_none());

    let status = world.synced(&neighbour, &quiet.head()?).await?;
    assert_eq!(
        condition(&status, "Ready").map(|one| one.0),
        Some("True"),
        "{status:#?}"
    );

    // What was refused leaves nothing to delete, and nothing to ask about.
    let removed = lines.map(|(path, _)| path);
    let commit = repository.commit(&[], &removed, "never mind")?;
    let status = world.synced(&key, &commit).await?;
    assert_eq!(
        condition(&status, "Ready").map(|one| one.0),
        Some("True"),
        "{status:#?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_scope_by_kubectl_needs_the_agents_permission() -> Result<()> {
    // Its own world: the shared one allows it.
    let world = gitmoor_tests::World::without_agent().await?;
    world.start_agent(world.agent_settings()).await?;
    let namespace = world.namespace("strict").await?;
    world.repository(&namespace, &[("own.yaml", OWN)]).await?;
    let mut spec = world.spec(&namespace);
    spec.scope = Scope::Cluster;
    let key = world.follow(&namespace, "wide", spec).await?;
    let status = world
        .until(&key, "refused", |status| {
            condition(status, "Stalled").is_some()
        })
        .await?;
    let (ready, reason, message) = condition(&status, "Ready").expect("there is a condition");
    assert_eq!((ready, reason), ("False", "NotAllowed"), "{message}");
    let bindings = world
        .kubectl(&["get", "clusterrolebindings", "-o", "name"])
        .await?;
    assert!(!bindings.contains(&namespace), "{bindings}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_configurations_of_a_namespace_do_not_take_each_others_objects() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("two").await?;
    let (first, second) = (format!("{namespace}-1"), format!("{namespace}-2"));
    let one = world.repository(&first, &[("own.yaml", OWN)]).await?;
    let other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n";
    let two = world
        .repository(&second, &[("own.yaml", OWN), ("other.yaml", other)])
        .await?;
    let key = world
        .follow(&namespace, "first", world.spec(&first))
        .await?;
    world.synced(&key, &one.head()?).await?;
    let late = world
        .follow(&namespace, "second", world.spec(&second))
        .await?;
    let status = world.synced(&late, &two.head()?).await?;
    let problem = problem_in(&status.problems, "own.yaml").expect("the second is told");
    assert_eq!(problem.reason, "Conflict");
    assert!(
        problem.message.contains(&format!("{namespace}/first")),
        "{}",
        problem.message
    );
    assert!(world.config_map(&namespace, "other").await?.is_some());
    let status = world.status(&key).await?;
    assert_eq!(condition(&status, "Ready").map(|one| one.0), Some("True"));
    Ok(())
}
