//! Cold sync: a thousand packages of four objects, in one configuration and as a thousand tenants,
//! each against the bare loop. Every run has a fresh control plane, and ours and the loop take turns.

use std::{path::PathBuf, time::Instant};

use anyhow::Result;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use gitmoor_crds::SourceControlConfigurationSpec;
use serde_json::json;

use crate::{
    live::Count,
    program::{Program, Usage},
    replay::{Loop, Purpose, Write, of, recorded},
    report::{Figure, Report, median},
    stage::{AGENT, AT_ONCE, OPERATOR, Setting, Stage, eventually, text},
    tree::{File, package},
};

const NAMESPACE: &str = "packages";

/// The name of a tenant's namespace.
fn tenant(number: usize) -> String {
    format!("tenant-{number}")
}

/// One configuration.
pub(crate) async fn one(report: &mut Report, packages: usize, rounds: usize) -> Result<()> {
    let files: Vec<File> = (0..packages).map(package).collect();
    let objects = packages * 4;
    let recording = Setting {
        bodies: true,
        ..Setting::default()
    };
    let (stage, ..) = one_by_us(recording, &files, objects).await?;
    let writes = of(&recorded(&stage)?, Purpose::Object);
    drop(stage);
    anyhow::ensure!(writes.len() == objects, "{} objects sent", writes.len());
    let (mut ours, mut bare, mut last) = (Vec::new(), Vec::new(), None);
    for _ in 0..rounds {
        let (_, seconds, usage) = one_by_us(Setting::default(), &files, objects).await?;
        ours.push(seconds);
        last = Some(usage);
        bare.push(one_by_loop(&writes).await?);
    }
    let note = last.map_or(String::new(), |usage| usage.note());
    report.add(
        Figure::new(
            "cold",
            format!("{packages} packages in one configuration, against the bare loop"),
            median(&ours) / median(&bare),
            "times",
        )
        .limit(1.3)
        .aim(1.1)
        .beside(format!(
            "{} against {} s, median of {rounds}; operator: {note}",
            list(&ours),
            list(&bare)
        )),
    );
    Ok(())
}

/// Gives the seconds from the creation of the configuration until every object is live.
async fn one_by_us(
    setting: Setting,
    files: &[File],
    objects: usize,
) -> Result<(Stage, f64, Usage)> {
    let stage = Stage::start(setting).await?;
    let commit = crate::stage::commit(&stage.repository("packages", &[])?, files)?;
    let program = operator(&stage, NAMESPACE).await?;
    let mut count = Count::start(&stage).await?;
    let start = Instant::now();
    let spec = SourceControlConfigurationSpec::new(stage.front.url("packages"));
    stage.follow(NAMESPACE, spec).await?;
    let seconds = (count.reached(objects).await? - start).as_secs_f64();
    stage.applied(NAMESPACE, &commit).await?;
    let usage = program.usage()?;
    program.stop().await?;
    Ok((stage, seconds, usage))
}

async fn one_by_loop(writes: &[Write]) -> Result<f64> {
    let stage = Stage::start(Setting::default()).await?;
    stage.namespace(NAMESPACE).await?;
    stage.operator_rights(NAMESPACE).await?;
    let mut bare = Loop::as_operator(&stage, NAMESPACE).await?;
    let mut count = Count::start(&stage).await?;
    let start = Instant::now();
    bare.send(writes).await?;
    Ok((count.reached(writes.len()).await? - start).as_secs_f64())
}

/// A namespace, its rights, and the process of its operator, ready for a configuration.
pub(crate) async fn operator(stage: &Stage, namespace: &str) -> Result<Program> {
    stage.namespace(namespace).await?;
    stage.operator_rights(namespace).await?;
    start_operator(stage, namespace).await
}

/// The process of an operator, when it watches.
pub(crate) async fn start_operator(stage: &Stage, namespace: &str) -> Result<Program> {
    let kubeconfig = stage.kubeconfig((namespace, OPERATOR)).await?;
    let settings = stage.settings(namespace, json!({"namespace": namespace}), "engine")?;
    let mark = stage.mark()?;
    let program = Program::start(
        &[
            "operator",
            "--kubeconfig",
            text(&kubeconfig)?,
            "--config",
            text(&settings)?,
        ],
        log(stage, namespace),
    )?;
    let user = format!("system:serviceaccount:{namespace}:{OPERATOR}");
    eventually("the operator watches", || async {
        program.usage()?;
        let all = stage.cluster.audit().since(mark).await?;
        Ok(all
            .iter()
            .any(|request| request.user == user && request.verb == "watch"))
    })
    .await?;
    Ok(program)
}

fn log(stage: &Stage, name: &str) -> PathBuf {
    stage.path(&format!("{name}.log"))
}

