//! The bodies on the wire.

use gitmoor_arm::{
    ComplianceMessage, ComplianceState, ComplianceStatus, Drift, ErrorDetail, ErrorResponse,
    ListPage, MAX_STATUS_BYTES, MessageLevel, ObjectCounts, ObjectState, OperatorScope, Problem,
    ProvisioningState, RESOURCE_TYPE, SourceControlConfiguration, StatusReport, Timestamp,
    WithSecrets,
};
use serde_json::{Value, json};

fn answer() -> Value {
    json!({
        "id": "/subscriptions/3f1c/resourceGroups/edge/providers/Microsoft.Kubernetes/connectedClusters/edge-07/providers/Microsoft.KubernetesConfiguration/sourceControlConfigurations/team-blue",
        "name": "team-blue",
        "type": RESOURCE_TYPE,
        "properties": {
            "operatorNamespace": "team-blue",
            "provisioningState": "Succeeded",
            "complianceStatus": {
                "complianceState": "Pending",
                "lastConfigApplied": "0001-01-01T00:00:00+00:00",
                "message": "{\"OperatorMessage\":null,\"ClusterState\":null}",
                "messageLevel": "Information"
            },
            "enableHelmOperator": false,
            "helmOperatorProperties": {"chartVersion": "", "chartValues": ""},
            "repositoryUrl": "https://git.example.net/blue/deploy.git",
            "operatorInstanceName": "blue-op",
            "operatorType": "Flux",
            "operatorScope": "namespace",
            "operatorParams": "--git-readonly --git-branch=main",
            "sshKnownHostsContents": "",
            "configurationProtectedSettings": {},
            "repositoryPublicKey": ""
        },
        "systemData": {
            "createdBy": null, "createdByType": null, "createdAt": "2026-11-23T05:00:00+00:00",
            "lastModifiedBy": null, "lastModifiedByType": null, "lastModifiedAt": "2026-11-23T05:00:00+00:00"
        }
    })
}

#[test]
fn arms_answer_is_read_and_written_without_loss() {
    let configuration: SourceControlConfiguration = serde_json::from_value(answer()).unwrap();
    let properties = &configuration.properties;
    assert_eq!(properties.operator_scope(), &OperatorScope::Namespace);
    assert_eq!(
        properties.compliance_status,
        Some(ComplianceStatus::default())
    );
    assert_eq!(properties.ssh_known_hosts_contents(), None);
    assert_eq!(serde_json::to_value(&configuration).unwrap(), answer());
}

#[test]
fn unknown_fields_and_words_nulls_and_gaps_are_taken() {
    let mut body = answer();
    body["tags"] = json!({"a": "b"});
    body["properties"]["colour"] = json!("blue");
    body["properties"]["provisioningState"] = json!("Dreaming");
    body["properties"]["complianceStatus"] = json!({"complianceState": "installed", "messageLevel": "3", "message": null, "lastConfigApplied": "2026-11-23T05:00:00.1234567"});
    body["properties"]["configurationProtectedSettings"] = json!(null);
    body["properties"]["operatorScope"] = json!(null);
    let configuration: SourceControlConfiguration = serde_json::from_value(body).unwrap();
    let properties = configuration.properties;
    assert_eq!(
        properties.provisioning_state,
        Some(ProvisioningState::Other("Dreaming".into()))
    );
    assert_eq!(properties.operator_scope(), &OperatorScope::Cluster);
    let status = properties.compliance_status.unwrap();
    assert_eq!(status.compliance_state, Some(ComplianceState::Installed));
    assert_eq!(status.message_level, Some(MessageLevel::Other("3".into())));
    assert_eq!(
        status.last_config_applied.unwrap().to_string(),
        "2026-11-23T05:00:00+00:00"
    );

    let bare: SourceControlConfiguration = serde_json::from_str("{}").unwrap();
    assert_eq!(bare.properties.operator_namespace(), "default");
    assert_eq!(bare.properties.operator_scope(), &OperatorScope::Cluster);
}

