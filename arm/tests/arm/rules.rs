//! The rules of ARM's command line, and the body of PUT.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use gitmoor_arm::{
    API_VERSIONS, ApiVersion, ConfigurationProperties, ErrorResponse, FieldError, OperatorScope,
    OperatorType, ProtectedChange, ProtectedSettings, PutRequest, check, check_name,
    repository_url, unsupported,
};

const HTTPS: &str = "https://git.example.net/blue/deploy.git";
const SSH: &str = "git@git.example.net:blue/deploy.git";

fn properties(url: &str) -> ConfigurationProperties {
    ConfigurationProperties {
        repository_url: Some(url.into()),
        ..Default::default()
    }
}

fn base64(text: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(text)
}

/// A key in the form of OpenSSH's, with nothing behind it.
fn private_key(cipher: &str) -> String {
    let mut bytes = b"openssh-key-v1\0".to_vec();
    bytes.extend(u32::try_from(cipher.len()).unwrap().to_be_bytes());
    bytes.extend(cipher.as_bytes());
    bytes.extend([7; 64]);
    let body = base64(bytes);
    format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END OPENSSH PRIVATE KEY-----\n")
}

fn known_hosts() -> String {
    let key = base64(b"\0\0\0\x0bssh-ed25519\0\0\0\x02xy");
    format!(
        "# ours\n\ngit.example.net,10.0.0.7 ssh-ed25519 {key} comment\n@revoked * ssh-ed25519 {key}\n"
    )
}

fn with_secrets(url: &str, secrets: &[(&str, &str)]) -> ConfigurationProperties {
    ConfigurationProperties {
        configuration_protected_settings: Some(secrets.iter().copied().collect()),
        ..properties(url)
    }
}

fn fields_at_fault(properties: &ConfigurationProperties) -> Vec<String> {
    let errors = check("blue", properties);
    errors
        .into_iter()
        .map(|error| error.field.replacen("properties.", "", 1))
        .collect()
}

#[test]
fn right_configurations_pass() {
    let key = base64(private_key("none"));
    let right = [
        properties(HTTPS),
        properties("http://10.0.0.7:8080/deploy"),
        properties("ssh://git@git.example.net:2222/blue/deploy"),
        with_secrets(HTTPS, &[]),
        with_secrets(HTTPS, &[("httpsUser", "Ym90"), ("httpsKey", "czNjcjN0")]),
        with_secrets(SSH, &[("sshPrivateKey", &key)]),
        ConfigurationProperties {
            ssh_known_hosts_contents: Some(base64(known_hosts())),
            operator_namespace: Some("team-blue".into()),
            operator_instance_name: Some("blue-op".into()),
            operator_type: Some("flux".into()),
            operator_params: Some("--git-branch=main".into()),
            operator_scope: Some(OperatorScope::Namespace),
            ..with_secrets(SSH, &[("sshPrivateKey", &key), ("httpsUser", "")])
        },
    ];
    for properties in right {
        assert_eq!(check("blue", &properties), [], "{properties:?}");
    }
}

#[test]
fn names_are_bounded() {
    for name in ["a", "0", "team-blue", &"n".repeat(63)] {
        assert_eq!(check_name(name), [], "{name}");
    }
    for name in [
        "",
        "-a",
        "a-",
        "A",
        "a_b",
        "a.b",
        "é",
        "a b",
        &"n".repeat(64),
    ] {
        assert_eq!(check_name(name).len(), 1, "{name}");
    }
}

#[test]
fn every_field_at_fault_is_named_at_once() {
    let wrong = ConfigurationProperties {
        operator_namespace: Some("n".repeat(64)),
        operator_instance_name: Some("-x".into()),
        operator_type: Some("argo".into()),
        operator_params: Some("--sops --manifest-generation".into()),
        operator_scope: Some("galaxy".into()),
        ssh_known_hosts_contents: Some("%%%".into()),
        ..with_secrets("ftp://x/y", &[("httpsKey", "Ym90"), ("pin", "1234")])
    };
    let mut fields = fields_at_fault(&wrong);
    fields.sort();
    assert_eq!(
        fields,
        [
            "configurationProtectedSettings",
            "configurationProtectedSettings.httpsKey",
            "configurationProtectedSettings.httpsUser",
            "operatorInstanceName",
            "operatorNamespace",
            "operatorParams",
            "operatorParams",
            "operatorScope",
            "operatorType",
            "repositoryUrl",
            "sshKnownHostsContents",
        ]
    );
    let response = ErrorResponse::invalid(&check("Bad", &wrong));
    assert_eq!(response.error.code, "InvalidRequestContent");
    assert_eq!(response.error.details.len(), 12);
    assert_eq!(response.error.details[0].target.as_deref(), Some("name"));
}

