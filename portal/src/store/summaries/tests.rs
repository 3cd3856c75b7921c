use gitmoor_arm::{ApiVersion, Drift, PutRequest};

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

#[test]
fn all_that_a_page_shows_is_news() {
    let problem = Problem {
        message: "it is wrong".to_owned(),
        ..Problem::default()
    };
    let drift = Drift {
        object: "Pod shop/web".to_owned(),
        time: Timestamp::NEVER,
        deleted: false,
        manager: None,
    };
    let report = StatusReport {
        message: "m".repeat(MAX_TEXT + 1),
        problems: vec![problem; PROBLEMS + 1],
        drifts: vec![drift],
        last_config_applied: Some(Timestamp::NEVER),
        ..StatusReport::default()
    };
    let says_the_same = |change: fn(&mut StatusReport)| {
        let mut other = report.clone();
        change(&mut other);
        Summary::of(&report).says(&Summary::of(&other))
    };
    assert!(says_the_same(|other| {
        other.last_config_applied = Some(Timestamp::now());
    }));
    let changes: [fn(&mut StatusReport); 5] = [
        |other| other.repository_public_key = Some("ssh-ed25519 AAAA".to_owned()),
        |other| other.problems[PROBLEMS].message = "it is more wrong".to_owned(),
        |other| other.drifts[0].manager = Some("kubectl-edit".to_owned()),
        |other| other.message.push('!'),
        |other| other.inventory = vec![Default::default()],
    ];
    for change in changes {
        assert!(!says_the_same(change));
    }
}
