//! The operator, the API server and etcd are killed in the middle of a sync, in turn.

use std::{process::Stdio, time::Duration};

use anyhow::{Context as _, Result};
use gitmoor_cluster::Component;
use gitmoor_operator::metrics::Metrics;
use gitmoor_tests::{ConfigurationKey, World};
use tokio::{
    process::{Child, Command},
    time::sleep,
};

const OBJECTS: usize = 500;

fn map(n: usize, value: &str) -> (String, String) {
    let name = format!("m{n}");
    let text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{value: {value:?}}}\n"
    );
    (format!("maps/{name}.yaml"), text)
}

/// Not a test: the operator as a process of its own, for the test below, which starts this program
/// again with what it needs in the environment.
#[tokio::test(flavor = "multi_thread")]
async fn operator_process() -> Result<()> {
    let Ok(kubeconfig) = std::env::var("GITMOOR_TEST_OPERATOR_KUBECONFIG") else {
        return Ok(());
    };
    let config = kube::Config::from_custom_kubeconfig(
        kube::config::Kubeconfig::read_from(kubeconfig)?,
        &kube::config::KubeConfigOptions::default(),
    )
    .await?;
    let mut settings = gitmoor_operator::Settings {
        namespace: Some(std::env::var("GITMOOR_TEST_OPERATOR_NAMESPACE")?),
        ..gitmoor_operator::Settings::default()
    };
    settings.engine.allow_http = true;
    settings.engine.directory = std::env::var("GITMOOR_TEST_OPERATOR_DIRECTORY")?.into();
    let _ = rustls::crypto::ring::default_provider().install_default();
    gitmoor_operator::run(
        settings,
        config,
        Metrics::unseen(),
        tokio_util::sync::CancellationToken::new(),
    )
    .await?;
    Ok(())
}

/// An operator as a process of its own, with the rights of `cluster-admin` in its namespace.
pub(super) struct Operator<'a> {
    pub(super) world: &'a World,
    pub(super) namespace: &'a str,
    pub(super) directory: &'a std::path::Path,
}

impl Operator<'_> {
    fn start(&self) -> Result<Child> {
        self.start_within(u64::MAX)
    }

    /// Starts it with so much address space, in bytes, that no more of it can be memory.
    pub(super) fn start_within(&self, space: u64) -> Result<Child> {
        let kubeconfig = self.directory.join("kubeconfig");
        self.world
            .cluster
            .write_kubeconfig(&kubeconfig, "operator", &["operators"])?;
        let limit = match space {
            u64::MAX => "unlimited".to_owned(),
            bytes => (bytes >> 10).to_string(),
        };
        Command::new("sh")
            .args(["-c", "ulimit -v \"$0\" && exec \"$@\"", &limit])
            .arg(std::env::current_exe()?)
            .args(["--exact", "crashes::operator_process", "--nocapture"])
            .env("GITMOOR_TEST_OPERATOR_KUBECONFIG", kubeconfig)
            .env("GITMOOR_TEST_OPERATOR_NAMESPACE", self.namespace)
            .env(
                "GITMOOR_TEST_OPERATOR_DIRECTORY",
                self.directory.join("store"),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("start an operator")
    }
}

/// Waits until some, and not all, of the objects are as wanted.
async fn in_the_middle(world: &World, namespace: &str, value: &str) -> Result<()> {
    world
        .eventually("the sync is under way", || async {
            let done = with_value(world, namespace, value).await?;
            Ok(done > OBJECTS / 20)
        })
        .await
}