#[test]
fn repositories_are_read_by_known_schemes_alone() {
    assert_eq!(
        repository_url("git@git.example.net:/blue/deploy.git")
            .unwrap()
            .as_str(),
        "ssh://git@git.example.net/blue/deploy.git"
    );
    assert_eq!(
        repository_url("https://org@dev.azure.com/org/project/_git/deploy")
            .unwrap()
            .as_str(),
        "https://dev.azure.com/org/project/_git/deploy"
    );
    for wrong in [
        "",
        "deploy",
        "/srv/deploy",
        "file:///srv/deploy",
        "git://git.example.net/deploy",
        "ftp://git.example.net/deploy",
        "ext::sh -c id",
        "--upload-pack=id",
        "https://git.example.net",
        "https://user:pass@git.example.net/deploy",
        "https://token@git.example.net/deploy",
        "ssh://git:pass@git.example.net/deploy",
        "ssh://-oProxyCommand=id/deploy",
        "-oProxyCommand=id@host:deploy",
        "https://git.example.net/deploy%0ahost=evil",
        "https://git.example.net/de ploy",
        "https://git.example.net/deploy?x=1",
        "https://git.example.net/deploy#x",
        "host:deploy",
    ] {
        assert!(repository_url(wrong).is_err(), "{wrong}");
        assert_eq!(
            fields_at_fault(&properties(wrong)),
            ["repositoryUrl"],
            "{wrong}"
        );
    }
    assert_eq!(
        fields_at_fault(&properties(&format!("https://x/{}", "p".repeat(2048)))),
        ["repositoryUrl"]
    );
}

#[test]
fn an_error_does_not_quote_the_credentials_of_a_url() {
    let error = repository_url("https://user:hunter2@git.example.net/deploy").unwrap_err();
    assert!(!error.to_string().contains("hunter2"));
}

#[test]
fn credentials_must_fit_the_scheme() {
    let key = base64(private_key("none"));
    assert_eq!(
        fields_at_fault(&with_secrets(HTTPS, &[("sshPrivateKey", &key)])),
        ["configurationProtectedSettings.sshPrivateKey"]
    );
    assert_eq!(
        fields_at_fault(&with_secrets(
            SSH,
            &[("httpsUser", "Ym90"), ("httpsKey", "Ym90")]
        )),
        [
            "configurationProtectedSettings.httpsUser",
            "configurationProtectedSettings.httpsKey"
        ]
    );
    assert_eq!(
        fields_at_fault(&with_secrets(HTTPS, &[("httpsUser", "Ym90")])),
        ["configurationProtectedSettings.httpsKey"]
    );
    let hosts = ConfigurationProperties {
        ssh_known_hosts_contents: Some(base64(known_hosts())),
        ..properties(HTTPS)
    };
    assert_eq!(fields_at_fault(&hosts), ["sshKnownHostsContents"]);
}

