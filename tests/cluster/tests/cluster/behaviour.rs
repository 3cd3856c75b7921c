//! What the control plane does, and that nothing is left of it.

use std::{
    collections::BTreeMap,
    fs,
    future::Future,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, TryStreamExt as _};
use gitmoor_cluster::{
    Cluster, Component, Controllers, Options, Request, count, kubernetes_version,
};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::{
    Api, Client, Error, ResourceExt as _,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams, WatchParams},
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
    time::sleep,
};

const LIMIT: Duration = Duration::from_secs(60);

/// Asks again until the answer is yes.
async fn eventually<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    let start = Instant::now();
    while !ask().await {
        assert!(start.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

fn config_maps(client: Client) -> Api<ConfigMap> {
    Api::namespaced(client, "default")
}

fn config_map(name: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([("key".to_owned(), "value".to_owned())])),
        ..ConfigMap::default()
    }
}

async fn create(client: &Client, name: &str) {
    config_maps(client.clone())
        .create(&PostParams::default(), &config_map(name))
        .await
        .unwrap();
}

fn code<T>(result: Result<T, Error>) -> Option<u16> {
    match result {
        Err(Error::Api(status)) => Some(status.code),
        _ => None,
    }
}

fn of_user(requests: &[Request], user: &str) -> Vec<(String, String, Option<u16>)> {
    let own = requests.iter().filter(|request| request.user == user);
    own.map(|request| (request.verb.clone(), request.target(), request.code))
        .collect()
}

#[tokio::test]
async fn the_version_is_that_of_go_mod() {
    let cluster = Cluster::shared().await.unwrap();
    let version = cluster.admin_client().apiserver_version().await.unwrap();
    assert_eq!(version.git_version, kubernetes_version());
    assert_eq!(format!("v{}.{}", version.major, version.minor), "v1.36");
}

#[tokio::test]
async fn a_user_may_do_what_rbac_allows_and_no_more() {
    let cluster = Cluster::shared().await.unwrap();
    let list = |client| async { config_maps(client).list(&ListParams::default()).await };
    assert_eq!(code(list(cluster.user_client("eve", &[])).await), Some(403));
    let bind = [
        "create",
        "rolebinding",
        "readers",
        "--clusterrole=view",
        "--group=second",
        "--namespace=default",
    ];
    assert!(cluster.kubectl(bind).status().await.unwrap().success());
    let member = cluster.user_client("mallory", &["first", "second", "third"]);
    eventually("the binding is seen", || async {
        list(member.clone()).await.is_ok()
    })
    .await;
    assert_eq!(
        code(list(cluster.user_client("mallory", &["first", "third"])).await),
        Some(403)
    );
    assert_eq!(
        code(
            config_maps(member)
                .create(&PostParams::default(), &config_map("no"))
                .await
        ),
        Some(403)
    );
}

