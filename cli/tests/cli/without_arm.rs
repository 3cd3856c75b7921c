//! One binary and one YAML file on a cluster that a kubeconfig reaches: no ARM, no portal.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use gitmoor_cluster::Cluster;
use gitmoor_git::{Server, ServerOptions};
use tokio::{io::AsyncWriteExt as _, process::Command, time::sleep};

const FILES: [(&str, &str); 2] = [
    (
        "own.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: own}\ndata: {a: b}\n",
    ),
    (
        "other.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: planted, namespace: kube-public}\n",
    ),
];

pub(super) async fn apply(cluster: &Cluster, yaml: &str) {
    let mut child = cluster
        .kubectl(["apply", "--server-side", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(yaml.as_bytes()).await.unwrap();
    drop(stdin);
    assert!(child.wait().await.unwrap().success());
}

pub(super) async fn kubectl(cluster: &Cluster, arguments: &[&str]) -> String {
    let output = cluster.kubectl(arguments).output().await.unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn until(what: &str, limit: Duration, mut ask: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !ask().await {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_on_a_desk_serves_what_kubectl_creates_with_the_rights_of_the_namespace() {
    let cluster = Cluster::start().await.unwrap();
    let git = Server::start(ServerOptions::default()).await.unwrap();
    let repository = git.create("team").unwrap();
    let commit = repository.commit(&FILES, &[], "first").unwrap();
    let installation = Command::new(env!("CARGO_BIN_EXE_gitmoor"))
        .args(["install", "--without-deployment"])
        .output()
        .await
        .unwrap();
    let installation = String::from_utf8(installation.stdout).unwrap();
    assert!(!installation.contains("kind: Deployment"));
    apply(&cluster, &installation).await;
    apply(
        &cluster,
        &format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: team}}\n---\n\
             apiVersion: gitmoor.io/v1alpha1\nkind: SourceControlConfiguration\n\
             metadata: {{name: team, namespace: team}}\nspec: {{repository: \"{}\"}}\n",
            git.url("team")
        ),
    )
    .await;
    let store = tempfile::tempdir().unwrap();
    // The kubeconfig of this cluster's administrator has a client certificate, which the API server
    // believes before any token: the tenant's requests must not carry it.
    let mut agent = Command::new(env!("CARGO_BIN_EXE_gitmoor"))
        .args(["agent", "--runtime", "in-process", "--kubeconfig"])
        .arg(cluster.kubeconfig())
        // A proxy for the world outside is none for the API server.
        .env("HTTPS_PROXY", "http://127.0.0.1:9")
        .env("GITMOOR_OPERATOR__ALLOW_HTTP", "true")
        .env("GITMOOR_OPERATOR__DIRECTORY", store.path())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let limit = Duration::from_secs(120);
    until("the commit is applied", limit, async || {
        let arguments = [
            "-n",
            "team",
            "get",
            "scc",
            "team",
            "-o",
            "jsonpath={.status.appliedRevision}",
        ];
        kubectl(&cluster, &arguments).await == commit
    })
    .await;
    let own = kubectl(
        &cluster,
        &[
            "-n",
            "team",
            "get",
            "configmap",
            "own",
            "-o",
            "jsonpath={.data.a}",
        ],
    )
    .await;
    assert_eq!(own, "b");
    let problems = kubectl(
        &cluster,
        &[
            "-n",
            "team",
            "get",
            "scc",
            "team",
            "-o",
            "jsonpath={.status.problems}",
        ],
    )
    .await;
    assert!(
        problems.contains("other.yaml") && problems.contains("Forbidden"),
        "{problems}"
    );
    let planted = kubectl(
        &cluster,
        &["-n", "kube-public", "get", "configmaps", "-o", "name"],
    )
    .await;
    assert!(!planted.contains("planted"), "{planted}");

    // SIGTERM ends it in good order.
    let id = rustix::process::Pid::from_raw(i32::try_from(agent.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert_eq!(agent.wait().await.unwrap().code(), Some(0));
}
