use sha2::{Digest as _, Sha256};
use sqlx::{AnyConnection, Executor as _};

use super::*;
use crate::{
    encryption::{KEY, Key},
    store::{
        Store,
        tests::{CLUSTER, Place, each_engine},
    },
};

/// The key of the settings, in base64 and as it is.
const MASTER: [u8; KEY] = [7; KEY];

/// Since this schema what is in the database is sealed.
const SEALED: i64 = 4;

/// A place whose portal has that key.
fn with_key(place: &Place) {
    let file = place.directory.path().join("encryption.key");
    std::fs::write(file, BASE64_STANDARD.encode(MASTER)).unwrap();
}

/// Brings a database to a schema of the past, with a row in every table that it has.
async fn of_schema(place: &Place, schema: i64) -> Database {
    let database = Database::connect(&place.location).await.unwrap();
    let mut transaction = database.begin("migrate").await.unwrap();
    database
        .migrate_to(&mut transaction, Some(schema))
        .await
        .unwrap();
    fill(&mut transaction, schema).await;
    transaction.commit().await.unwrap();
    // Only the session's end gives up the driver's lock on PostgreSQL when a migration failed.
    database
}

async fn fill(connection: &mut AnyConnection, schema: i64) {
    let cluster = CLUSTER.to_ascii_lowercase();
    let group = "/subscriptions/3f1c/resourceGroups/edge";
    let row = format!("{cluster} blue");
    let id = format!(
        "{CLUSTER}/providers/Microsoft.KubernetesConfiguration/sourceControlConfigurations/blue"
    );
    let at = "2026-01-02T03:04:05+00:00";
    let data_key = [9; KEY];
    // As values were sealed then.
    let seal = |column: &str, row: &str, value: &[u8]| {
        let key = Key::new(&data_key);
        key.seal(&format!("{column} {row}"), value).unwrap()
    };
    let json =
        |column: &str, row: &str, value: Value| seal(column, row, value.to_string().as_bytes());
    // Text, or bytes.
    let text = |text: &str| Value::from(text);
    let bytes = |bytes: Vec<u8>| json!({"base64": BASE64_STANDARD.encode(bytes)});
    let properties = json!({"repositoryUrl": "https://git.example.net/blue"});
    let mut rows = vec![(
        1,
        "configuration",
        json!({
            "cluster": cluster, "name": "blue", "id": id, "etag": "1",
            "properties": bytes(json("properties", &row, properties)),
            "created_by": "ann", "created_at": at,
            "last_modified_by": "ann", "last_modified_at": at,
        }),
    )];
    let mut add = |since, table, values| rows.push((since, table, values));
    let report = json!({"observedEtag": "1", "complianceState": "Compliant"});
    add(
        1,
        "protected_settings",
        json!({
            "cluster": cluster, "name": "blue",
            "settings": bytes(json("settings", &row, json!({"httpsUser": "Ym90"}))),
        }),
    );
    add(
        1,
        "status",
        json!({
            "cluster": cluster, "name": "blue", "report": bytes(json("report", &row, report)),
        }),
    );
    add(
        2,
        "portal",
        json!({"one": 1, "tenant": "00000000-0000-0000-0000-000000000001"}),
    );
    let principal = "00000000-0000-0000-0000-000000000002";
    add(
        2,
        "principal",
        json!({"id": principal, "name": "ann", "created_at": at}),
    );
    add(
        2,
        "role_assignment",
        json!({"principal": principal, "role": "owner", "scope": group}),
    );
    add(
        2,
        "credential",
        json!({
            "id": "c", "principal": principal, "kind": "secret", "value": bytes(vec![1; 32]),
            "created_at": at,
        }),
    );
    let signing = crate::identity::KeyRow::generate(at.parse().unwrap()).unwrap();
    add(
        2,
        "signing_key",
        json!({
            "id": signing.id, "created_at": at,
            "private": bytes(seal("private", &signing.id, &signing.private)),
        }),
    );
    add(
        3,
        "resource_group",
        json!({
            "subscription": "3f1c", "name": "edge", "id": group, "location": "local",
            "tags": bytes(json("tags", &group.to_ascii_lowercase(), json!({"team": "blue"}))),
        }),
    );
    let mut of_cluster = json!({
        "cluster": cluster, "subscription": "3f1c", "resource_group": "edge", "id": CLUSTER,
        "etag": "1", "location": "local",
        "tags": bytes(json("tags", &cluster, json!({"ring": "1"}))),
        "body": bytes(json("body", &cluster, json!({"properties": {}}))),
        "created_by": "ann", "created_at": at, "last_modified_by": "ann", "last_modified_at": at,
    });
    if schema < 10 {
        of_cluster["last_seen"] = text(at);
        of_cluster["agent_version"] = text("0.1.0");
    }
    add(3, "cluster", of_cluster);
    add(
        SEALED,
        "data_key",
        json!({
            "id": "k", "sealed": bytes(Key::new(&MASTER).seal("k", &data_key).unwrap()),
            "sealed_by": Key::new(&MASTER).id(), "created_at": at,
        }),
    );
    add(
        5,
        "sync",
        json!({
            "cluster": cluster, "name": "blue", "id": "1",
            "entry": bytes(json("entry", &format!("{row} 1"), json!({"message": "well"}))),
        }),
    );
    add(
        6,
        "audit",
        json!({
            "id": "0197", "resource": cluster, "entry": bytes(json("audit", "0197", json!({}))),
        }),
    );
    add(
        8,
        "flux_configuration",
        json!({
            "cluster": cluster, "name": "apps", "id": id, "etag": "1",
            "properties": bytes(vec![1]), "settings": bytes(vec![1]),
            "created_by": "ann", "created_at": at, "last_modified_by": "ann", "last_modified_at": at,
        }),
    );
    add(
        9,
        "person",
        json!({"digest": bytes(vec![2; 32]), "principal": principal}),
    );
    add(
        10,
        "presence",
        json!({
            "cluster": cluster, "id": CLUSTER, "last_seen": at, "agent_version": "0.1.0",
        }),
    );
    for (since, table, values) in rows {
        if since <= schema {
            let values = values.as_object().unwrap();
            assert!(insert(connection, table, values).await.unwrap(), "{table}");
        }
    }
}