#[test]
fn secrets_are_sent_by_the_data_plane_alone() {
    let mut body = answer();
    body["properties"]["configurationProtectedSettings"] =
        json!({"httpsUser": "Ym90", "httpsKey": "czNjcjN0", "none": null});
    let configuration: SourceControlConfiguration = serde_json::from_value(body).unwrap();
    assert_eq!(serde_json::to_value(&configuration).unwrap(), answer());
    assert!(!format!("{configuration:?}").contains("czNjcjN0"));

    let page = ListPage {
        value: vec![WithSecrets(&configuration)],
        next_link: None,
    };
    let page = serde_json::to_string(&page).unwrap();
    assert!(page.ends_with(r#""nextLink":null}"#));
    let page: ListPage<SourceControlConfiguration> = serde_json::from_str(&page).unwrap();
    let settings = page.value[0]
        .properties
        .configuration_protected_settings
        .clone()
        .unwrap();
    assert_eq!(
        settings.decode_text("httpsKey").unwrap().unwrap().expose(),
        "s3cr3t"
    );
    assert_eq!(settings.decode_text("none"), Ok(None));
    assert_eq!(page.value[0], configuration);
}

#[test]
fn a_page_without_value_is_no_page() {
    type Page = ListPage<SourceControlConfiguration>;
    serde_json::from_str::<Page>("{}").unwrap_err();
    serde_json::from_str::<Page>(r#"{"value": null}"#).unwrap_err();
    assert!(
        serde_json::from_str::<Page>(r#"{"value": []}"#)
            .unwrap()
            .value
            .is_empty()
    );
}

#[test]
fn the_message_is_json_in_a_string_and_any_text_is_read() {
    let message = ComplianceMessage::from(
        r#"{"OperatorMessage":"done","ClusterState":null,"AppliedRevision":"9f2c","Mood":"good"}"#,
    );
    assert_eq!(message.operator_message.as_deref(), Some("done"));
    assert_eq!(message.applied_revision.as_deref(), Some("9f2c"));
    assert_eq!(message.other["Mood"], "good");
    assert_eq!(
        ComplianceMessage::from(message.to_string().as_str()),
        message
    );

    for text in [
        "Installing",
        "{\"OperatorMessage\":null} trailing",
        "[]",
        "7",
    ] {
        assert_eq!(
            ComplianceMessage::from(text).operator_message.as_deref(),
            Some(text)
        );
    }
    assert_eq!(ComplianceMessage::from(""), ComplianceMessage::default());
}

#[test]
fn the_error_envelope_is_arms() {
    let response = ErrorResponse::new(
        "ResourceNotFound",
        "SourceControlConfiguration with name 'x' not found.",
    );
    let body = json!({"error": {"code": "ResourceNotFound",
        "message": "SourceControlConfiguration with name 'x' not found.",
        "target": null, "details": [], "additionalInfo": []}});
    assert_eq!(serde_json::to_value(&response).unwrap(), body);
    let old: ErrorResponse =
        serde_json::from_str(r#"{"error": {"code": "A", "message": "b", "details": null}}"#)
            .unwrap();
    assert_eq!(old, ErrorResponse::new("A", "b"));
    let body = r#"{"error": {"code": "A", "message": "b", "details": [{"code": "C", "message": "d", "target": "e"}],
        "additionalInfo": [{"type": "T", "info": {"x": 1}}]}}"#;
    let nested: ErrorResponse = serde_json::from_str(body).unwrap();
    assert_eq!(
        nested.error.details,
        [ErrorDetail::new("C", "d").with_target("e")]
    );
    assert_eq!(nested.error.additional_info[0].info["x"], 1);
}

#[test]
fn a_report_is_bounded_and_becomes_arms_status() {
    // What takes the most room in JSON: six bytes for each character.
    let long = "\u{1}".repeat(5000);
    let problem = |line| Problem {
        path: long.clone(),
        line: Some(line),
        object: Some(long.clone()),
        reason: long.clone(),
        message: long.clone(),
    };
    let state = ObjectState {
        object: long.clone(),
        health: long.clone(),
        message: long.clone(),
    };
    let drift = Drift {
        object: long.clone(),
        time: Timestamp::NEVER,
        deleted: true,
        manager: Some(long.clone()),
    };
    let worded = StatusReport {
        compliance_state: Some(ComplianceState::Other(long.clone())),
        message_level: Some(MessageLevel::Other(long.clone())),
        ..Default::default()
    };
    assert!(serde_json::to_string(&worded.bounded()).unwrap().len() < 15_000);
    let report = StatusReport {
        observed_etag: "7".into(),
        compliance_state: Some(ComplianceState::Noncompliant),
        message: long.clone(),
        attempted_revision: Some(long.clone()),
        repository_public_key: Some(long.repeat(5)),
        message_level: Some(MessageLevel::Error),
        applied_revision: Some("9f2c".into()),
        objects: Some(ObjectCounts {
            total: 3,
            ..Default::default()
        }),
        inventory: vec![state; 150],
        drifts: vec![drift; 30],
        problems: (0..150).map(problem).collect(),
        problems_omitted: 5,
        ..Default::default()
    }
    .bounded();
    assert_eq!((report.problems.len(), report.problems_omitted), (100, 55));
    assert_eq!(report.inventory.len(), 106, "as many as there is room for");
    assert_eq!(report.drifts.len(), 20);
    assert_eq!(report.repository_public_key, None);
    let text = serde_json::to_string(&report).unwrap();
    assert!(text.len() < MAX_STATUS_BYTES, "{}", text.len());
    assert_eq!(serde_json::from_str::<StatusReport>(&text).unwrap(), report);

    let status = report.compliance_status();
    assert_eq!(status.last_config_applied, Some(Timestamp::NEVER));
    let wire = serde_json::to_value(&status).unwrap();
    assert_eq!(wire["complianceState"], "Noncompliant");
    let message = ComplianceMessage::from(wire["message"].as_str().unwrap());
    assert_eq!(message.problems, report.problems);
    assert_eq!(message.applied_revision.as_deref(), Some("9f2c"));
}

#[test]
fn a_time_is_read_within_the_years_that_there_are() {
    let table = [
        (
            "2026-11-23T05:00:00.5+02:00",
            Some("2026-11-23T03:00:00+00:00"),
        ),
        ("2026-11-23T05:00:00", Some("2026-11-23T05:00:00+00:00")),
        (
            "0001-01-01T00:00:00+00:00",
            Some("0001-01-01T00:00:00+00:00"),
        ),
        (
            "9999-12-31T23:59:59-00:00",
            Some("9999-12-31T23:59:59+00:00"),
        ),
        // Whose moment in UTC has no year of four digits.
        ("9999-12-31T23:59:59-01:00", None),
        ("0001-01-01T00:00:00+00:01", None),
        ("0000-06-01T00:00:00Z", None),
        ("-2000-06-01T00:00:00Z", None),
        ("10000-06-01T00:00:00Z", None),
        ("2026-02-30T05:00:00Z", None),
        ("2026-11-23", None),
        ("", None),
    ];
    for (text, wanted) in table {
        let read = text.parse::<Timestamp>().ok().map(|at| at.to_string());
        assert_eq!(read.as_deref(), wanted, "{text}");
    }
}
