//! Cold sync: a thousand packages of four objects, in one configuration and as a thousand tenants,
//! each against the bare loop. Every run has a fresh control plane, and ours and the loop take turns.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Result;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use gitmoor_crds::{GoDuration, SourceControlConfigurationSpec};
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
    let (mut ours, mut bare, mut last) = (Runs::default(), Runs::default(), None);
    for round in 0..rounds {
        // The machine's other work changes slowly: neither is always the first.
        if round % 2 == 1 {
            bare.push(one_by_loop(&writes).await?);
        }
        let (_, run, usage) = one_by_us(Setting::default(), &files, objects).await?;
        ours.push(run);
        last = Some(usage);
        if round % 2 == 0 {
            bare.push(one_by_loop(&writes).await?);
        }
    }
    let note = last.map_or(String::new(), |usage| usage.note());
    report.add(
        Figure::new(
            "cold",
            format!("{packages} packages in one configuration, against the bare loop"),
            ours.against(&bare),
            "times",
        )
        .limit(1.3)
        .aim(1.1)
        .beside(format!("{}; operator: {note}", ours.beside(&bare))),
    );
    Ok(())
}

/// From the creation of the configuration until every object is live.
async fn one_by_us(
    setting: Setting,
    files: &[File],
    objects: usize,
) -> Result<(Stage, Run, Usage)> {
    let stage = Stage::start(setting).await?;
    let commit = crate::stage::commit(&stage.repository("packages", &[])?, files)?;
    let program = operator(&stage, NAMESPACE).await?;
    let mut count = Count::start(&stage).await?;
    let start = Start::now(&stage)?;
    let spec = SourceControlConfigurationSpec::new(stage.front.url("packages"));
    stage.follow(NAMESPACE, spec).await?;
    let run = start.until(&stage, count.reached(objects).await?)?;
    stage.applied(NAMESPACE, &commit).await?;
    let usage = program.usage()?;
    program.stop().await?;
    Ok((stage, run, usage))
}

async fn one_by_loop(writes: &[Write]) -> Result<Run> {
    let stage = Stage::start(Setting::default()).await?;
    stage.namespace(NAMESPACE).await?;
    stage.operator_rights(NAMESPACE).await?;
    let mut bare = Loop::as_operator(&stage, NAMESPACE).await?;
    let mut count = Count::start(&stage).await?;
    let start = Start::now(&stage)?;
    bare.send(writes).await?;
    start.until(&stage, count.reached(writes.len()).await?)
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
    let (mut ours, mut bare_objects, mut bare_all) =
        (Runs::default(), Runs::default(), Runs::default());
    let (mut resumed, mut bare_resumed) = (Runs::default(), Runs::default());
    let mut running = None;
    for _ in 0..rounds {
        bare_resumed.push(resumed_by_loop(tenants, &writes).await?);
        resumed.push(resumed_by_us(setting, tenants).await?);
        let (all, objects) = tenants_by_loop(tenants, &writes).await?;
        bare_objects.push(objects);
        bare_all.push(all);
        drop(running.take());
        let (stage, program, run) = tenants_by_us(setting, tenants).await?;
        ours.push(run);
        running = Some((stage, program));
    }
    report.add(
        Figure::new(
            "cold",
            format!("{tenants} tenants with operators, resumed, against the bare loop of resumes and objects"),
            resumed.against(&bare_resumed),
            "times",
        )
        .limit(1.3)
        .aim(1.1)
        .beside(resumed.beside(&bare_resumed)),
    );
    let (stage, program) = running.ok_or_else(|| anyhow::anyhow!("there is no round"))?;
    let note = program.usage()?.note();
    report.add(
        Figure::new(
            "cold",
            format!("{tenants} tenants from nothing, against the bare loop of every write it takes"),
            ours.against(&bare_all),
            "times",
        )
        .limit(1.3)
        .aim(1.1)
        .beside(format!(
            "{}; {} writes: rights, tokens, status, inventory, objects; each tenant a repository of one file; agent: {note}",
            ours.beside(&bare_all),
            writes.len() + tenants
        )),
    );
    report.add(
        Figure::new(
            "cold",
            format!("{tenants} tenants from nothing, against the bare loop of their {objects} objects alone"),
            ours.against(&bare_objects),
            "times",
        )
        .limit(1.3)
        .aim(1.1)
        .beside(ours.beside(&bare_objects)),
    );
    Ok((stage, program))
}