#[tokio::test]
async fn a_service_account_has_a_token() {
    let cluster = Cluster::shared().await.unwrap();
    let before = cluster.audit().mark().unwrap();
    let client = cluster
        .service_account_client("default", "default")
        .await
        .unwrap();
    assert_eq!(
        code(config_maps(client).list(&ListParams::default()).await),
        Some(403)
    );
    let requests = cluster.audit().since(before).await.unwrap();
    let own = of_user(&requests, "system:serviceaccount:default:default");
    assert_eq!(
        own,
        [("list".to_owned(), "configmaps".to_owned(), Some(403))]
    );
    assert!(
        cluster
            .service_account_client("default", "nobody")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn requests_are_counted_exactly() {
    let cluster = Cluster::shared().await.unwrap();
    let client = cluster.user_client("counter", &["system:masters"]);
    create(&client, "counted").await;
    let api = config_maps(client.clone());
    let before = cluster.audit().mark().unwrap();
    for _ in 0..100 {
        api.get("counted").await.unwrap();
    }
    // Longer than what a server holds back, so that its end could be missed.
    let everything: Api<k8s_openapi::api::rbac::v1::ClusterRole> = Api::all(client.clone());
    everything.list(&ListParams::default()).await.unwrap();
    let requests = cluster.audit().since(before).await.unwrap();
    let own = count(requests.iter().filter(|request| request.user == "counter"));
    let own: Vec<_> = own
        .iter()
        .map(|(counted, n)| (counted.verb.as_str(), counted.target.as_str(), *n))
        .collect();
    assert_eq!(
        own,
        [
            ("get", "configmaps", 100),
            ("list", "clusterroles.rbac.authorization.k8s.io", 1)
        ]
    );
    let get = requests
        .iter()
        .find(|request| request.user == "counter")
        .unwrap();
    assert_eq!(
        (
            get.namespace.as_str(),
            get.name.as_str(),
            get.version.as_str()
        ),
        ("default", "counted", "v1")
    );
    assert_eq!(get.uri, "/api/v1/namespaces/default/configmaps/counted");
    let after = cluster.audit().mark().unwrap();
    assert!(of_user(&cluster.audit().since(after).await.unwrap(), "counter").is_empty());
}

#[tokio::test]
async fn a_watch_is_counted_when_it_starts_and_only_then() {
    let cluster = Cluster::shared().await.unwrap();
    let api = config_maps(cluster.user_client("watcher", &["system:masters"]));
    let version = api
        .list(&ListParams::default())
        .await
        .unwrap()
        .metadata
        .resource_version
        .unwrap();
    let before = cluster.audit().mark().unwrap();
    let long = api
        .watch(&WatchParams::default(), &version)
        .await
        .unwrap()
        .boxed();
    let watch = ("watch".to_owned(), "configmaps".to_owned(), Some(200));
    let seen = || async { of_user(&cluster.audit().since(before).await.unwrap(), "watcher") };
    assert_eq!(seen().await, std::slice::from_ref(&watch));
    let short = api
        .watch(&WatchParams::default().timeout(1), &version)
        .await
        .unwrap();
    short.try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(seen().await, [watch.clone(), watch]);
    drop(long);
}

#[tokio::test]
async fn controllers_run() {
    let cluster = Cluster::shared().await.unwrap();
    let client = cluster.admin_client();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let metadata = ObjectMeta {
        name: Some("short-lived".to_owned()),
        ..ObjectMeta::default()
    };
    namespaces
        .create(
            &PostParams::default(),
            &Namespace {
                metadata,
                ..Namespace::default()
            },
        )
        .await
        .unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "short-lived");
    eventually("a default ServiceAccount", || async {
        accounts.get("default").await.is_ok()
    })
    .await;
    let roots: Api<ConfigMap> = Api::namespaced(client, "short-lived");
    eventually("the root CA", || async {
        roots.get("kube-root-ca.crt").await.is_ok()
    })
    .await;
    assert_eq!(
        roots.get("kube-root-ca.crt").await.unwrap().data.unwrap()["ca.crt"],
        cluster.ca_pem()
    );
    namespaces
        .delete("short-lived", &DeleteParams::default())
        .await
        .unwrap();
    eventually("the namespace is finalized", || async {
        code(namespaces.get("short-lived").await) == Some(404)
    })
    .await;
}

#[tokio::test]
async fn kubectl_reads_and_writes() {
    let cluster = Cluster::shared().await.unwrap();
    let output = cluster
        .kubectl(["version", "--output=json"])
        .output()
        .await
        .unwrap();
    let versions: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for side in ["clientVersion", "serverVersion"] {
        assert_eq!(versions[side]["gitVersion"], kubernetes_version(), "{side}");
    }
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    cluster
        .write_kubeconfig(&kubeconfig, "someone", &["a", "b"])
        .unwrap();
    let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
    let output = cluster
        .kubectl([kubeconfig.as_str(), "auth", "whoami", "--output=json"])
        .output()
        .await
        .unwrap();
    let who: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(who["status"]["userInfo"]["username"], "someone");
    assert_eq!(
        who["status"]["userInfo"]["groups"],
        serde_json::json!(["a", "b", "system:authenticated"])
    );
}

#[tokio::test]
async fn two_clusters_are_strangers_and_restarts_keep_data_and_counts() {
    let (first, second) = tokio::join!(Cluster::start(), Cluster::start());
    let (first, second) = (first.unwrap(), second.unwrap());
    let client = first.admin_client();
    create(&client, "here").await;
    assert_eq!(
        code(config_maps(second.admin_client()).get("here").await),
        Some(404)
    );
    drop(second);

    let before = first.audit().mark().unwrap();
    let api = config_maps(first.user_client("counter", &["system:masters"]));
    let mut expected = 0;
    for component in Component::ALL {
        assert!(
            first.usage(component).unwrap().resident > 10 << 20,
            "{component}"
        );
        for kill in [false, true] {
            if kill {
                first.kill(component).unwrap();
            } else {
                first.stop(component).await.unwrap();
            }
            assert!(first.usage(component).is_err());
            assert!(first.stop(component).await.is_err());
            first.resume(component).await.unwrap();
            assert!(first.resume(component).await.is_err());
            first.wait_ready().await.unwrap();
            // What etcd's restart cut off may be answered by an error once; it counts as well.
            eventually("the data is there", || {
                expected += 1;
                async { api.get("here").await.is_ok() }
            })
            .await;
            create(&client, &format!("after-{component}-{kill}")).await;
        }
    }
    let requests = first.audit().since(before).await.unwrap();
    let counted = requests
        .iter()
        .filter(|request| request.user == "counter")
        .count();
    assert_eq!(counted, expected);
    let created = requests
        .iter()
        .filter(|request| request.user == "admin" && request.verb == "create")
        .count();
    assert_eq!(created, 6);
    assert_eq!(
        api.list(&ListParams::default())
            .await
            .unwrap()
            .iter()
            .filter(|map| map.name_any().starts_with("after-"))
            .count(),
        6
    );
}

#[tokio::test]
async fn a_directory_that_is_kept_is_used_again() {
    let kept = tempfile::tempdir().unwrap();
    let options = || Options {
        directory: Some(kept.path().to_owned()),
        controllers: Controllers::None,
        audit: false,
        ..Options::default()
    };
    let cluster = Cluster::start_with(options()).await.unwrap();
    create(&cluster.admin_client(), "kept").await;
    assert!(cluster.audit().mark().is_err());
    assert!(cluster.usage(Component::ControllerManager).is_err());
    let error = Cluster::start_with(options()).await.unwrap_err();
    assert!(
        error.to_string().contains("in use by another cluster"),
        "{error}"
    );
    drop(cluster);
    let cluster = Cluster::start_with(options()).await.unwrap();
    config_maps(cluster.admin_client())
        .get("kept")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_component_that_fails_shows_its_log() {
    let options = Options {
        api_server_arguments: vec!["--no-such-flag".to_owned()],
        ..Options::default()
    };
    let error = Cluster::start_with(options).await.unwrap_err().to_string();
    assert!(error.starts_with("kube-apiserver ended"), "{error}");
    assert!(error.contains("unknown flag: --no-such-flag"), "{error}");
}

/// The processes that have this directory among their arguments.
fn processes_of(directory: &Path) -> Vec<PathBuf> {
    let directory = directory.to_str().unwrap();
    let all = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .map(|entry| entry.path());
    all.filter(|path| {
        fs::read(path.join("cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(directory))
    })
    .collect()
}

#[tokio::test]
async fn a_killed_parent_leaves_nothing() {
    let mut parent = Command::new(env!("CARGO_BIN_EXE_cluster"))
        .arg("run")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let kubeconfig = PathBuf::from(lines.next_line().await.unwrap().expect("it starts"));
    let directory = kubeconfig.parent().unwrap();
    assert_eq!(processes_of(directory).len(), 3);
    parent.kill().await.unwrap();
    eventually("the processes and the directory are gone", || async {
        processes_of(directory).is_empty() && !directory.exists()
    })
    .await;
}

#[tokio::test]
async fn a_dropped_cluster_leaves_nothing() {
    let cluster = Cluster::start().await.unwrap();
    let directory = cluster.directory().to_owned();
    assert_eq!(processes_of(&directory).len(), 3);
    drop(cluster);
    assert!(processes_of(&directory).is_empty());
    assert!(!directory.exists());
}

#[tokio::test]
async fn what_was_left_is_removed_by_the_next() {
    // As if the servers had been killed together with the test.
    let left = tempfile::Builder::new()
        .prefix("gitmoor-cluster-")
        .tempdir()
        .unwrap()
        .keep();
    fs::write(left.join("lock"), "").unwrap();
    let running = Cluster::shared().await.unwrap();
    let next = Cluster::start_with(Options {
        controllers: Controllers::None,
        ..Options::default()
    })
    .await
    .unwrap();
    assert!(!left.exists());
    assert!(running.kubeconfig().exists() && next.kubeconfig().exists());
}