#[test]
fn private_keys_are_checked_for_their_form() {
    let without_end = private_key("none").trim_end().to_owned();
    let rsa = |body: &str| {
        format!("-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\n")
    };
    let cases = [
        (private_key("aes256-ctr"), "passphrase"),
        (without_end, "line break"),
        ("ssh-ed25519 AAAA".into(), "no private key"),
        (rsa("not base64!"), "no private key"),
        (rsa("AAAA"), "no private key"),
        (rsa("Proc-Type: 4,ENCRYPTED\n\nMIIB"), "passphrase"),
        (
            private_key("none").replace("OPENSSH PRIVATE", "CERTIFICATE"),
            "no private key",
        ),
    ];
    for (key, expected) in cases {
        let errors = check(
            "blue",
            &with_secrets(SSH, &[("sshPrivateKey", &base64(&key))]),
        );
        assert_eq!(errors.len(), 1, "{key}");
        assert!(errors[0].message.contains(expected), "{key}: {}", errors[0]);
    }
    let errors = check(
        "blue",
        &with_secrets(SSH, &[("sshPrivateKey", "-----BEGIN")]),
    );
    assert!(errors[0].message.contains("base64"), "{errors:?}");
    for label in ["RSA ", "EC ", "DSA ", ""] {
        let key = rsa("MIIB").replace("RSA ", label);
        let settings = [("sshPrivateKey", &*base64(&key))];
        assert_eq!(check("blue", &with_secrets(SSH, &settings)), [], "{key}");
    }
    let encrypted = rsa("MIIB").replace("RSA", "ENCRYPTED");
    let settings = [("sshPrivateKey", &*base64(encrypted))];
    let errors = check("blue", &with_secrets(SSH, &settings));
    assert!(errors[0].message.contains("passphrase"), "{errors:?}");
}

#[test]
fn known_hosts_are_checked_line_by_line() {
    let contents = format!(
        "{}one-word\nhost ssh-rsa AAAA\n@odd * ssh-rsa AAAA\n",
        known_hosts()
    );
    let errors = check(
        "blue",
        &ConfigurationProperties {
            ssh_known_hosts_contents: Some(base64(contents)),
            ..properties(SSH)
        },
    );
    assert_eq!(errors.len(), 1);
    assert!(errors[0].message.ends_with("line 5, 6, 7"), "{}", errors[0]);
}

#[test]
fn the_helm_operator_shortens_the_names_and_is_unsupported() {
    let helm = |instance: usize, namespace: usize| ConfigurationProperties {
        enable_helm_operator: Some(true),
        operator_instance_name: Some("i".repeat(instance)),
        operator_namespace: Some("n".repeat(namespace)),
        ..properties(HTTPS)
    };
    assert_eq!(fields_at_fault(&helm(23, 23)), [""; 0]);
    assert_eq!(fields_at_fault(&helm(23, 24)), [""; 0]);
    assert_eq!(fields_at_fault(&helm(23, 25)), ["operatorInstanceName"]);
    assert_eq!(fields_at_fault(&helm(24, 64)).len(), 3);
    // One without a name is called as the configuration.
    for unnamed in [None, Some(String::new())] {
        let unnamed = ConfigurationProperties {
            operator_instance_name: unnamed,
            ..helm(0, 23)
        };
        assert_eq!(check(&"c".repeat(24), &unnamed), []);
        let errors = check(&"c".repeat(30), &unnamed);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].message.contains("47"), "{errors:?}");
    }
    assert_eq!(unsupported(&helm(1, 1)).len(), 1);
    assert_eq!(unsupported(&properties(HTTPS)), []);
}

fn put(body: &str) -> PutRequest {
    PutRequest::parse(body.as_bytes(), ApiVersion::NEWEST).unwrap()
}

