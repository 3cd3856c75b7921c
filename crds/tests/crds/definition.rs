//! The CustomResourceDefinition itself, and the file that ships.

use std::time::{Duration, Instant};

use gitmoor_crds::definition_yaml;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;

use super::{cluster, kubectl, printed};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn the_file_that_ships_is_current() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/sourcecontrolconfigurations.yaml"
    );
    let shipped = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        shipped == definition_yaml(),
        "crds/sourcecontrolconfigurations.yaml is not what the types say: write it with \
         `cargo run -q -- crds > crds/sourcecontrolconfigurations.yaml`"
    );
}

#[tokio::test]
async fn the_api_server_accepts_it_without_a_warning() {
    // That the installation warned of nothing is asserted where it is made.
    let client = cluster().await.admin_client();
    let api: Api<CustomResourceDefinition> = Api::all(client);
    let definition = api
        .get("sourcecontrolconfigurations.gitmoor.io")
        .await
        .unwrap();
    let conditions = definition.status.unwrap().conditions.unwrap();
    let state = |kind: &str| {
        let mut found = conditions.iter().filter(|one| one.type_ == kind);
        found.next().map(|one| one.status.clone())
    };
    assert_eq!(state("Established").as_deref(), Some("True"));
    assert_eq!(state("NamesAccepted").as_deref(), Some("True"));
    assert_eq!(state("NonStructuralSchema"), None);
}

#[tokio::test]
async fn people_find_it_by_its_short_name_and_are_told_what_it_is() {
    let cluster = cluster().await;
    let ask = async |arguments: &[&str]| printed(&kubectl(cluster, arguments, "").await).unwrap();
    let names = ask(&["api-resources", "--api-group=gitmoor.io", "--no-headers"]).await;
    assert!(names.contains(" scc "), "{names}");
    // The description is published a moment after the resource.
    let start = Instant::now();
    while !kubectl(cluster, &["explain", "scc"], "")
        .await
        .status
        .success()
    {
        assert!(start.elapsed() < LIMIT, "nothing is published");
    }
    let explained = ask(&["explain", "scc"]).await;
    assert!(
        explained.contains("A namespace of this cluster follows a Git repository: what the"),
        "{explained}"
    );
    let explained = ask(&["explain", "scc.spec"]).await;
    assert!(!explained.contains("CEL"), "{explained}");
}