async fn with_value(world: &World, namespace: &str, value: &str) -> Result<usize> {
    let api: kube::Api<k8s_openapi::api::core::v1::ConfigMap> =
        kube::Api::namespaced(world.client(), namespace);
    let list = api
        .list(&kube::api::ListParams::default().labels("gitmoor.io/configuration"))
        .await?;
    let has = |map: &&k8s_openapi::api::core::v1::ConfigMap| {
        map.data
            .as_ref()
            .and_then(|data| data.get("value"))
            .is_some_and(|it| it == value)
    };
    Ok(list.items.iter().filter(has).count())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_survives_the_death_of_each_part() -> Result<()> {
    let world = World::without_agent().await?;
    let namespace = world.namespace("crash").await?;
    world
        .kubectl(&[
            "-n",
            &namespace,
            "create",
            "rolebinding",
            "operator",
            "--clusterrole=cluster-admin",
            "--user=operator",
        ])
        .await?;
    let files = |value: &str| (0..OBJECTS).map(|n| map(n, value)).collect::<Vec<_>>();
    fn borrowed(files: &[(String, String)]) -> Vec<(&str, &str)> {
        files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .collect()
    }
    let repository = world.repository(&namespace, &borrowed(&files("0"))).await?;
    let key: ConfigurationKey = world
        .follow(&namespace, "shop", world.spec(&namespace))
        .await?;
    world
        .kubectl(&[
            "-n",
            &namespace,
            "create",
            "configmap",
            "bystander",
            "--from-literal=a=b",
        ])
        .await?;
    let directory = tempfile::tempdir()?;
    let operator = Operator {
        world: &world,
        namespace: &namespace,
        directory: directory.path(),
    };

    // The operator dies in its first sync.
    let mut process = operator.start()?;
    in_the_middle(&world, &namespace, "0").await?;
    process.kill().await?;
    let mut process = operator.start()?;
    world.synced(&key, &repository.head()?).await?;

    // The API server dies in the next, then etcd; each commit also removes one object.
    for (round, component) in [(1, Component::ApiServer), (2, Component::Etcd)] {
        let value = round.to_string();
        let mut all = files(&value);
        let (gone, _) = all.swap_remove(round);
        let commit = repository.commit(&borrowed(&all), &[&gone], &value)?;
        world.request_sync(&key).await?;
        in_the_middle(&world, &namespace, &value).await?;
        world.cluster.kill(component)?;
        sleep(Duration::from_secs(2)).await;
        world.cluster.resume(component).await?;
        world.cluster.wait_ready().await?;
        world
            .eventually("the API server answers again", || async {
                Ok(world.status(&key).await.is_ok())
            })
            .await?;
        world.synced(&key, &commit).await?;
        world
            .eventually("all objects are as wanted", || async {
                Ok(with_value(&world, &namespace, &value).await? == OBJECTS - 1)
            })
            .await?;
        assert_eq!(
            world.applied_config_maps(&namespace).await?.len(),
            OBJECTS - 1
        );
        repository.commit(&[(&gone, &map(round, &value).1)], &[], "back again")?;
        world.synced(&key, &repository.head()?).await?;
    }
    // The watches outlive the API server, and nobody lists again and again.
    let mark = world.mark()?;
    world.cluster.kill(Component::ApiServer)?;
    world.cluster.resume(Component::ApiServer).await?;
    world.cluster.wait_ready().await?;
    let maps: kube::Api<k8s_openapi::api::core::v1::ConfigMap> =
        kube::Api::namespaced(world.client(), &namespace);
    let by_hand = kube::api::Patch::Merge(serde_json::json!({"data": {"value": "by hand"}}));
    maps.patch("m0", &kube::api::PatchParams::default(), &by_hand)
        .await?;
    world
        .eventually("the edit is healed", || async {
            let data = world.config_map(&namespace, "m0").await?;
            Ok(data.is_some_and(|data| data["value"] != "by hand"))
        })
        .await?;
    let sent = world.cluster.audit().since(mark).await?;
    for resource in ["configmaps", "sourcecontrolconfigurations"] {
        let lists = sent.iter().filter(|one| {
            let whole = one.verb == "list" || one.uri.contains("sendInitialEvents=true");
            one.user == "operator" && one.resource == resource && whole
        });
        assert!(lists.count() <= 2, "{sent:#?}");
    }

    // Nothing is leaked from the inventory, and nothing else was touched.
    let status = world.status(&key).await?;
    assert_eq!(
        status.objects.map(|counts| counts.total as usize),
        Some(OBJECTS)
    );
    assert!(world.config_map(&namespace, "bystander").await?.is_some());
    process.kill().await?;
    Ok(())
}

/// Runs an operator in this process until what is awaited has come.
async fn operator_until(
    world: &World,
    settings: &gitmoor_operator::Settings,
    awaited: impl Future<Output = Result<()>>,
) -> Result<()> {
    let cancel = tokio_util::sync::CancellationToken::new();
    let config = world.cluster.user_config("operator", &[]);
    let running = tokio::spawn(gitmoor_operator::run(
        settings.clone(),
        config,
        Metrics::unseen(),
        cancel.clone(),
    ));
    let result = awaited.await;
    cancel.cancel();
    running.await??;
    result
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_writes_no_object() -> Result<()> {
    let world = World::without_agent().await?;
    let namespace = world.namespace("restart").await?;
    let arguments = [
        "-n",
        &namespace,
        "create",
        "rolebinding",
        "operator",
        "--clusterrole=cluster-admin",
        "--user=operator",
    ];
    world.kubectl(&arguments).await?;
    let files: Vec<_> = (0..40).map(|n| map(n, "0")).collect();
    let files: Vec<_> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    let repository = world.repository(&namespace, &files).await?;
    let key = world
        .follow(&namespace, "shop", world.spec(&namespace))
        .await?;
    let commit = repository.head()?;
    let store = tempfile::tempdir()?;
    let mut settings = gitmoor_operator::Settings {
        namespace: Some(namespace.clone()),
        ..gitmoor_operator::Settings::default()
    };
    settings.engine.allow_http = true;
    settings.engine.directory = store.path().join("first");
    operator_until(&world, &settings, async {
        world.synced(&key, &commit).await.map(|_| ())
    })
    .await?;

    // With the Git store, as in a container that was restarted, and without, as in another pod.
    for directory in ["first", "second"] {
        settings.engine.directory = store.path().join(directory);
        let mark = world.mark()?;
        let before = world.status(&key).await?.instance;
        let asked = world.git.requests();
        operator_until(&world, &settings, async {
            world
                .until(&key, "served anew", |status| {
                    status.instance != before && status.instance.is_some()
                })
                .await?;
            world
                .eventually("the repository was asked", || async {
                    Ok(world.git.requests() > asked)
                })
                .await?;
            // It watches what it has applied: so the plan has been made, and drift is looked for.
            world
                .eventually("its objects are watched", || async {
                    let sent = world.cluster.audit().since(mark).await?;
                    Ok(sent.iter().any(|one| {
                        one.user == "operator"
                            && one.verb == "watch"
                            && one.resource == "configmaps"
                    }))
                })
                .await?;
            // A commit that changes nothing passes through the whole pipeline after all that.
            let next = repository.commit(&[("NOTES", directory)], &[], directory)?;
            world.synced(&key, &next).await.map(|_| ())
        })
        .await?;
        let sent = world.cluster.audit().since(mark).await?;
        let writes: Vec<_> = sent
            .iter()
            .filter(|one| one.user == "operator" && one.group != "gitmoor.io")
            .filter(|one| matches!(one.verb.as_str(), "patch" | "create" | "update" | "delete"))
            .collect();
        assert!(writes.is_empty(), "{writes:#?}");
    }
    Ok(())
}
