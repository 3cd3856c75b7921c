//! `az`: a cloud of one's own is registered, a service principal logs in, and resources are made,
//! shown, listed and deleted.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use gitmoor_arm::ClusterId;
use gitmoor_clients::{SUBSCRIPTION, Site, program, run};
use gitmoor_portal::identity::Role;
use serde_json::{Value, json};

const PROVIDER: &str = "Microsoft.KubernetesConfiguration";

const KEY_AND_CERTIFICATE: [&str; 2] = [
    include_str!("../../../../portal/tests/portal/login/key.pem"),
    include_str!("../../../../portal/tests/portal/login/certificate.pem"),
];

/// `az`, with what every command of it needs.
struct Az<'a>(&'a Site);

impl Az<'_> {
    async fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut az = self.0.client("az", "az").await?;
        let output = ["--only-show-errors", "--output", "tsv"];
        run(az.args(arguments).args(output)).await
    }

    /// Why a command that must fail does.
    async fn refused(&self, arguments: &[&str]) -> Result<String> {
        let failed = self.run(arguments).await;
        let error = failed.err().context("nothing was refused")?;
        Ok(format!("{error:#}"))
    }

    async fn log_in(&self, arguments: &[&str]) -> Result<()> {
        let tenant = self.0.store.tenant().to_string();
        let login = ["login", "--service-principal", "--tenant", &tenant];
        let printed = self.run(&[&login[..], arguments].concat()).await?;
        ensure!(printed.contains(SUBSCRIPTION), "{printed}");
        Ok(())
    }
}

#[tokio::test]
async fn az_works_with_the_portal_as_a_cloud_of_its_own() -> Result<()> {
    let site = Site::start().await?;
    let az = Az(&site);
    let cloud = ["cloud", "register", "--name", "moor"];
    let endpoint = ["--endpoint-resource-manager", &site.url];
    az.run(&[&cloud[..], &endpoint].concat()).await?;
    az.run(&["cloud", "set", "--name", "moor"]).await?;

    // Nothing is there yet, and `az` wants a subscription.
    let everywhere = "/".parse()?;
    let root = site
        .store
        .create_principal("root", &everywhere, Role::Owner)
        .await?;
    let id = root.id().to_string();
    let login = ["login", "--service-principal", "--tenant", "adfs"];
    let printed = az
        .run(&[&login[..], &["-u", &id, "-p", root.expose()]].concat())
        .await?;
    ensure!(
        printed.contains("00000000-0000-0000-0000-000000000000"),
        "{printed}"
    );

    let ann = site.administrator.id().to_string();
    let wrong = ["login", "--service-principal", "-u", &ann, "-p", "wrong"];
    let wrong = az
        .refused(&[&wrong[..], &["--tenant", "adfs"]].concat())
        .await?;
    ensure!(wrong.contains("AADSTS7000215"), "{wrong}");
    az.log_in(&["-u", &ann, "-p", site.administrator.expose()])
        .await?;

    groups_and_clusters(&az).await?;
    configurations(&az).await?;
    roles(&az).await?;
    az.run(&["group", "delete", "--name", "edge", "--yes"])
        .await?;
    let exists = az.run(&["group", "exists", "--name", "edge"]).await?;
    assert_eq!(exists.trim(), "false");

    // Another one, by the key of a certificate.
    let file = site.folder.path().join("carol.pem");
    // A key and its certificate in one file, as `az` reads them.
    fs::write(&file, KEY_AND_CERTIFICATE.concat())?;
    let carol = site.certified(&file).await?.to_string();
    let file = file.display().to_string();
    az.log_in(&["-u", &carol, "--certificate", &file]).await?;
    let denied = az
        .refused(&["group", "create", "-n", "lab", "-l", "westeurope"])
        .await?;
    ensure!(denied.contains("AuthorizationFailed"), "{denied}");
    Ok(())
}

/// Someone is made on the portal's own database and gets a role from an owner.
async fn roles(az: &Az<'_>) -> Result<()> {
    let elsewhere = "/subscriptions/elsewhere".parse()?;
    let store = &az.0.store;
    let bob = store
        .create_principal("bob", &elsewhere, Role::Reader)
        .await?;
    let bob = bob.id().to_string();
    let scope = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/edge");
    let to = ["--assignee-object-id", &bob, "--scope", &scope];
    let kind = ["--assignee-principal-type", "ServicePrincipal"];
    let create = ["role", "assignment", "create", "--role", "Reader"];
    let create = [&create[..], &to, &kind, &["--query", "id"]].concat();
    let id = az.run(&create).await?;
    // It is there already, which is no fault.
    assert_eq!(az.run(&create).await?, id);
    let list = ["role", "assignment", "list"];
    let query = ["--query", "[].roleDefinitionName"];
    let listed = az.run(&[&list[..], &to, &query].concat()).await?;
    assert_eq!(listed.trim(), "Reader");
    let delete = ["role", "assignment", "delete", "--ids", id.trim()];
    az.run(&delete).await?;
    let listed = az.run(&[&list[..], &to, &query].concat()).await?;
    assert_eq!(listed.trim(), "");
    Ok(())
}

