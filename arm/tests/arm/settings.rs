//! The settings, as a file gives them.

use std::time::Duration;

use gitmoor_arm::{Client, Credential, ManagedIdentity, Settings};
use serde_json::{Value, json};

use super::server::CLUSTER;

fn read(mut changes: Value) -> Result<Settings, serde_json::Error> {
    let mut all = json!({"clusterId": CLUSTER, "credential": {"tokenFile": "/token"}});
    all.as_object_mut()
        .unwrap()
        .append(changes.as_object_mut().unwrap());
    serde_json::from_value(all)
}

#[test]
fn the_defaults_are_azures() {
    let settings = read(json!({})).unwrap();
    assert_eq!(
        settings,
        Settings::new(
            CLUSTER.parse().unwrap(),
            Credential::TokenFile("/token".into())
        )
    );
    assert_eq!(settings.endpoint.as_str(), "https://management.azure.com/");
    assert_eq!(settings.api_version, "2023-05-01");
    assert_eq!(settings.poll_interval, Duration::from_secs(30));
    settings.check().unwrap();
}

#[test]
fn every_credential_is_read() {
    let credentials = [
        json!({"servicePrincipal": {"tenantId": "t", "clientId": "c", "clientSecretFile": "/s"}}),
        json!({"workloadIdentity": {"tenantId": "t", "clientId": "c", "federatedTokenFile": "/s"}}),
        json!({"managedIdentity": {}}),
    ];
    for credential in credentials {
        read(json!({"credential": credential}))
            .unwrap()
            .check()
            .unwrap();
    }
    let settings = read(json!({"credential": {"managedIdentity": {}}})).unwrap();
    assert_eq!(
        settings.credential,
        Credential::ManagedIdentity(ManagedIdentity::default())
    );
}

#[test]
fn an_unknown_key_is_named() {
    for changes in [
        json!({"endPoint": "https://x"}),
        json!({"credential": {"managedIdentity": {"endPoint": "x"}}}),
        json!({"credential": {"endPoint": {}}}),
    ] {
        let error = read(changes).unwrap_err().to_string();
        assert!(error.contains("endPoint"), "{error}");
    }
    let error = read(json!({"clusterId": "/subscriptions/s"}))
        .unwrap_err()
        .to_string();
    assert!(error.contains("no id of a cluster"), "{error}");
    let error = read(json!({"pollInterval": "often"}))
        .unwrap_err()
        .to_string();
    assert!(error.contains("no duration"), "{error}");
}

#[test]
fn tokens_are_sent_over_tls_or_not_at_all() {
    let principal = |authority: &str, tenant: &str| json!({"credential": {"servicePrincipal": {"tenantId": tenant, "clientId": "c", "clientSecretFile": "/s", "authority": authority}}});
    let metadata = |url: &str| json!({"credential": {"managedIdentity": {"endpoint": url}}});
    for (changes, key) in [
        (json!({"endpoint": "http://127.0.0.1"}), "endpoint"),
        (
            json!({"endpoint": "https://user:hunter2@arm.example.net"}),
            "endpoint",
        ),
        (json!({"dataPlane": "http://localhost"}), "dataPlane"),
        (json!({"dataPlane": "https://portal/?x=1"}), "dataPlane"),
        (json!({"apiVersion": "2023&x=1"}), "apiVersion"),
        (json!({"pollInterval": "0s"}), "pollInterval"),
        (json!({"requestTimeout": "1ms"}), "requestTimeout"),
        (principal("http://127.0.0.1", "t"), "authority"),
        (principal("https://login.example.net", "../t"), "tenantId"),
        (principal("https://login.example.net", ".."), "tenantId"),
        (metadata("http://metadata.example.net/token"), "endpoint"),
        (metadata("http://10.0.0.1/token"), "endpoint"),
        (metadata("ftp://127.0.0.1/token"), "endpoint"),
    ] {
        let settings = read(changes).unwrap();
        let error = settings.check().unwrap_err().to_string();
        assert!(
            error.contains(key) && !error.contains("hunter2"),
            "{key}: {error}"
        );
        assert_eq!(
            Client::new(&settings).unwrap_err().reason(),
            "InvalidSettings"
        );
    }
    for url in [
        "http://localhost:40342/token",
        "http://[::1]/token",
        "https://metadata.example.net/token",
    ] {
        read(metadata(url)).unwrap().check().unwrap();
    }
}