/// The process of an agent that hosts its operators.
pub(crate) async fn agent(stage: &Stage) -> Result<Program> {
    let kubeconfig = stage.kubeconfig(AGENT).await?;
    let settings = stage.settings("agent", json!({"runtime": "inProcess"}), "operator")?;
    Program::start(
        &[
            "agent",
            "--kubeconfig",
            text(&kubeconfig)?,
            "--config",
            text(&settings)?,
        ],
        log(stage, "agent"),
    )
}

/// A thousand tenants. Gives the last stage, with its agent still running.
pub(crate) async fn tenants(
    report: &mut Report,
    tenants: usize,
    rounds: usize,
) -> Result<(Stage, Program)> {
    let objects = tenants * 4;
    let setting = Setting {
        bodies: true,
        remembers: true,
    };
    let (stage, program, _) = tenants_by_us(setting, tenants).await?;
    program.stop().await?;
    let writes = recorded(&stage)?;
    drop(stage);
    let setting = Setting {
        bodies: false,
        ..setting
    };
    let (mut ours, mut bare_objects, mut bare_all) = (Vec::new(), Vec::new(), Vec::new());
    let mut running = None;
    for _ in 0..rounds {
        let (rights, own, objects) = tenants_by_loop(tenants, &writes).await?;
        bare_objects.push(objects);
        bare_all.push(rights + own + objects);
        drop(running.take());
        let (stage, program, seconds) = tenants_by_us(setting, tenants).await?;
        ours.push(seconds);
        running = Some((stage, program));
    }
    let (stage, program) = running.ok_or_else(|| anyhow::anyhow!("there is no round"))?;
    let note = program.usage()?.note();
    report.add(
        Figure::new(
            "cold",
            format!("{tenants} tenants from nothing, against the bare loop of every write it takes"),
            median(&ours) / median(&bare_all),
            "times",
        )
        .limit(1.3)
        .aim(1.1)
        .beside(format!(
            "{} against {} s, median of {rounds}; {} writes: rights, tokens, status, inventory, objects; each tenant a repository of one file; agent: {note}",
            list(&ours),
            list(&bare_all),
            writes.len() + tenants
        )),
    );
    report.add(
        Figure::new(
            "cold",
            format!("{tenants} tenants from nothing, against the bare loop of their {objects} objects alone"),
            median(&ours) / median(&bare_objects),
            "times",
        )
        .limit(1.3)
        .aim(1.1)
        .beside(format!(
            "{} against {} s",
            list(&ours),
            list(&bare_objects)
        )),
    );
    Ok((stage, program))
}

async fn tenants_stage(setting: Setting, tenants: usize) -> Result<(Stage, String)> {
    let stage = Stage::start(setting).await?;
    let names: Vec<String> = (0..tenants).map(tenant).collect();
    stage.namespaces(&names).await?;
    let commit = crate::stage::commit(&stage.repository("package", &[])?, &[package(0)])?;
    stream::iter(&names)
        .map(|name| {
            let url = stage.front.url_as(name, "package");
            stage.follow(name, SourceControlConfigurationSpec::new(url))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    Ok((stage, commit))
}

/// Gives the seconds from the start of the agent until every object is live.
async fn tenants_by_us(setting: Setting, tenants: usize) -> Result<(Stage, Program, f64)> {
    let (stage, commit) = tenants_stage(setting, tenants).await?;
    let mut count = Count::start(&stage).await?;
    let start = Instant::now();
    let program = agent(&stage).await?;
    let seconds = (count.reached(tenants * 4).await? - start).as_secs_f64();
    stage.applied_everywhere(&commit, tenants).await?;
    Ok((stage, program, seconds))
}

/// Gives the seconds for the rights, for status and inventory and the tokens, and for the objects.
async fn tenants_by_loop(tenants: usize, writes: &[Write]) -> Result<(f64, f64, f64)> {
    let (stage, _) = tenants_stage(Setting::default(), tenants).await?;
    let mut bare = Loop::as_agent(&stage).await?;
    let rights = bare.send(&of(writes, Purpose::Rights)).await?;
    let own = bare.send(&of(writes, Purpose::Own)).await?;
    let mut count = Count::start(&stage).await?;
    let start = Instant::now();
    bare.send(&of(writes, Purpose::Object)).await?;
    let objects = count.reached(tenants * 4).await? - start;
    Ok((
        rights.as_secs_f64(),
        own.as_secs_f64(),
        objects.as_secs_f64(),
    ))
}

fn list(seconds: &[f64]) -> String {
    let texts: Vec<String> = seconds.iter().map(|one| format!("{one:.1}")).collect();
    texts.join(", ")
}
