//! `gitmoor portal backup` and `gitmoor portal restore`.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufReader, BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use anyhow::Context as _;
use clap::Args;
use gitmoor_portal::{Settings, back_up, restore};

/// Writes all that the portal keeps to a file, as it is at one moment. A running portal may stay up.
///
/// What is sealed stays sealed: keep the key of the settings as well (`encryption.key` in the data
/// directory unless they say otherwise), and not in the same place.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The file; one that is there is replaced when the backup is whole.
    file: PathBuf,
}

/// Puts a backup into an empty database, of either engine: all of it or nothing.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The file.
    file: PathBuf,
}

impl Backup {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let partial = self.file.with_added_extension("partial");
        let write = async {
            let mut options = OpenOptions::new();
            let file = options.create(true).truncate(true).write(true).mode(0o600);
            let file = file.open(&partial)?;
            let mut file = BufWriter::new(file);
            let rows = back_up(&settings.database(), &mut file).await?;
            file.flush()?;
            file.get_ref().sync_all()?;
            fs::rename(&partial, &self.file)?;
            anyhow::Ok(rows)
        };
        let written = write.await;
        if written.is_err() {
            // Where not even that could be made, there is none.
            let _ = fs::remove_file(&partial);
        }
        let rows = written.with_context(|| format!("back up to {}", self.file.display()))?;
        tracing::info!(rows, file = %self.file.display(), "backed up; keep the key that it is sealed with, too");
        Ok(())
    }
}

impl Restore {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let file = File::open(&self.file);
        let file = file.with_context(|| format!("open the backup {}", self.file.display()))?;
        super::principal::make_directory(settings)?;
        let rows = restore(&settings.database(), BufReader::new(file))
            .await
            .with_context(|| format!("restore {}", self.file.display()))?;
        tracing::info!(rows, database = %settings.database(), "restored");
        tracing::info!(
            "principals, roles and secrets are as they were when the backup was made: what was taken back \
             since is there again; see `gitmoor portal principal list` and `gitmoor portal audit`"
        );
        Ok(())
    }
}
