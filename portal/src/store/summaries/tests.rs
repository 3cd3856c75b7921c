use gitmoor_arm::{ApiVersion, PutRequest};

use super::*;
use crate::store::{
    Condition, Written,
    audit::By,
    tests::{CLUSTER, each_engine, open},
};

#[tokio::test]
async fn a_report_that_came_while_older_ones_are_summarised_keeps_its_summary() {
    for place in each_engine() {
        let store = open(&place).await;
        let cluster: ClusterId = CLUSTER.parse().unwrap();
        let id = cluster.configuration("blue").unwrap();
        let wanted = r#"{"properties": {"repositoryUrl": "https://git.example.net/blue.git"}}"#;
        let request = PutRequest::parse(wanted.as_bytes(), ApiVersion::NEWEST).unwrap();
        let (by, any) = (By::named("test"), Condition::default());
        let Written::Created(made) = store.put(&id, request, &by, &any).await.unwrap() else {
            panic!("there was none");
        };
        let report = StatusReport {
            observed_etag: made.desired.etag,
            message: "it came meanwhile".to_owned(),
            ..StatusReport::default()
        };
        store.report(&id, &report).await.unwrap();
        let written = store.summary(&id).await.unwrap().unwrap();
        assert!(written.at.is_some());
        let (cluster, name) = keys(&id);
        store.summarise_one(&cluster, &name).await.unwrap();
        assert_eq!(store.summary(&id).await.unwrap(), Some(written));
        // Of one that an older version wrote there is a report alone.
        sqlx::query("DELETE FROM summary")
            .execute(&store.database.writer)
            .await
            .unwrap();
        store.summarise().await.unwrap();
        let made = store.summary(&id).await.unwrap();
        assert_eq!(made, Some(Summary::of(&report)));
    }
}
