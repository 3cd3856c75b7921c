//! Resident memory: of an agent that has nothing to do, of one with a thousand tenants, and of the
//! API server for their watches.

use std::time::Duration;

use anyhow::Result;
use gitmoor_cluster::Component;
use tokio::time::sleep;

use crate::{
    cold::agent,
    program::Program,
    report::{Figure, Report},
    stage::{AGENT, OPERATOR, Setting, Stage},
};

/// Requests of the agent and of every tenant's operator.
fn ours(user: &str) -> bool {
    user.ends_with(&format!(":{OPERATOR}")) || user.ends_with(&format!(":{}", AGENT.1))
}

/// An agent without a configuration.
pub(crate) async fn idle_agent(report: &mut Report) -> Result<()> {
    let stage = Stage::start(Setting::default()).await?;
    let program = agent(&stage).await?;
    stage.quiet(ours).await?;
    let usage = program.usage()?;
    report.add(
        Figure::new(
            "memory",
            "resident memory of an idle agent",
            usage.resident,
            "MiB",
        )
        .limit(12.0)
        .aim(12.0)
        .beside(usage.note()),
    );
    program.stop().await
}

/// An agent with tenants in its process, which has just applied everything.
pub(crate) async fn tenants(
    report: &mut Report,
    stage: &Stage,
    program: Program,
    tenants: usize,
    window: Duration,
) -> Result<()> {
    stage.quiet(ours).await?;
    add(report, &program, tenants, "after the first sync")?;
    program.stop().await?;
    // An API server that has answered nothing but what is to be measured.
    stage.cluster.stop(Component::ApiServer).await?;
    stage.cluster.resume(Component::ApiServer).await?;
    sleep(Duration::from_secs(20)).await;
    let before = stage.api_server_memory().await?;
    let program = agent(stage).await?;
    stage.quiet(ours).await?;
    let after = stage.api_server_memory().await?;
    add(report, &program, tenants, "after a restart")?;
    report.add(
        Figure::new(
            "memory",
            format!(
                "of the API server for the watches of {tenants} tenants, heap and stacks in use"
            ),
            after.1 - before.1,
            "MiB",
        )
        .beside(format!(
            "{:.0} to {:.0}; resident {:.0} to {:.0}: {:.0} MiB more",
            before.1,
            after.1,
            before.0,
            after.0,
            after.0 - before.0
        )),
    );
    let mark = stage.mark()?;
    let cpu = program.usage()?.cpu;
    let polls = stage.front.requests();
    sleep(window).await;
    let share = (program.usage()?.cpu - cpu).as_secs_f64() / window.as_secs_f64();
    let requests = stage.requests(mark, ours).await?.len();
    report.add(
        Figure::new(
            "steady",
            format!("share of a core of an agent with {tenants} tenants"),
            100.0 * share,
            "%",
        )
        .beside(format!(
            "over {} s; {requests} API requests but watches, {} of the Git server",
            window.as_secs(),
            stage.front.requests() - polls
        )),
    );
    program.stop().await
}

fn add(report: &mut Report, program: &Program, tenants: usize, when: &str) -> Result<()> {
    let usage = program.usage()?;
    let what = format!("resident memory of an agent with {tenants} tenants of 4 objects, {when}");
    report.add(
        Figure::new("memory", what, usage.resident, "MiB")
            .limit(200.0)
            .aim(100.0)
            .beside(usage.note()),
    );
    Ok(())
}
