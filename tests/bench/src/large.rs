//! One operator with ten thousand objects: a changed line, drift, stillness, memory.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use gitmoor_cluster::Request;
use gitmoor_crds::SourceControlConfigurationSpec;
use gitmoor_git::Repository;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    cold::{operator, start_operator},
    live::{Read, Values},
    program::Program,
    report::{Figure, Report, median, quantile},
    stage::{OPERATOR, Setting, Stage, commit},
    tree::{map_name, maps, maps_file},
};

/// A field manager that is not ours, as a person's editor is.
const SOMEBODY: &str = "somebody";

/// An operator that has applied its repository.
pub(crate) struct Scene {
    pub(crate) stage: Stage,
    pub(crate) namespace: &'static str,
    pub(crate) repository: Repository,
    /// How many files, and how many objects in each.
    pub(crate) files: usize,
    pub(crate) each: usize,
    pub(crate) program: Program,
    /// How long the first sync took.
    cold: Duration,
}

impl Scene {
    /// Starts an operator, and waits until it has applied a repository of ConfigMaps and is quiet.
    pub(crate) async fn start(namespace: &'static str, files: usize, each: usize) -> Result<Self> {
        let stage = Stage::start(Setting::default()).await?;
        let repository = stage.repository("maps", &[])?;
        let commit = commit(&repository, &maps(files, each))?;
        let program = operator(&stage, namespace).await?;
        let spec = SourceControlConfigurationSpec::new(stage.front.url("maps"));
        let start = Instant::now();
        stage.follow(namespace, spec).await?;
        stage.applied(namespace, &commit).await?;
        let cold = start.elapsed();
        let this = Self {
            stage,
            namespace,
            repository,
            files,
            each,
            program,
            cold,
        };
        this.quiet().await?;
        Ok(this)
    }

    /// How long the first sync took, until the status said so.
    pub(crate) fn cold(&self, report: &mut Report) -> Result<()> {
        let cpu = self.program.usage()?.cpu;
        let objects = to_f64(self.objects());
        report.add(
            Figure::new(
                "growth",
                format!("first sync of {} objects, each", self.objects()),
                milliseconds(self.cold) / objects,
                "ms",
            )
            .beside(format!(
                "{:.1} s in all; {:.2} ms CPU of the operator for each",
                self.cold.as_secs_f64(),
                milliseconds(cpu) / objects
            )),
        );
        Ok(())
    }

    /// What is measured at each size.
    pub(crate) async fn growing(&mut self, report: &mut Report) -> Result<()> {
        self.change(report, 6).await.context("a changed line")?;
        self.drift(report, 60).await.context("drift")?;
        let usage = self.program.usage()?;
        let what = format!("resident memory at {} objects", self.objects());
        let figure = Figure::new("growth", what, usage.resident, "MiB");
        report.add(figure.beside(usage.note()));
        Ok(())
    }

    pub(crate) fn objects(&self) -> usize {
        self.files * self.each
    }

    fn user(&self) -> String {
        format!("system:serviceaccount:{}:{OPERATOR}", self.namespace)
    }

    pub(crate) async fn quiet(&self) -> Result<()> {
        let user = self.user();
        self.stage.quiet(|one| one == user).await
    }

    /// Ends the operator and starts it anew.
    pub(crate) async fn restart(self) -> Result<Self> {
        let Self {
            stage,
            namespace,
            repository,
            files,
            each,
            program,
            cold,
        } = self;
        program.stop().await?;
        let program = start_operator(&stage, namespace).await?;
        let this = Self {
            stage,
            namespace,
            repository,
            files,
            each,
            program,
            cold,
        };
        this.quiet().await?;
        Ok(this)
    }

    /// Resident memory, now.
    pub(crate) fn memory(&self, report: &mut Report, when: &str, aim: f64) -> Result<()> {
        let usage = self.program.usage()?;
        let what = format!(
            "resident memory of an operator with {} objects, {when}",
            self.objects()
        );
        report.add(
            Figure::new("memory", what, usage.resident, "MiB")
                .limit(aim)
                .aim(aim)
                .beside(usage.note()),
        );
        Ok(())
    }

    /// One changed line, from the moment that its commit is known until it is live.
    pub(crate) async fn change(&mut self, report: &mut Report, rounds: usize) -> Result<()> {
        let mut values = Values::start(&self.stage, self.namespace).await?;
        let (mut whole, mut fetches, mut patches) = (Vec::new(), Vec::new(), Vec::new());
        let cpu = self.program.usage()?.cpu;
        for round in 0..rounds {
            let file = round * self.files / rounds;
            let value = format!("changed-{round}");
            values.forget();
            commit(
                &self.repository,
                &[maps_file(file, self.each, Some(&value))],
            )?;
            let mark = self.stage.mark()?;
            self.stage.request_sync(self.namespace).await?;
            let live = values.has(&map_name(file * self.each), &value).await?;
            let (known, fetched) = self.stage.front.times();
            let known = known.context("the repository was asked")?;
            let fetched = fetched.context("the commit was fetched")?;
            whole.push(milliseconds(live - known));
            fetches.push(milliseconds(fetched.saturating_duration_since(known)));
            // Longer than anything that could follow at once, such as the status.
            sleep(Duration::from_secs(2)).await;
            patches.push(self.writes_of_objects(mark).await?.len());
        }
        let cpu = milliseconds(self.program.usage()?.cpu - cpu) / to_f64(rounds);
        let most = patches.iter().copied().max().unwrap_or_default();
        ensure!(
            patches.iter().all(|count| *count > 0),
            "a change was seen that the audit log does not have"
        );
        let what = |what: &str| {
            format!(
                "one changed line of {} objects in {} files, {what}",
                self.objects(),
                self.files
            )
        };
        report.add(
            Figure::new(
                "change",
                what("from the end of the list of references until live, median"),
                median(&whole),
                "ms",
            )
            .limit(300.0)
            .aim(100.0)
            .beside(format!(
                "of {rounds}: {:.0} to {:.0}; of that the fetch, by Git's own server on this machine: median {:.0}; {cpu:.0} ms CPU",
                quantile(&whole, 0.0),
                quantile(&whole, 1.0),
                median(&fetches),
            )),
        );
        report.add(
            Figure::new(
                "change",
                what("most requests that write objects"),
                to_f64(most),
                "requests",
            )
            .limit(1.0)
            .aim(1.0),
        );
        Ok(())
    }

