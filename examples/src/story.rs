//! The steps of the demo, in the order in which a person would take them. Each shows the command,
//! what came of it, and fails when that is not what it should be.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use gitmoor_crds::SourceControlConfigurationStatus;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{Stage, Terminal};

const TEAMS: [&str; 2] = ["shop", "blog"];

/// Goes through all steps.
///
/// # Errors
/// When something is not as it should be.
pub async fn tell(stage: &mut Stage, terminal: &Terminal) -> Result<()> {
    configure(stage, terminal).await?;
    first_sync(stage, terminal).await?;
    commit(stage, terminal).await?;
    heal(stage, terminal).await?;
    refuse(stage, terminal).await
}

async fn configure(stage: &Stage, terminal: &Terminal) -> Result<()> {
    terminal.heading("An administrator says in ARM which folder each team's namespace follows");
    for team in TEAMS {
        let body = json!({"properties": {
            "repositoryUrl": stage.repository_url(),
            "operatorType": "Flux",
            "operatorNamespace": team,
            "operatorInstanceName": team,
            "operatorScope": "namespace",
            "operatorParams": format!(
                "--git-path={team} --git-poll-interval=5s --sync-garbage-collection"
            ),
        }});
        let file = stage.folder.join(format!("{team}.json"));
        fs::write(&file, format!("{body:#}\n")).context("write a configuration")?;
        let address = stage.arm.address(team)?;
        terminal.command(&format!(
            "curl -X PUT --cacert portal/ca.pem -H \"Authorization: Bearer $(cat token)\" \\\n    --data @{team}.json '{address}'"
        ));
        let answer = stage.arm.put(team, &body).await?;
        let properties = &answer["properties"];
        let state = properties["provisioningState"].as_str().unwrap_or_default();
        let params = properties["operatorParams"].as_str().unwrap_or_default();
        terminal.output(&format!("{state}: {team} follows {params}"));
        ensure!(state == "Succeeded", "the portal answered {answer:#}");
    }
    Ok(())
}

async fn first_sync(stage: &mut Stage, terminal: &Terminal) -> Result<()> {
    terminal.heading("The first sync");
    terminal.say("The agent sees both, makes a namespace, a ServiceAccount and its rights for each, and an\noperator with those rights applies the folder. It tells ARM how that went.");
    let start = Instant::now();
    let head = stage.repository.head()?;
    for team in TEAMS {
        ready(stage, team, &head).await?;
        compliance(stage, team, "Compliant").await?;
    }
    let seconds = start.elapsed().as_secs_f32();
    stage.kubectl(terminal, &["get", "scc", "-A"]).await?;
    let arguments = ["-n", "shop", "get", "deployments,services,configmaps", "-l"];
    let label = "gitmoor.io/configuration=shop.shop";
    let listed = [&arguments[..], &[label]].concat();
    let listed = stage.kubectl(terminal, &listed).await?;
    for object in [
        "deployment.apps/front",
        "service/front",
        "configmap/shop-settings",
    ] {
        ensure!(listed.contains(object), "{object} is not there");
    }
    terminal.done(&format!(
        "both teams' folders are live {seconds:.1} s after ARM took them, and ARM says Compliant"
    ));
    Ok(())
}

async fn commit(stage: &mut Stage, terminal: &Terminal) -> Result<()> {
    terminal.heading("A commit arrives");
    let path = "shop/settings.yaml";
    let (before, after) = ("Good morning", "Good evening");
    let file = stage.repository.path().join(path);
    let content = fs::read_to_string(&file).context("read a file of the repository")?;
    let content = content.replace(before, after);
    terminal.command(&format!("sed -i 's/{before}/{after}/' {path}"));
    let message = "The shop opens in the evening";
    terminal.command(&format!("git commit -am '{message}'"));
    let head = stage.repository.commit(&[(path, &content)], &[], message)?;
    let start = Instant::now();
    terminal.output(&last_commit(stage)?);
    stage
        .until("the commit arrives", async |stage| {
            Ok((greeting(stage).await? == after).then_some(()))
        })
        .await?;
    let seconds = start.elapsed().as_secs_f32();
    let value = "jsonpath={.data.greeting}";
    let arguments = [
        "-n",
        "shop",
        "get",
        "configmap",
        "shop-settings",
        "-o",
        value,
    ];
    stage.kubectl(terminal, &arguments).await?;
    terminal.done(&format!(
        "live {seconds:.1} s after the commit; the repository is asked every 5 s"
    ));
    ready(stage, "shop", &head).await?;
    Ok(())
}

async fn heal(stage: &mut Stage, terminal: &Terminal) -> Result<()> {
    terminal.heading("Someone edits by hand");
    let patch = json!({"data": {"greeting": "Go away"}});
    terminal.command(&format!(
        "kubectl -n shop patch configmap shop-settings --type merge -p '{patch}'"
    ));
    let maps: Api<ConfigMap> = Api::namespaced(stage.client.clone(), "shop");
    // In this process, and not by kubectl: that ends later than the edit is healed.
    let parameters = PatchParams {
        field_manager: Some("kubectl-patch".to_owned()),
        ..PatchParams::default()
    };
    let mark = stage.mark()?;
    let edited = maps
        .patch("shop-settings", &parameters, &Patch::Merge(&patch))
        .await?;
    let start = Instant::now();
    ensure!(value(&edited) == "Go away", "the edit did not take");
    terminal.output("configmap/shop-settings patched: greeting is `Go away`");
    stage
        .until("the edit is healed", async |stage| {
            Ok((greeting(stage).await? == "Good evening").then_some(()))
        })
        .await?;
    let milliseconds = start.elapsed().as_millis();
    let value = "jsonpath={.data.greeting}";
    let arguments = [
        "-n",
        "shop",
        "get",
        "configmap",
        "shop-settings",
        "-o",
        value,
    ];
    stage.kubectl(terminal, &arguments).await?;
    let sent = stage.requests_about("shop", "shop-settings", mark).await?;
    ensure!(
        matches!(sent.as_slice(), [one] if one.verb == "patch"),
        "the operator sent {sent:?}"
    );
    terminal.done(&format!(
        "healed {milliseconds} ms after the edit: a watch told of it, and one PATCH undid it"
    ));
    Ok(())
}

