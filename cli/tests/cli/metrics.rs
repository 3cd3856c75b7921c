//! What a scraper and the kubelet get of a process.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use gitmoor_cluster::Cluster;
use gitmoor_git::{Server, ServerOptions};
use rustix::process::Signal;

use super::{
    program::{Running, gitmoor, until},
    without_arm::{apply, kubectl},
};

/// Status and body.
fn ask(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

/// The value of a series, given in full; absent when there is none.
fn value(metrics: &str, series: &str) -> Option<f64> {
    let line = metrics.lines().find(|line| {
        line.rsplit_once(' ')
            .is_some_and(|(name, _)| name == series)
    });
    line.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_shows_its_syncs_and_forgets_configurations_that_are_gone() {
    let cluster = Cluster::shared().await.unwrap();
    let git = Server::start(ServerOptions::default()).await.unwrap();
    let repository = git.create("measured").unwrap();
    let files = [
        (
            "good.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good}\n",
        ),
        (
            "bad.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Bad_Name}\n",
        ),
    ];
    repository.commit(&files, &[], "first").unwrap();
    apply(cluster, &gitmoor_crds::definition_yaml()).await;
    let definition = "crd/sourcecontrolconfigurations.gitmoor.io";
    kubectl(
        cluster,
        &["wait", "--for=condition=Established", definition],
    )
    .await;
    apply(
        cluster,
        &format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: measured}}\n---\n\
             apiVersion: gitmoor.io/v1alpha1\nkind: SourceControlConfiguration\n\
             metadata: {{name: shop, namespace: measured}}\nspec: {{repository: \"{}\", interval: 5s}}\n",
            git.url("measured")
        ),
    )
    .await;
    let store = tempfile::tempdir().unwrap();
    let mut command = gitmoor(&["operator", "--namespace", "measured", "--kubeconfig"]);
    let mut operator = Running::start(
        command
            .arg(cluster.kubeconfig())
            .env("GITMOOR_METRICS_ADDRESS", "127.0.0.1:0")
            .env("GITMOOR_ENGINE__ALLOW_HTTP", "true")
            .env("GITMOOR_ENGINE__DIRECTORY", store.path()),
    );
    let served = operator.event("metrics and probes are served");
    let address = served["address"].as_str().unwrap();
    assert_eq!(ask(address, "/healthz").0, 200);
    until("it is ready", || ask(address, "/readyz").0 == 200);
    let shop = "namespace=\"measured\",name=\"shop\"";
    let series = |name: &str, more: &str| format!("gitmoor_{name}{{{shop}{more}}}");
    let wait_for = |series: &str| {
        let mut metrics = String::new();
        until(series, || {
            metrics = ask(address, "/metrics").1;
            value(&metrics, series).is_some_and(|value| value >= 1.0)
        });
        metrics
    };
    let metrics = wait_for(&series("syncs_total", ",result=\"problems\""));
    let last = series("last_success_timestamp_seconds", "");
    assert_eq!(value(&metrics, &last), None, "{metrics}");

    repository.commit(&[], &["bad.yaml"], "second").unwrap();
    wait_for(&series("syncs_total", ",result=\"success\""));
    kubectl(
        cluster,
        &[
            "-n",
            "measured",
            "label",
            "configmap",
            "good",
            "gitmoor.io/configuration-",
        ],
    )
    .await;
    let patch = ["-n", "measured", "delete", "configmap", "good"];
    kubectl(cluster, &patch).await;
    let metrics = wait_for(&series("drift_healed_total", ""));
    for (series, least) in [
        (series("drift_found_total", ""), 1.0),
        (series("objects", ",state=\"managed\""), 1.0),
        (series("objects", ",state=\"failed\""), 0.0),
        (last, 1_700_000_000.0),
        ("gitmoor_git_received_bytes_total".to_owned(), 100.0),
        (
            "gitmoor_api_requests_total{verb=\"patch\",code=\"201\"}".to_owned(),
            1.0,
        ),
        (
            "gitmoor_sync_duration_seconds_count{step=\"fetch\"}".to_owned(),
            2.0,
        ),
        (
            "gitmoor_sync_duration_seconds_count{step=\"read\"}".to_owned(),
            2.0,
        ),
        (
            "gitmoor_sync_duration_seconds_count{step=\"apply\"}".to_owned(),
            2.0,
        ),
    ] {
        let shown = value(&metrics, &series);
        assert!(
            shown.is_some_and(|shown| shown >= least),
            "{series}: {metrics}"
        );
    }

    kubectl(cluster, &["-n", "measured", "delete", "scc", "shop"]).await;
    until("its series are gone", || {
        !ask(address, "/metrics").1.contains("shop")
    });
    operator.signal(Signal::TERM);
    assert_eq!(operator.ended().code(), Some(0));
}

#[test]
fn an_address_that_cannot_be_listened_on_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = gitmoor(&["operator", "--namespace", "measured"]);
    command.env("GITMOOR_METRICS_ADDRESS", &address);
    let (code, _, errors) = super::program::outcome(&mut command);
    assert_eq!(code, 1);
    assert!(errors.contains(&format!("listen on {address}")), "{errors}");
}
