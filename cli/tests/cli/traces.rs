//! What a collector gets of an operator's syncs.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use gitmoor_cluster::Cluster;
use gitmoor_git::{Server, ServerOptions};
use rustix::process::Signal;

use super::{
    program::{Running, gitmoor, until},
    without_arm::{apply, kubectl},
};

/// Takes one request and says how it went: its path, and its body.
fn take(stream: TcpStream) -> Option<(String, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    reader.get_mut().write_all(answer.as_bytes()).ok()?;
    Some((path, body))
}

/// A collector: its address, and all that it has been sent. Names and values stand in OTLP's protocol
/// buffers as they are.
fn collector() -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let sent = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&sent);
    thread::spawn(move || {
        for stream in listener.incoming() {
            if let Some((path, body)) = stream.ok().and_then(take) {
                assert_eq!(path, "/v1/traces");
                to.lock().unwrap().extend(body);
            }
        }
    });
    (address, sent)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_the_steps_of_each_sync() {
    let cluster = Cluster::shared().await.unwrap();
    let git = Server::start(ServerOptions::default()).await.unwrap();
    let repository = git.create("traced").unwrap();
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    let commit = repository.commit(&[("a.yaml", map)], &[], "first").unwrap();
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
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: traced}}\n---\n\
             apiVersion: gitmoor.io/v1alpha1\nkind: SourceControlConfiguration\n\
             metadata: {{name: shop, namespace: traced}}\nspec: {{repository: \"{}\", interval: 5s}}\n",
            git.url("traced")
        ),
    )
    .await;
    let (address, sent) = collector();
    let store = tempfile::tempdir().unwrap();
    let mut command = gitmoor(&["operator", "--namespace", "traced", "--kubeconfig"]);
    let mut operator = Running::start(
        command
            .arg(cluster.kubeconfig())
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", address)
            .env("GITMOOR_ENGINE__ALLOW_HTTP", "true")
            .env("GITMOOR_ENGINE__DIRECTORY", store.path()),
    );
    operator.event("synced");
    // What is left is sent at the end.
    operator.signal(Signal::TERM);
    let has = |word: &str| {
        let sent = sent.lock().unwrap();
        sent.windows(word.len())
            .any(|window| window == word.as_bytes())
    };
    for word in [
        "sync", "fetch", "read", "plan", "apply", "prune", "shop", &commit,
    ] {
        until(word, || has(word));
    }
    assert!(has("service.name") && has("gitmoor"));
    assert_eq!(operator.ended().code(), Some(0));
}
