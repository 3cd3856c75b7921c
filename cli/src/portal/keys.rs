//! `gitmoor portal keys`: what to do when a token, or the database, is in the wrong hands.

use clap::Subcommand;
use gitmoor_portal::Settings;

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Makes another key, which signs from now on, and ends all others: every token that was given so
    /// far is refused, by every portal of the database. Programs and agents ask for new ones by
    /// themselves; people stay signed in.
    Rotate,
}

impl Keys {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let store = super::principal::open(settings).await?;
        match self {
            Self::Rotate => store.rotate_keys().await?,
        }
        Ok(())
    }
}