async fn refuse(stage: &mut Stage, terminal: &Terminal) -> Result<()> {
    terminal.heading("A team reaches into another team's namespace");
    let path = "shop/planted.yaml";
    let manifest = "# Not ours to write.\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: planted\n  namespace: blog\n";
    let message = "Something for the blog";
    terminal.command(&format!("cat {path}"));
    terminal.output(manifest);
    terminal.command(&format!("git add {path} && git commit -m '{message}'"));
    stage.repository.commit(&[(path, manifest)], &[], message)?;
    terminal.output(&last_commit(stage)?);
    let problem = stage
        .until("the problem is reported", async |stage| {
            let problems = stage.status("shop").await?.problems;
            Ok(problems.into_iter().find(|problem| problem.path == path))
        })
        .await?;
    let each =
        "jsonpath={range .status.problems[*]}{.path}:{.line}: {.reason}: {.message}{\"\\n\"}{end}";
    stage
        .kubectl(terminal, &["-n", "shop", "get", "scc", "shop", "-o", each])
        .await?;
    ensure!(
        (problem.reason.as_str(), problem.line) == ("Forbidden", Some(2)),
        "the problem is {problem:?}"
    );
    let arguments = ["-n", "blog", "get", "configmap", "planted"];
    let listed = stage.kubectl(terminal, &arguments).await?;
    ensure!(listed.contains("NotFound"), "the object was planted");
    let report = compliance(stage, "shop", "Noncompliant").await?;
    terminal.say("What ARM says of the shop:");
    terminal.output(&report);
    terminal.done("the API server refused it, and the team is told the file and the line");

    terminal.command("git revert --no-edit HEAD");
    stage.repository.git(&["revert", "--no-edit", "HEAD"])?;
    terminal.output(&last_commit(stage)?);
    let head = stage.repository.head()?;
    ready(stage, "shop", &head).await?;
    compliance(stage, "shop", "Compliant").await?;
    stage
        .kubectl(terminal, &["-n", "shop", "get", "scc", "shop"])
        .await?;
    terminal.done("all is well again");
    Ok(())
}

/// Says what a person can try by hand, and waits for the end of the world.
///
/// # Errors
/// When the agent or the portal ends.
pub async fn hand_over(stage: &mut Stage, terminal: &Terminal) -> Result<()> {
    terminal.heading("Now you: all this stays up until Ctrl-C. In another terminal:");
    let folder = stage.folder.display();
    terminal.command(&format!("cd {folder}"));
    terminal.command("./kubectl get scc -A --watch");
    terminal
        .command("./kubectl -n shop delete deployment front; ./kubectl -n shop get deployments");
    terminal.command(
        "cd git/teams && sed -i 's/EUR/SEK/' shop/settings.yaml && git commit -am 'Krona'",
    );
    terminal.say("\n./kubectl is a real one, with the rights of an administrator. agent.log and portal.log are\nbeside it. There are no nodes here, so no Pod ever runs.");
    loop {
        stage.alive()?;
        sleep(Duration::from_secs(1)).await;
    }
}

/// Waits until a commit of a team is applied without a problem.
async fn ready(stage: &mut Stage, team: &str, commit: &str) -> Result<()> {
    let what = format!("{team} is ready at commit {commit}");
    stage
        .until(&what, async |stage| {
            let status = stage.status(team).await?;
            let applied = status.applied_revision.as_deref() == Some(commit);
            Ok((applied && is_ready(&status)).then_some(()))
        })
        .await
}

fn is_ready(status: &SourceControlConfigurationStatus) -> bool {
    let mut conditions = status.conditions.iter();
    conditions.any(|one| one.type_ == "Ready" && one.status == "True")
}

/// Waits until ARM knows what became of a configuration, and gives its words for a person.
async fn compliance(stage: &mut Stage, team: &str, state: &str) -> Result<String> {
    let what = format!("ARM says that {team} is {state}");
    let report = stage
        .until(&what, async |stage| {
            let mut known = stage.arm.read(team).await?;
            let report = known["properties"]["complianceStatus"].take();
            Ok((report["complianceState"] == state).then_some(report))
        })
        .await?;
    // ARM's message is a text that holds JSON.
    let message = report["message"].as_str().unwrap_or_default();
    let message: Value = serde_json::from_str(message).unwrap_or_default();
    let words = message["OperatorMessage"].as_str().unwrap_or_default();
    Ok(format!("{state}: {words}"))
}

async fn greeting(stage: &Stage) -> Result<String> {
    let maps: Api<ConfigMap> = Api::namespaced(stage.client.clone(), "shop");
    Ok(value(&maps.get("shop-settings").await?).to_owned())
}

fn value(map: &ConfigMap) -> &str {
    let greeting = map.data.as_ref().and_then(|data| data.get("greeting"));
    greeting.map_or("", String::as_str)
}

fn last_commit(stage: &Stage) -> Result<String> {
    Ok(stage
        .repository
        .git(&["log", "-1", "--format=[main %h] %s"])?)
}