    /// Drift, from when it is live until it is healed, one at a time.
    pub(crate) async fn drift(&mut self, report: &mut Report, rounds: usize) -> Result<()> {
        let mut values = Values::start(&self.stage, self.namespace).await?;
        let api: Api<ConfigMap> = Api::namespaced(self.stage.client.clone(), self.namespace);
        let parameters = PatchParams {
            field_manager: Some(SOMEBODY.to_owned()),
            ..PatchParams::default()
        };
        let patch = |value: &str| Patch::Merge(json!({"data": {"key": value}}));
        let own = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "echo"}, "data": {"key": "first"}});
        let apply = PatchParams::apply(SOMEBODY);
        api.patch("echo", &apply, &Patch::Apply(&own)).await?;
        let (mut healed, mut echoes) = (Vec::new(), Vec::new());
        let read = Read::start(&self.stage, self.namespace).await?;
        let cpu = self.program.usage()?.cpu;
        for round in 0..rounds {
            // An object of nobody's: what a patch and its echo on a watch take by themselves.
            let value = format!("echo-{round}");
            let start = Instant::now();
            api.patch("echo", &parameters, &patch(&value)).await?;
            echoes.push(milliseconds(values.has("echo", &value).await? - start));

            let number = (round * self.objects() / rounds + 1) % self.objects();
            let name = map_name(number);
            let map = api.get(&name).await?;
            let declared = map.data.and_then(|mut data| data.remove("key"));
            let declared = declared.context("the object is as declared")?;
            values.forget();
            let value = format!("drift-{round}");
            api.patch(&name, &parameters, &patch(&value)).await?;
            let answered = Instant::now();
            let drifted = values.has(&name, &value).await?;
            let back = values.has(&name, &declared).await?;
            healed.push(milliseconds(back - drifted.min(answered)));
        }
        let cpu = milliseconds(self.program.usage()?.cpu - cpu) / to_f64(rounds);
        let bytes = to_f64(read.bytes()) / to_f64(rounds);
        for (what, share, limit, aim) in [
            ("median", 0.5, 15.0, 8.0),
            ("99th percentile", 0.99, 100.0, 25.0),
        ] {
            report.add(
                Figure::new(
                    "drift",
                    format!("healed at {} objects, {what}", self.objects()),
                    quantile(&healed, share),
                    "ms",
                )
                .limit(limit)
                .aim(aim)
                .beside(format!(
                    "of {rounds}; a bare patch until its echo on the watch: {:.1}; most {:.1}; each {cpu:.1} ms CPU and {bytes:.0} bytes of a watch like the operator's",
                    quantile(&echoes, share),
                    quantile(&healed, 1.0)
                )),
            );
        }
        Ok(())
    }

    /// Nothing changes.
    pub(crate) async fn steady(&self, report: &mut Report, window: Duration) -> Result<()> {
        let user = self.user();
        let mark = self.stage.mark()?;
        let (cpu, polls, start) = (
            self.program.usage()?.cpu,
            self.stage.front.requests(),
            Instant::now(),
        );
        sleep(window).await;
        let seconds = start.elapsed().as_secs_f64();
        let cpu = (self.program.usage()?.cpu - cpu).as_secs_f64();
        let polls = self.stage.front.requests() - polls;
        let requests = self.stage.requests(mark, |one| one == user).await?;
        let minutes = seconds / 60.0;
        report.add(
            Figure::new(
                "steady",
                format!(
                    "API requests a minute but watches, at {} objects",
                    self.objects()
                ),
                to_f64(requests.len()) / minutes,
                "requests",
            )
            .limit(0.0)
            .aim(0.0)
            .beside(format!("over {seconds:.0} s{}", first(&requests))),
        );
        report.add(
            Figure::new(
                "steady",
                format!("share of a core, at {} objects", self.objects()),
                100.0 * cpu / seconds,
                "%",
            )
            .limit(0.05)
            .aim(0.05)
            .beside(format!(
                "over {seconds:.0} s, with {polls} requests of the Git server, whose interval is 1 min; the kernel counts in steps of 10 ms"
            )),
        );
        Ok(())
    }

    /// Writes of objects of the repository, and not of the operator's own.
    pub(crate) async fn writes_of_objects(
        &self,
        mark: gitmoor_cluster::Mark,
    ) -> Result<Vec<Request>> {
        let user = self.user();
        let mut requests = self.stage.requests(mark, |one| one == user).await?;
        requests.retain(|request| {
            matches!(
                request.verb.as_str(),
                "patch" | "create" | "update" | "delete" | "deletecollection"
            ) && request.group != gitmoor_crds::GROUP
                && request.group != "events.k8s.io"
                && !request.name.starts_with("gitmoor-inventory.")
        });
        Ok(requests)
    }
}

fn first(requests: &[Request]) -> String {
    requests.first().map_or(String::new(), |request| {
        format!(", such as {} {}", request.verb, request.target())
    })
}

pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

pub(crate) fn to_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::NAN, f64::from)
}
