//! Objects that are nested deeper than most readers of JSON go: they are applied and healed like any
//! other, and whoever makes a deeper one with our label blinds nobody.

use anyhow::{Context as _, Result, ensure};
use gitmoor_tests::{bare_world, lone::Lone, trees::Tree};
use kube::api::{Patch, PatchParams};
use serde_json::json;

const DEFINITION: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: anchors.deep.example.org}
spec:
  group: deep.example.org
  scope: Namespaced
  names: {kind: Anchor, plural: anchors}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

fn anchor(name: &str, labels: &str, depth: usize) -> String {
    let chain = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    format!(
        "{{\"apiVersion\":\"deep.example.org/v1\",\"kind\":\"Anchor\",\"metadata\":{{\"name\":\"{name}\",\"labels\":{labels}}},\"spec\":{{\"chain\":{chain},\"crew\":3}}}}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_objects_are_applied_and_healed_and_blind_nobody() -> Result<()> {
    let world = bare_world().await;
    let folder = tempfile::tempdir()?;
    let file = |name: &str, text: &str| -> Result<String> {
        let path = folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    let definition = file("definition.yaml", DEFINITION)?;
    world.kubectl(&["apply", "-f", &definition]).await?;
    let established = "--for=condition=Established";
    world
        .kubectl(&["wait", established, "crd/anchors.deep.example.org"])
        .await?;

    let mut lone = Lone::new(world, "deep", &Tree::default()).await?;
    let namespace = lone.key.namespace.clone();
    let files = [
        ("deep.json", anchor("deep", "{}", 400)),
        ("flat.json", anchor("flat", "{}", 1)),
    ];
    let files: Vec<_> = files
        .iter()
        .map(|(path, text)| (*path, text.as_str()))
        .collect();
    lone.repository.commit(&files, &[], "anchors")?;
    lone.start()?;
    let commit = lone.repository.head()?;
    let status = world.synced(&lone.key, &commit).await?;
    ensure!(status.problems.is_empty(), "{status:#?}");

    let anchors = world.objects("deep.example.org/v1", "Anchor", "anchors", &namespace);
    let flat = anchors.get("flat").await?;
    let label = flat
        .metadata
        .labels
        .and_then(|labels| labels.get("gitmoor.io/configuration").cloned())
        .context("our label")?;
    let labels = json!({"gitmoor.io/configuration": label}).to_string();
    let intruder = file("intruder.json", &anchor("intruder", &labels, 3_000))?;
    world
        .kubectl(&[
            "-n",
            &namespace,
            "create",
            "--validate=false",
            "-f",
            &intruder,
        ])
        .await?;

    for name in ["flat", "deep"] {
        let edit = format!(
            "[{}]",
            json!({"op": "replace", "path": "/spec/crew", "value": 4})
        );
        let patch = [
            "-n",
            &namespace,
            "patch",
            "anchor",
            name,
            "--type=json",
            "-p",
            &edit,
        ];
        world.kubectl(&patch).await?;
        let crew = [
            "-n",
            &namespace,
            "get",
            "anchor",
            name,
            "-o",
            "jsonpath={.spec.crew}",
        ];
        world
            .eventually(&format!("the crew of {name} is three again"), || async {
                Ok(world.kubectl(&crew).await? == "3")
            })
            .await?;
    }
    // A watch that begins anew has them all in its list.
    lone.stop().await?;
    let mark = world.mark()?;
    lone.start()?;
    let edit = json!({"spec": {"crew": 5}});
    anchors
        .patch("flat", &PatchParams::default(), &Patch::Merge(&edit))
        .await?;
    let crew = [
        "-n",
        &namespace,
        "get",
        "anchor",
        "flat",
        "-o",
        "jsonpath={.spec.crew}",
    ];
    world
        .eventually("the crew is three again after a restart", || async {
            Ok(world.kubectl(&crew).await? == "3")
        })
        .await?;
    lone.stop().await?;
    let requests = lone.requests(mark).await?;
    let writes = requests
        .iter()
        .filter(|one| one.resource == "anchors" && one.verb == "patch");
    ensure!(writes.count() == 1, "{requests:#?}");
    Ok(())
}