#[test]
fn a_put_is_brought_into_the_form_in_which_arm_keeps_it() {
    let request = put(r#"{"location": "west", "properties": {
        "repositoryUrl": "https://git.example.net/blue/deploy.git", "operatorType": "flux",
        "operatorParams": "--git-branch=main ", "helmOperatorProperties": null,
        "complianceStatus": "not its business", "provisioningState": 7, "colour": "blue"}}"#);
    let properties = &request.properties;
    assert_eq!(properties.operator_type, Some(OperatorType::Flux));
    assert_eq!(
        properties.operator_params(),
        "--git-readonly --git-branch=main"
    );
    assert_eq!(properties.operator_namespace.as_deref(), Some("default"));
    assert_eq!(properties.operator_scope, Some(OperatorScope::Cluster));
    assert_eq!(properties.enable_helm_operator, Some(false));
    assert_eq!(properties.compliance_status, None);
    assert_eq!(properties.provisioning_state, None);
    assert_eq!(check("blue", properties), []);
    let text = serde_json::to_string(properties).unwrap();
    let again = put(&format!(r#"{{"properties": {text}}}"#));
    assert_eq!(
        &again.properties, properties,
        "writing what was read changes nothing"
    );
}

#[test]
fn absent_secrets_stay_and_empty_ones_go() {
    let stored: ProtectedSettings = [("httpsUser", "Ym90")].into_iter().collect();
    let protected = |field: &str| {
        put(&format!(
            r#"{{"properties": {{"repositoryUrl": "x"{field}}}}}"#
        ))
        .protected
    };
    assert_eq!(protected(""), ProtectedChange::Keep);
    assert_eq!(protected("").apply(Some(stored.clone())), stored);
    for gone in ["null", "{}"] {
        let change = protected(&format!(r#", "configurationProtectedSettings": {gone}"#));
        assert!(change.apply(Some(stored.clone())).is_empty(), "{gone}");
    }
    let change = protected(r#", "configurationProtectedSettings": {"sshPrivateKey": "eA=="}"#);
    assert_eq!(
        change.apply(Some(stored)).names().collect::<Vec<_>>(),
        ["sshPrivateKey"]
    );
}

#[test]
fn a_put_names_every_field_of_the_wrong_type() {
    let body = r#"{"properties": {"repositoryUrl": 1, "enableHelmOperator": "yes",
        "helmOperatorProperties": {"chartVersion": []}, "operatorScope": {},
        "configurationProtectedSettings": {"httpsUser": "Ym90", "httpsKey": {"a": "s3cr3t"}}}}"#;
    let mut errors = PutRequest::parse(body.as_bytes(), ApiVersion::NEWEST).unwrap_err();
    errors.sort_by(|a, b| a.field.cmp(&b.field));
    let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "properties.configurationProtectedSettings.httpsKey",
            "properties.enableHelmOperator",
            "properties.helmOperatorProperties.chartVersion",
            "properties.operatorScope",
            "properties.repositoryUrl",
        ]
    );
    assert!(!format!("{errors:?}").contains("s3cr3t"));

    // And with them, what is wrong with the rest.
    let read = PutRequest::read(body.as_bytes(), ApiVersion::NEWEST);
    let mut settings = read.protected.clone().apply(None);
    let properties = ConfigurationProperties {
        configuration_protected_settings: Some(std::mem::take(&mut settings)),
        operator_namespace: Some("-".into()),
        ..read.properties
    };
    let joined = FieldError::join(read.unread, check("No_Name", &properties));
    let fields: Vec<_> = joined.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(
        fields[5..],
        ["name", "properties.operatorNamespace"],
        "{joined:?}"
    );
    for (body, field) in [
        ("{", "body"),
        ("[]", "body"),
        ("{}", "properties"),
        (r#"{"properties": []}"#, "properties"),
    ] {
        assert_eq!(
            PutRequest::parse(body.as_bytes(), ApiVersion::NEWEST).unwrap_err()[0].field,
            field,
            "{body}"
        );
    }
}

#[test]
fn the_first_preview_knows_no_credentials_and_writes_switches_as_text() {
    let body = |helm: &str| {
        format!(
            r#"{{"properties": {{"repositoryUrl": "{HTTPS}", "enableHelmOperator": {helm},
                "sshKnownHostsContents": 7, "configurationProtectedSettings": 7}}}}"#
        )
    };
    let first = ApiVersion::parse("2019-11-01-PREVIEW").unwrap();
    for (helm, wanted) in [
        ("\"true\"", Some(true)),
        ("\"False\"", Some(false)),
        ("true", Some(true)),
        ("\"\"", Some(false)),
        ("\"yes\"", None),
    ] {
        let read = PutRequest::parse(body(helm).as_bytes(), first);
        let Some(wanted) = wanted else {
            assert_eq!(read.unwrap_err().len(), 1, "{helm}");
            continue;
        };
        let read = read.unwrap();
        assert_eq!(read.properties.enable_helm_operator, Some(wanted), "{helm}");
        assert_eq!(read.properties.ssh_known_hosts_contents, None);
        assert_eq!(read.protected, ProtectedChange::Keep);
    }
    for name in &API_VERSIONS[1..] {
        let version = ApiVersion::parse(name).unwrap();
        let errors = PutRequest::parse(body("\"true\"").as_bytes(), version).unwrap_err();
        assert_eq!(errors.len(), 3, "{name}: {errors:?}");
    }
    assert_eq!(ApiVersion::parse("2021-09-01"), None);
}
