//! What was acknowledged is there: after a restart, and after a kill in the middle of writes.

use std::{
    env, fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use gitmoor_portal::{Portal, Store, identity::Role};
use serde_json::json;
use tempfile::TempDir;
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;

use super::server::{
    CLUSTER, Caller, SUBSCRIPTION, Server, body, data_plane, settings, versioned, within,
};

/// Where the portal that is to be killed keeps its data.
const DIRECTORY: &str = "GITMOOR_TEST_PORTAL";

fn url(number: usize) -> String {
    format!("https://git.example.net/{number}.git")
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let cluster = CLUSTER.parse().unwrap();
    let agents = server.store.create_agent(&cluster).await.unwrap();
    let agents = server.token_of(agents.id()).await;
    let path = versioned(CLUSTER, "blue");
    let secrets = json!({"httpsUser": "Ym90", "httpsKey": "Ym90"});
    let mut body = body(&url(0));
    body["properties"]["configurationProtectedSettings"] = secrets.clone();
    let created = alice.put(&path, body).await.body;
    let report = json!({"observedEtag": created["etag"], "complianceState": "Compliant"});
    let status = format!("{}/blue/status", data_plane(CLUSTER));
    server.caller(&agents).put(&status, report).await;
    let shown = alice.get(&path).await.body;
    assert_eq!(
        shown["properties"]["complianceStatus"]["complianceState"],
        "Compliant"
    );
    let principals = server.store.principals().await.unwrap();

    let server = Server::start_in(server.stop().await, |_| {}).await;
    assert_eq!(server.store.principals().await.unwrap(), principals);
    let alice = server.contributor().await;
    assert_eq!(alice.get(&path).await.body, shown);
    let (items, _) = server.caller(&agents).pages(&data_plane(CLUSTER)).await;
    assert_eq!(
        items[0]["properties"]["configurationProtectedSettings"],
        secrets
    );
}

/// Not a test of its own: the portal that the next test kills.
#[tokio::test]
#[ignore = "started by `a_kill_loses_nothing_that_was_acknowledged`"]
async fn serve_until_killed() {
    let Some(directory) = env::var_os(DIRECTORY) else {
        return;
    };
    let directory = Path::new(&directory);
    let portal = Portal::bind(settings(directory)).await.unwrap();
    let temporary = directory.join("address.new");
    fs::write(&temporary, portal.local_addr().to_string()).unwrap();
    fs::rename(temporary, directory.join("address")).unwrap();
    portal.serve(CancellationToken::new()).await;
}

/// A process that does not outlive the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_kill_loses_nothing_that_was_acknowledged() {
    const WRITERS: usize = 8;
    const ENOUGH: usize = 40;
    let directory = TempDir::new().unwrap();
    let store = Store::open(&settings(directory.path())).await.unwrap();
    let scope = SUBSCRIPTION.parse().unwrap();
    let secret = store
        .create_principal("alice", &scope, Role::Contributor)
        .await
        .unwrap();
    let token = store.issue_token(secret.id(), None).await.unwrap().unwrap();
    drop(store);
    // The name of a test begins without the crate's.
    let (_, module) = module_path!().split_once("::").unwrap();
    let child = format!("{module}::serve_until_killed");
    let mut portal = Killed(
        Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", &child])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let address = within(async {
        loop {
            if let Ok(address) = fs::read_to_string(directory.path().join("address")) {
                return address;
            }
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let ca = fs::read_to_string(directory.path().join("ca.pem")).unwrap();
    let alice = Caller::new(&format!("https://{address}"), &ca, token.expose());

    // Each writer writes its own configuration again and again, and says what was acknowledged.
    let (acknowledge, mut acknowledged) = mpsc::unbounded_channel();
    for writer in 0..WRITERS {
        let (alice, acknowledge) = (alice.clone(), acknowledge.clone());
        tokio::spawn(async move {
            for number in 0.. {
                let path = versioned(CLUSTER, &format!("c{writer}"));
                let Some(answer) = alice.try_put(&path, body(&url(number))).await else {
                    return;
                };
                assert!(answer.status.is_success(), "{}", answer.text);
                let _ = acknowledge.send((writer, number));
            }
        });
    }
    drop(acknowledge);
    let mut last = [None; WRITERS];
    let mut seen = 0;
    within(async {
        while let Some((writer, number)) = acknowledged.recv().await {
            last[writer] = Some(number);
            seen += 1;
            if seen == ENOUGH {
                portal.0.kill().unwrap();
            }
        }
    })
    .await;
    assert!(seen >= ENOUGH);
    portal.0.wait().unwrap();

    let server = Server::start_in(directory, |_| {}).await;
    let alice = server.caller(&token);
    for (writer, last) in last.iter().enumerate() {
        let Some(last) = *last else { continue };
        let shown = alice.get(&versioned(CLUSTER, &format!("c{writer}"))).await;
        let found = &shown.body["properties"]["repositoryUrl"];
        // The one after it may have been written and its answer lost.
        assert!(
            [url(last), url(last + 1)].iter().any(|url| found == url),
            "{found} of {writer} after {last}"
        );
    }
}