/// Whether a portal opens it and finds what was there.
async fn is_whole(place: &Place, schema: i64) {
    let store = Store::open(&place.settings()).await.unwrap();
    let cluster = CLUSTER.parse().unwrap();
    let page = store.list_with_secrets(&cluster, "", 10).await.unwrap();
    let (desired, settings) = &page.items[0];
    let url = desired.properties.repository_url.as_deref();
    assert_eq!(url, Some("https://git.example.net/blue"));
    assert_eq!(settings.iter().count(), 1);
    let found = store.cluster(&cluster).await.unwrap().unwrap();
    let seen = found.seen.unwrap();
    assert_eq!(seen.at, "2026-01-02T03:04:05Z".parse().unwrap());
    assert_eq!(seen.said.agent_version.as_deref(), Some("0.1.0"));
    let principals = store.principals().await.unwrap();
    assert_eq!(principals[0].name, "ann");
    let summaries = store.summaries().await.unwrap();
    let (_, first) = summaries.first_key_value().unwrap();
    assert!(first.configurations[0].summary.is_some(), "{schema}");
    store.close().await;
}

#[tokio::test]
async fn a_backup_of_each_past_schema_is_restored_into_either_engine() {
    for schema in 1..=Database::newest_schema() {
        let from = each_engine();
        let into = each_engine();
        for (from, into) in from.iter().zip(into.iter().rev()) {
            of_schema(from, schema).await.close().await;
            let mut backup = Vec::new();
            let rows = back_up(&from.location, &mut backup).await.unwrap();
            // The tables of that time, and no later ones.
            assert!(rows >= 3, "{schema}: {rows}");
            with_key(into);
            let restored = restore(&into.location, &*backup).await.unwrap();
            assert_eq!(restored, rows, "{schema}");
            let again = restore(&into.location, &*backup).await;
            assert!(matches!(again, Err(BackupError::NotEmpty(_))), "{again:?}");
            if schema >= SEALED {
                is_whole(into, schema).await;
            }
        }
    }
}

#[tokio::test]
async fn a_database_of_each_past_schema_is_brought_up_to_date() {
    for schema in SEALED..=Database::newest_schema() {
        for place in each_engine() {
            of_schema(&place, schema).await.close().await;
            with_key(&place);
            is_whole(&place, schema).await;
        }
    }
}

#[tokio::test]
async fn a_database_of_a_later_version_says_what_to_do() {
    for place in each_engine() {
        let database = of_schema(&place, Database::newest_schema()).await;
        let later = "INSERT INTO _sqlx_migrations \
             (version, description, success, checksum, execution_time) \
             SELECT 999, description, success, checksum, execution_time FROM _sqlx_migrations \
             WHERE version = 1";
        database.writer.execute(later).await.unwrap();
        database.close().await;
        with_key(&place);
        let refused = Store::open(&place.settings()).await.unwrap_err();
        let known = Database::newest_schema();
        assert!(
            matches!(refused, StoreError::Later { found: 999, known: one } if one == known),
            "{refused:?}"
        );
        let said = refused.to_string();
        assert!(said.contains("start the version that ran last"), "{said}");
        let refused = back_up(&place.location, Vec::new()).await.unwrap_err();
        assert!(refused.to_string().contains("999"), "{refused}");
    }
}

#[tokio::test]
async fn a_backup_that_is_not_whole_leaves_no_tables_behind() {
    for place in each_engine() {
        let first = Head {
            gitmoor_portal_backup: FORM,
            schema: 5,
        };
        let mut lines = Lines {
            to: Vec::new(),
            hash: Sha256::new(),
        };
        lines.write(&first).unwrap();
        assert!(restore(&place.location, &*lines.to).await.is_err());
        let database = Database::connect(&place.location).await.unwrap();
        let mut connection = database.readers.acquire().await.unwrap();
        assert!(database.tables(&mut connection).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_backup_takes_as_long_as_it_does_and_other_statements_do_not() {
    let [_, place] = each_engine();
    let database = Database::connect(&place.location).await.unwrap();
    let limit = async |connection: &mut AnyConnection| {
        let query = "SELECT current_setting('statement_timeout')";
        let limit = sqlx::query_scalar::<_, String>(query);
        limit.fetch_one(connection).await.unwrap()
    };
    let mut transaction = database.begin("backup").await.unwrap();
    assert_eq!(limit(&mut transaction).await, "30s");
    database.without_end(&mut transaction).await.unwrap();
    assert_eq!(limit(&mut transaction).await, "0");
    transaction.commit().await.unwrap();
    let mut connection = database.writer.acquire().await.unwrap();
    assert_eq!(limit(&mut connection).await, "30s");
}

#[tokio::test]
async fn no_table_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let location = Location::file(directory.path().join("portal.db"));
    let database = Database::connect(&location).await.unwrap();
    database.migrate().await.unwrap();
    let mut connection = database.readers.acquire().await.unwrap();
    let mut there = database.tables(&mut connection).await.unwrap();
    there.retain(|name| !name.starts_with("sqlite_") && name != "_sqlx_migrations");
    there.sort_unstable();
    let mut known = [&TABLES[..], &LEFT_OUT].concat();
    known.sort_unstable();
    assert_eq!(there, known);
}
