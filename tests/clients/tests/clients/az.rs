//! `az`: a cloud of one's own is registered, a service principal logs in, and resources are made,
//! shown, listed and deleted.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use gitmoor_clients::{SUBSCRIPTION, Site, program, run};
use gitmoor_portal::identity::Role;

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
    Ok(())
}

/// The page's command for a shell does what its button does, as long as nobody changed anything.
async fn copied(az: &Az<'_>) -> Result<()> {
    let store = &az.0.store;
    let link = store.create_sign_in_link(az.0.administrator.id()).await?;
    let page = format!("/clusters/{SUBSCRIPTION}/edge/connectedClusters/edge-07/blue");
    let mut python = az.0.client("az", "python").await?;
    python.arg(program("command.py"));
    python.args([link.expose(), &page, "suspend-az"]);
    let command = run(&mut python).await?;
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
