//! A hundred commits one after the other, faster than they can be applied: the last one wins, soon
//! and with no more writes than there are changes.

use std::time::Instant;

use anyhow::Result;

use crate::{
    large::{Scene, milliseconds, to_f64},
    live::Values,
    report::{Figure, Report},
    stage::commit,
    tree::{map_name, maps_file},
};

impl Scene {
    /// So many commits that change one line each, and a sync asked for after each.
    pub(crate) async fn commits(&self, report: &mut Report, count: usize) -> Result<()> {
        let mut values = Values::start(&self.stage, self.namespace).await?;
        let mark = self.stage.mark()?;
        let (cpu, polls, start) = (
            self.program.usage()?.cpu,
            self.stage.front.requests(),
            Instant::now(),
        );
        let (mut known, mut newest) = (start, String::new());
        for round in 0..count {
            let file = round * self.files / count;
            let value = format!("rapid-{round}");
            newest = commit(
                &self.repository,
                &[maps_file(file, self.each, Some(&value))],
            )?;
            known = Instant::now();
            self.stage.request_sync(self.namespace).await?;
        }
        let committed = start.elapsed();
        let (file, value) = (
            (count - 1) * self.files / count,
            format!("rapid-{}", count - 1),
        );
        let live = values.has(&map_name(file * self.each), &value).await?;
        self.stage.applied(self.namespace, &newest).await?;
        self.quiet().await?;
        let writes = self.writes_of_objects(mark).await?.len();
        let cpu = milliseconds(self.program.usage()?.cpu - cpu) / to_f64(count);
        let polls = self.stage.front.requests() - polls;
        let what = |what: &str| {
            format!(
                "{count} commits in {:.1} s, {} objects, {what}",
                committed.as_secs_f64(),
                self.objects()
            )
        };
        report.add(
            Figure::new(
                "commits",
                what("from the last commit until it is live"),
                milliseconds(live.saturating_duration_since(known)),
                "ms",
            )
            .limit(600.0)
            .aim(200.0)
            .beside(format!(
                "{cpu:.0} ms CPU and {:.1} requests of the Git server for each; the fetch that is under way ends first",
                to_f64(polls) / to_f64(count)
            )),
        );
        report.add(
            Figure::new(
                "commits",
                what("requests that write objects"),
                to_f64(writes),
                "requests",
            )
            .limit(to_f64(count))
            .aim(to_f64(count)),
        );
        Ok(())
    }
}