async fn groups_and_clusters(az: &Az<'_>) -> Result<()> {
    let group = [
        "group",
        "create",
        "--name",
        "edge",
        "--location",
        "westeurope",
    ];
    az.run(&[&group[..], &["--tags", "env=prod"]].concat())
        .await?;
    let name = az.run(&["group", "list", "--query", "[].name"]).await?;
    assert_eq!(name.trim(), "edge");
    for (tag, wanted) in [("env=prod", "edge"), ("env=test", "")] {
        let list = ["group", "list", "--query", "[].name", "--tag", tag];
        assert_eq!(az.run(&list).await?.trim(), wanted, "{tag}");
    }
    let registered = ["provider", "show", "--namespace", PROVIDER];
    let query = ["--query", "registrationState"];
    let state = az.run(&[&registered[..], &query].concat()).await?;
    assert_eq!(state.trim(), "Registered");

    let kind = ["--resource-type", "Microsoft.Kubernetes/connectedClusters"];
    let cluster = ["-g", "edge", "-n", "edge-07", "--api-version", "2024-01-01"];
    let body = r#"{"location": "westeurope", "identity": {"type": "None"}, "properties": {"agentPublicKeyCertificate": "MIIB"}}"#;
    let create = [
        "resource",
        "create",
        "--is-full-object",
        "--properties",
        body,
    ];
    az.run(&[&create[..], &cluster, &kind].concat()).await?;
    let listed = az
        .run(&["resource", "list", "-g", "edge", "--query", "[].name"])
        .await?;
    assert_eq!(listed.trim(), "edge-07");
    // Without an api-version the provider is asked for those that it has.
    let show = ["resource", "show", "-g", "edge", "-n", "edge-07"];
    let query = ["--query", "properties.connectivityStatus"];
    let state = az.run(&[&show[..], &kind, &query].concat()).await?;
    assert_eq!(state.trim(), "Connecting");
    let tag = [
        "resource", "tag", "-g", "edge", "-n", "edge-07", "--tags", "ring=1",
    ];
    let query = ["--query", "tags.ring"];
    let tagged = az.run(&[&tag[..], &kind, &query].concat()).await?;
    assert_eq!(tagged.trim(), "1");
    Ok(())
}

async fn configurations(az: &Az<'_>) -> Result<()> {
    let cluster = format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/edge/providers/Microsoft.Kubernetes/connectedClusters/edge-07"
    );
    let list = format!("{cluster}/providers/{PROVIDER}/sourceControlConfigurations");
    let at = |name: &str| format!("{list}/{name}?api-version=2023-05-01");
    let body = r#"{"properties": {"repositoryUrl": "https://git.example.net/blue.git"}}"#;
    let state = ["--query", "properties.complianceStatus.complianceState"];
    for name in ["blue", "green", "red"] {
        let url = at(name);
        let put = ["rest", "--method", "put", "--url", &url, "--body", body];
        let made = az.run(&[&put[..], &state].concat()).await?;
        assert_eq!(made.trim(), "Pending");
    }
    let url = at("").replace("/?", "?");
    let listed = ["rest", "--url", &url, "--query", "value[].name"];
    assert_eq!(az.run(&listed).await?, "blue\ngreen\n");
    let wrong = [
        "rest",
        "--method",
        "put",
        "--url",
        &at("Wrong"),
        "--body",
        r#"{"properties": {}}"#,
    ];
    let wrong = az.refused(&wrong).await?;
    ensure!(
        wrong.contains("properties.repositoryUrl") && wrong.contains("name"),
        "{wrong}"
    );

    let id = format!("{list}/yellow");
    let one = ["--id", &id, "--api-version", "2023-05-01"];
    let properties = r#"{"repositoryUrl": "https://git.example.net/yellow.git"}"#;
    let create = [
        "resource",
        "create",
        "--location",
        "global",
        "-p",
        properties,
    ];
    az.run(&[&create[..], &one].concat()).await?;
    let one = ["--ids", &id];
    let shown = az
        .run(&[&["resource", "show"], &one[..], &state].concat())
        .await?;
    assert_eq!(shown.trim(), "Pending");
    az.run(&[&["resource", "delete"], &one[..]].concat())
        .await?;
    let gone = az
        .refused(&[&["resource", "show"], &one[..]].concat())
        .await?;
    ensure!(
        gone.contains("ResourceNotFound") && gone.contains("'yellow'"),
        "{gone}"
    );
    copied(az).await?;
    for name in ["blue", "green", "red"] {
        let url = at(name);
        az.run(&["rest", "--method", "delete", "--url", &url])
            .await?;
    }
    secrets(az).await
}