async fn tenants_stage(setting: Setting, tenants: usize, suspend: bool) -> Result<(Stage, String)> {
    let stage = Stage::start(setting).await?;
    let names: Vec<String> = (0..tenants).map(tenant).collect();
    stage.namespaces(&names).await?;
    let commit = crate::stage::commit(&stage.repository("package", &[])?, &[package(0)])?;
    stream::iter(&names)
        .map(|name| {
            let url = stage.front.url_as(name, "package");
            let spec = SourceControlConfigurationSpec {
                suspend,
                // No controller looks at the Deployments here.
                timeout: GoDuration(Duration::from_hours(24)),
                ..SourceControlConfigurationSpec::new(url)
            };
            stage.follow(name, spec)
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    Ok((stage, commit))
}

/// From the start of the agent until every object is live.
async fn tenants_by_us(setting: Setting, tenants: usize) -> Result<(Stage, Program, Run)> {
    let (stage, commit) = tenants_stage(setting, tenants, false).await?;
    let mut count = Count::start(&stage).await?;
    let start = Start::now(&stage)?;
    let program = agent(&stage).await?;
    let run = start.until(&stage, count.reached(tenants * 4).await?)?;
    stage.applied_everywhere(&commit, tenants).await?;
    Ok((stage, program, run))
}

/// All writes, and those of the objects among them, which come last.
async fn tenants_by_loop(tenants: usize, writes: &[Write]) -> Result<(Run, Run)> {
    let (stage, _) = tenants_stage(Setting::default(), tenants, false).await?;
    let mut bare = Loop::as_agent(&stage).await?;
    let mut count = Count::start(&stage).await?;
    let all = Start::now(&stage)?;
    bare.send(&of(writes, Purpose::Rights)).await?;
    bare.send(&of(writes, Purpose::Own)).await?;
    let objects = Start::now(&stage)?;
    bare.send(&of(writes, Purpose::Object)).await?;
    let end = count.reached(tenants * 4).await?;
    Ok((all.until(&stage, end)?, objects.until(&stage, end)?))
}

/// The same where operators and rights are there already: from the first resumed configuration until
/// every object is live.
async fn resumed_by_us(setting: Setting, tenants: usize) -> Result<Run> {
    let (stage, commit) = tenants_stage(setting, tenants, true).await?;
    let program = agent(&stage).await?;
    stage.suspended_everywhere(tenants).await?;
    let mut count = Count::start(&stage).await?;
    let start = Start::now(&stage)?;
    resume(&stage, tenants).await?;
    let run = start.until(&stage, count.reached(tenants * 4).await?)?;
    stage.applied_everywhere(&commit, tenants).await?;
    program.stop().await?;
    Ok(run)
}

async fn resumed_by_loop(tenants: usize, writes: &[Write]) -> Result<Run> {
    let (stage, _) = tenants_stage(Setting::default(), tenants, true).await?;
    let mut bare = Loop::as_agent(&stage).await?;
    bare.send(&of(writes, Purpose::Rights)).await?;
    bare.send(&of(writes, Purpose::Own)).await?;
    let mut count = Count::start(&stage).await?;
    let start = Start::now(&stage)?;
    resume(&stage, tenants).await?;
    bare.send(&of(writes, Purpose::Object)).await?;
    start.until(&stage, count.reached(tenants * 4).await?)
}

async fn resume(stage: &Stage, tenants: usize) -> Result<()> {
    let names: Vec<String> = (0..tenants).map(tenant).collect();
    stream::iter(&names)
        .map(|name| stage.resume(name))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// When a run began, and the processor time of the servers then.
struct Start(Instant, f64);

impl Start {
    fn now(stage: &Stage) -> Result<Self> {
        Ok(Self(Instant::now(), stage.servers_cpu()?))
    }

    fn until(&self, stage: &Stage, end: Instant) -> Result<Run> {
        Ok(Run {
            seconds: (end - self.0).as_secs_f64(),
            servers: stage.servers_cpu()? - self.1,
        })
    }
}

/// One run: how long it took, and the processor time of API server and etcd, in seconds.
struct Run {
    seconds: f64,
    servers: f64,
}

/// Runs of one kind, round by round.
#[derive(Default)]
struct Runs(Vec<Run>);

impl Runs {
    fn push(&mut self, run: Run) {
        self.0.push(run);
    }

    /// The median of the rounds' ratios: the two of a round had the same machine.
    fn against(&self, bare: &Self) -> f64 {
        let rounds = self.0.iter().zip(&bare.0);
        let ratios: Vec<f64> = rounds
            .map(|(ours, bare)| ours.seconds / bare.seconds)
            .collect();
        median(&ratios)
    }

    fn seconds(&self) -> String {
        let texts = self.0.iter().map(|run| format!("{:.1}", run.seconds));
        texts.collect::<Vec<_>>().join(", ")
    }

    fn servers(&self) -> f64 {
        median(&self.0.iter().map(|run| run.servers).collect::<Vec<_>>())
    }

    /// Both, in words.
    fn beside(&self, bare: &Self) -> String {
        format!(
            "{} against {} s, round by round; processor time of API server and etcd {:.1} against {:.1} s",
            self.seconds(),
            bare.seconds(),
            self.servers(),
            bare.servers()
        )
    }
}
