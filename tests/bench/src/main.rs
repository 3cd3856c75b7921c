//! Measures the speed and memory of Gitmoor on a real control plane; each figure stands beside a
//! limit that was taken in the same run. What is measured is the program `gitmoor` as it is
//! shipped, in a process of its own.

mod cold;
mod commits;
mod front;
mod large;
mod live;
mod memory;
mod portal;
mod program;
mod replay;
mod report;
mod stage;
mod tree;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};

use large::Scene;
use report::Report;

/// Measures the speed and memory of Gitmoor.
///
/// It takes some 30 minutes. Other work on the machine makes every figure worse; the load average is
/// printed with each.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only this measurement; may be repeated.
    #[arg(long, value_name = "NAME")]
    only: Vec<Measurement>,
    /// A part of all the objects and tenants, for a quick look.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Where to write the figures as JSON; by default bench.json in the target folder.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Ends with status 1 when a figure is above its limit.
    #[arg(long)]
    check: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Measurement {
    /// A first sync of 1,000 packages, in one configuration.
    Cold,
    /// The same as 1,000 tenants, with the memory of the agent and of the API server.
    Tenants,
    /// One changed line of 10,000 objects.
    Change,
    /// 100 commits as fast as they can be made, at 1,000 objects.
    Commits,
    /// Drift to healed at 10,000 objects.
    Drift,
    /// First sync, changed line, drift and memory at 1,000, 10,000 and 50,000 objects.
    Growth,
    /// Nothing changes at 10,000 objects.
    Steady,
    /// A portal with 10,000 agents, on SQLite and on PostgreSQL.
    Portal,
    /// Memory of an idle agent, and of operators with 100 and 10,000 objects.
    Memory,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut report = Report::new(gitmoor_cluster::kubernetes_version(), arguments.scale);
    // What was measured before something went wrong is worth keeping.
    let measured = measure(&arguments, &mut report).await;
    report.print();
    let json = match arguments.json {
        Some(path) => path,
        None => std::env::current_exe()?
            .ancestors()
            .nth(2)
            .context("this program is in a folder of the target folder")?
            .join("bench.json"),
    };
    report.write(&json)?;
    println!("as JSON: {}", json.display());
    measured?;
    let failed = arguments.check && !report.all_met();
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

async fn measure(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let wanted = |one| arguments.only.is_empty() || arguments.only.contains(&one);
    let scaled = |count: f64| {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count, and not large"
        )]
        let count = (count * arguments.scale).max(1.0) as usize;
        count
    };
    if wanted(Measurement::Memory) {
        memory::idle_agent(report).await.context("an idle agent")?;
        let scene = Scene::start("small", 100, 1).await?;
        scene.memory(report, "after its first sync", 8.0)?;
        let scene = scene.restart().await?;
        scene.memory(report, "after a restart", 8.0)?;
        scene.program.stop().await?;
    }
    if wanted(Measurement::Cold) {
        cold::one(report, scaled(1000.0), 3)
            .await
            .context("a first sync")?;
    }
    let [change, drift, steady, memory] = [
        Measurement::Change,
        Measurement::Drift,
        Measurement::Steady,
        Measurement::Memory,
    ]
    .map(wanted);
    if change || drift || steady || memory {
        let mut scene = Scene::start("large", scaled(10_000.0), 1)
            .await
            .context("an operator with 10,000 objects")?;
        if memory {
            scene.memory(report, "after its first sync", 25.0)?;
        }
        if change {
            scene.change(report, 12).await.context("a changed line")?;
        }
        if drift {
            scene.drift(report, 300).await.context("drift")?;
        }
        if steady || memory {
            scene = scene.restart().await?;
        }
        if memory {
            scene.memory(report, "after a restart", 25.0)?;
        }
        if steady {
            scene.steady(report, Duration::from_secs(180)).await?;
        }
        scene.program.stop().await?;
    }
    if change {
        let mut scene = Scene::start("files", scaled(500.0), 20).await?;
        scene.change(report, 12).await.context("a changed line")?;
        scene.program.stop().await?;
    }
    if wanted(Measurement::Commits) {
        let scene = Scene::start("commits", scaled(1000.0), 1).await?;
        scene.commits(report, 100).await.context("rapid commits")?;
        scene.program.stop().await?;
    }
    if wanted(Measurement::Growth) {
        for count in [1000.0, 10_000.0, 50_000.0] {
            let mut scene = Scene::start("growth", scaled(count), 1).await?;
            scene.cold(report)?;
            scene.growing(report).await?;
            scene.program.stop().await?;
        }
    }
    if wanted(Measurement::Portal) {
        portal::portal(report, scaled(10_000.0))
            .await
            .context("a portal")?;
    }
    if wanted(Measurement::Tenants) {
        let tenants = scaled(1000.0);
        let (stage, program) = cold::tenants(report, tenants, 2)
            .await
            .context("a first sync as tenants")?;
        memory::tenants(report, &stage, program, tenants, Duration::from_secs(180))
            .await
            .context("memory of an agent with tenants")?;
    }
    Ok(())
}