/// A command of the page, as one would copy it: its id, and what is filled into the page's form.
async fn command(az: &Az<'_>, path: &str, id: &str, filled: &[&str]) -> Result<String> {
    let store = &az.0.store;
    let link = store.create_sign_in_link(az.0.administrator.id()).await?;
    let mut python = az.0.client("az", "python").await?;
    python.arg(program("command.py"));
    run(python.args([link.expose(), path, id]).args(filled)).await
}

/// The page's command for a shell does what its button does, as long as nobody changed anything.
async fn copied(az: &Az<'_>) -> Result<()> {
    let page = format!("/clusters/{SUBSCRIPTION}/edge/connectedClusters/edge-07/blue");
    let command = command(az, &page, "suspend-az", &[]).await?;
    let shell = async || {
        // The folder of `az` is the first in its path.
        let mut bash = az.0.client("az", "/bin/bash").await?;
        run(bash.args(["-eu", "-c", &command])).await
    };
    let done = shell().await?;
    ensure!(done.contains("--gitmoor-suspend"), "{command}\n{done}");
    let again = shell().await.err().context("it wrote over a change")?;
    let again = format!("{again:#}");
    ensure!(again.contains("PreconditionFailed"), "{again}");
    Ok(())
}

/// The command that the form gives takes its secrets from the shell's variables, and they reach the
/// agent; `az resource update` writes back the `{}` that it has read, which clears them.
async fn secrets(az: &Az<'_>) -> Result<()> {
    let cluster = format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/edge/providers/Microsoft.Kubernetes/connectedClusters/edge-07"
    );
    let cluster: ClusterId = cluster.parse()?;
    let store = &az.0.store;
    let agent = store.create_agent(&cluster).await?;
    let token = store.issue_token(agent.id(), None).await?;
    let token = token.context("the agent was just made")?;
    let listed = async || -> Result<Value> {
        let mut curl = az.0.client("az", "/bin/bash").await?;
        let url = format!("{}{}", az.0.url, cluster.data_plane_path());
        let command = r#"curl -fsS --cacert "$PORTAL_CA" -H "Authorization: Bearer $TOKEN" "$URL""#;
        curl.env("TOKEN", token.expose()).env("URL", url);
        let list = run(curl.args(["-eu", "-c", command])).await?;
        let mut list: Value = serde_json::from_str(&list)?;
        let settings = "/value/0/properties/configurationProtectedSettings";
        Ok(list
            .pointer_mut(settings)
            .map(Value::take)
            .unwrap_or_default())
    };

    let filled = [
        &format!("cluster={cluster}"),
        "name=pink",
        "repositoryUrl=https://git.example.net/pink.git",
        "operatorScope=namespace",
        "credentials=https",
        "httpsUser=as typed",
        "httpsKey=as typed",
    ];
    let put = command(az, "/create", "put-az", &filled).await?;
    let mut bash = az.0.client("az", "/bin/bash").await?;
    bash.env("HTTPS_USER", "bot");
    bash.env("HTTPS_KEY", r#"'"$ of the shell"#);
    let done = run(bash.args(["-eu", "-c", &put])).await?;
    ensure!(done.contains("\"name\": \"pink\""), "{put}\n{done}");
    let wanted = json!({"httpsUser": "Ym90", "httpsKey": "JyIkIG9mIHRoZSBzaGVsbA=="});
    assert_eq!(listed().await?, wanted);

    let one = cluster.configuration("pink")?;
    let update = ["resource", "update", "--ids", one.as_str()];
    let set = ["--set", "properties.operatorParams=--git-branch=next"];
    let state = ["--query", "properties.complianceStatus.complianceState"];
    let updated = az.run(&[&update[..], &set, &state].concat()).await?;
    assert_eq!(updated.trim(), "Pending");
    assert_eq!(listed().await?, json!({}));
    Ok(())
}
