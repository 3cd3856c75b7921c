//! Stores for the tests of the store's own parts.

use gitmoor_postgres::Postgres;
use tempfile::TempDir;

use super::{Location, Store};
use crate::Settings;

pub(super) const CLUSTER: &str = "/subscriptions/3f1c/resourceGroups/edge/providers/Microsoft.Kubernetes/connectedClusters/edge-07";

/// A folder of a portal, and its database.
pub(super) struct Place {
    pub(super) directory: TempDir,
    pub(super) location: Location,
}

/// One in SQLite, and one in PostgreSQL.
pub(super) fn each_engine() -> [Place; 2] {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let url = Postgres::shared().unwrap().fresh().unwrap();
    let file = Location::file(one.path().join("portal.db"));
    [(one, file), (other, Location::parse(&url).unwrap())].map(|(directory, location)| Place {
        directory,
        location,
    })
}

impl Place {
    pub(super) fn settings(&self) -> Settings {
        Settings {
            data_directory: self.directory.path().to_owned(),
            database: Some(self.location.clone()),
            ..Settings::default()
        }
    }
}

pub(super) async fn open(place: &Place) -> Store {
    Store::open(&place.settings()).await.unwrap()
}
