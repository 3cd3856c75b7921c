//! Everything that the demo runs on: a control plane with Gitmoor installed, a portal, an agent and
//! a Git server, in one folder that goes with them.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use gitmoor_arm::ClusterId;
use gitmoor_cluster::{Cluster, Mark, Request};
use gitmoor_crds::{SourceControlConfiguration, SourceControlConfigurationStatus};
use gitmoor_git::{Repository, Server, ServerOptions};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    Terminal,
    child::{Child, without_settings},
    portal::Portal,
};

/// How long a step may take; a loaded machine is slow.
const LIMIT: Duration = Duration::from_secs(120);

/// How often to look whether something has happened.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// What this cluster is called in ARM.
const CLUSTER: &str =
    "/subscriptions/demo/resourceGroups/demo/providers/Microsoft.Kubernetes/connectedClusters/demo";

/// Everything that runs. Dropped, it ends and its folder is removed.
pub struct Stage {
    // Dropped in this order: what writes into the folder before the folder, which is the cluster's.
    agent: Child,
    portal: Child,
    git: Server,
    cluster: Cluster,
    /// An administrator of the cluster.
    pub(crate) client: Client,
    /// An administrator in ARM.
    pub(crate) arm: Portal,
    /// The repository of two teams.
    pub(crate) repository: Repository,
    /// Where everything is.
    pub(crate) folder: PathBuf,
}

impl Stage {
    /// Starts everything. To be called on the main thread, and dropped there.
    ///
    /// # Errors
    /// When a part of it does not start.
    pub async fn start(terminal: &Terminal) -> Result<Self> {
        let gitmoor = program()?;
        let start = Instant::now();
        let cluster = Cluster::start().await?;
        let kubernetes = gitmoor_cluster::kubernetes_version();
        let url = cluster.url();
        terminal.say(&format!("Kubernetes {kubernetes}  {url}{}", after(start)));
        // It is removed also when the demo is killed.
        let folder = cluster.directory().join("demo");
        fs::create_dir(&folder).with_context(|| format!("create {}", folder.display()))?;
        write_kubectl(&cluster, &folder)?;
        install(&cluster, &folder).await?;

        let start = Instant::now();
        let git = ServerOptions {
            directory: Some(folder.join("git")),
            ..ServerOptions::default()
        };
        let git = Server::start(git).await?;
        let repository = git.create("teams")?;
        repository.commit_directory(&crate::repository(), "What two teams run")?;
        let url = git.url("teams");
        terminal.say(&format!("Git repository     {url}{}", after(start)));

        let start = Instant::now();
        let (mut portal, url) = start_portal(&gitmoor, &folder).await?;
        terminal.say(&format!("portal             {url}{}", after(start)));
        let cluster_id: ClusterId = CLUSTER.parse()?;
        let scope = ["--name", "you", "--scope", CLUSTER, "--role", "contributor"];
        let you = make_principal(&gitmoor, &folder, &scope)?;
        let id = text(&you, "clientId")?;
        // Good for as long as anyone keeps the demo open.
        let token = administer(&gitmoor, &folder, &["token", id, "--minutes", "1440"])?;
        fs::write(folder.join("token"), &token).context("write a token")?;
        portal.alive()?;
        let ca = fs::read(folder.join("portal/ca.pem")).context("read the portal's CA")?;
        let arm = Portal::new(url.clone(), &ca, cluster_id, token)?;

        let agent = start_agent(&gitmoor, &folder, &cluster, &url).await?;
        terminal.say("agent              with the rights of examples/install/agent.yaml");
        terminal.say(&format!("all of it          in {}", folder.display()));
        let client = cluster.admin_client();
        Ok(Self {
            agent,
            portal,
            git,
            cluster,
            client,
            arm,
            repository,
            folder,
        })
    }

    /// The address of the repository.
    pub(crate) fn repository_url(&self) -> String {
        self.git.url("teams")
    }

    /// Runs `kubectl` as an administrator, showing the command and what it prints, errors included.
    pub(crate) async fn kubectl(&self, terminal: &Terminal, arguments: &[&str]) -> Result<String> {
        let typed = arguments.iter().map(|word| quoted(word));
        let typed = typed.collect::<Vec<_>>().join(" ");
        terminal.command(&format!("kubectl {typed}"));
        let output = self.cluster.kubectl(arguments).output().await;
        let output = output.context("run kubectl")?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        terminal.output(&text);
        Ok(text)
    }

    /// The status of a team's configuration; both have the team's name.
    pub(crate) async fn status(&self, team: &str) -> Result<SourceControlConfigurationStatus> {
        let api: Api<SourceControlConfiguration> = Api::namespaced(self.client.clone(), team);
        let object = api.get_opt(team).await?;
        Ok(object.and_then(|object| object.status).unwrap_or_default())
    }

    /// A place in the log of what the API server was asked.
    pub(crate) fn mark(&self) -> Result<Mark> {
        Ok(self.cluster.audit().mark()?)
    }

    /// What a team's operator has asked about an object since, watches left out.
    pub(crate) async fn requests_about(
        &self,
        team: &str,
        object: &str,
        mark: Mark,
    ) -> Result<Vec<Request>> {
        let operator = format!("system:serviceaccount:{team}:gitmoor-operator");
        let mut requests = self.cluster.audit().since(mark).await?;
        requests.retain(|one| one.user == operator && one.name == object && one.verb != "watch");
        Ok(requests)
    }

    /// Waits until an answer is there.
    pub(crate) async fn until<T>(
        &mut self,
        what: &str,
        mut ask: impl AsyncFnMut(&Self) -> Result<Option<T>>,
    ) -> Result<T> {
        let start = Instant::now();
        loop {
            if let Some(answer) = ask(self).await.with_context(|| what.to_owned())? {
                return Ok(answer);
            }
            self.alive()?;
            if start.elapsed() > LIMIT {
                bail!("not within {} s: {what}", LIMIT.as_secs());
            }
            // So that the time that is told is right to a few per cent.
            let wait = start.elapsed() / 20;
            sleep(wait.clamp(SHORTEST_WAIT, LONGEST_WAIT)).await;
        }
    }

    /// Fails when the portal or the agent has ended.
    pub(crate) fn alive(&mut self) -> Result<()> {
        self.portal.alive()?;
        self.agent.alive()
    }

    /// The last that the agent and the portal have logged.
    pub fn logs(&self) -> String {
        let (agent, portal) = (self.agent.tail(), self.portal.tail());
        format!("-- the agent's log:\n{agent}\n-- the portal's log:\n{portal}")
    }
}

/// `gitmoor`, which the Makefile builds beside this program.
fn program() -> Result<PathBuf> {
    let own = env::current_exe().context("find the demo's own program")?;
    let program = own.with_file_name("gitmoor");
    if !program.exists() {
        bail!(
            "there is no {}: build it with `cargo build -p gitmoor`",
            program.display()
        );
    }
    Ok(program)
}

/// A `kubectl` for the person at the terminal, who need not have one.
fn write_kubectl(cluster: &Cluster, folder: &Path) -> Result<()> {
    let script = format!(
        "#!/bin/sh\nKUBECONFIG={} KUBECACHEDIR={} exec {} kubectl \"$@\"\n",
        quoted(&cluster.kubeconfig().display().to_string()),
        quoted(&folder.join("kubectl-cache").display().to_string()),
        quoted(&gitmoor_cluster::program()?.display().to_string()),
    );
    let path = folder.join("kubectl");
    fs::write(&path, script).context("write a script for kubectl")?;
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&path, executable).context("make a script executable")
}

/// What an administrator does once: the resource's definition, then the agent's rights.
async fn install(cluster: &Cluster, folder: &Path) -> Result<()> {
    let definition = folder.join("definition.yaml");
    fs::write(&definition, gitmoor_crds::definition_yaml()).context("write the definition")?;
    for file in [definition, crate::installation()] {
        let file = file.display().to_string();
        kubectl(cluster, &["apply", "--server-side", "-f", &file]).await?;
    }
    let name = "crd/sourcecontrolconfigurations.gitmoor.io";
    kubectl(cluster, &["wait", "--for=condition=Established", name]).await?;
    Ok(())
}

async fn kubectl(cluster: &Cluster, arguments: &[&str]) -> Result<String> {
    let output = cluster.kubectl(arguments).output().await;
    let output = output.context("run kubectl")?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("kubectl {}: {error}", arguments.join(" "));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Starts a portal on a free port, and gives its address.
async fn start_portal(gitmoor: &Path, folder: &Path) -> Result<(Child, String)> {
    let data = folder.join("portal");
    let data = data.display().to_string();
    let arguments = [
        "--log-format",
        "json",
        "portal",
        "--data-directory",
        &data,
        "--listen",
        "127.0.0.1:0",
    ];
    let mut portal = Child::start("the portal", gitmoor, &arguments, folder.join("portal.log"))?;
    let start = Instant::now();
    loop {
        let log = portal.log();
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let address = lines.into_iter().find_map(|line: Value| {
            let address = line["address"].as_str()?;
            (line["message"] == "the portal is ready").then(|| format!("https://{address}"))
        });
        if let Some(address) = address {
            return Ok((portal, address));
        }
        portal.alive()?;
        if start.elapsed() > LIMIT {
            bail!(
                "the portal is not ready after {} s:\n{log}",
                LIMIT.as_secs()
            );
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Makes a principal, as the portal's administrator does.
fn make_principal(gitmoor: &Path, folder: &Path, whose: &[&str]) -> Result<Value> {
    let made = administer(gitmoor, folder, &[&["principal", "create"], whose].concat())?;
    serde_json::from_str(&made).context("read a principal")
}

fn text<'a>(value: &'a Value, field: &str) -> Result<&'a str> {
    let text = value[field].as_str();
    text.with_context(|| format!("a principal has no {field}"))
}

/// Runs a command of the portal's on its database.
fn administer(gitmoor: &Path, folder: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(gitmoor);
    without_settings(&mut command);
    command
        .args(["portal", "--data-directory"])
        .arg(folder.join("portal"))
        .args(arguments);
    let attempt = || format!("run gitmoor portal {}", arguments.join(" "));
    let output = command.output().with_context(attempt)?;
    if !output.status.success() {
        bail!("{}: {}", attempt(), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Starts an agent as its ServiceAccount, with operators in its process: no Pod runs here.
async fn start_agent(
    gitmoor: &Path,
    folder: &Path,
    cluster: &Cluster,
    portal: &str,
) -> Result<Child> {
    let principal = make_principal(gitmoor, folder, &["--cluster", CLUSTER])?;
    let secret_file = folder.join("agent-secret");
    let secret = text(&principal, "clientSecret")?;
    fs::write(&secret_file, secret).context("write the agent's secret")?;
    let account = ["-n", "gitmoor-system", "create", "token", "gitmoor-agent"];
    let token = kubectl(cluster, &[&account[..], &["--duration=24h"]].concat()).await?;
    let authority = folder.join("ca.pem");
    fs::write(&authority, cluster.ca_pem()).context("write the cluster's CA")?;
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "demo", "cluster": {
            "server": cluster.url(), "certificate-authority": authority,
        }}],
        "users": [{"name": "gitmoor-agent", "user": {"token": token.trim()}}],
        "contexts": [{"name": "demo", "context": {"cluster": "demo", "user": "gitmoor-agent"}}],
        "current-context": "demo",
    });
    let settings = json!({
        "runtime": "inProcess",
        "operator": {"allowHttp": true, "directory": folder.join("operators")},
        "arm": {
            "clusterId": CLUSTER,
            "dataPlane": portal,
            "caFile": folder.join("portal/ca.pem"),
            "credential": {"servicePrincipal": {
                "tenantId": principal["tenantId"],
                "clientId": principal["clientId"],
                "clientSecretFile": secret_file,
                "authority": portal,
            }},
            "pollInterval": "5s",
        },
    });
    let write = |name: &str, value: &Value| -> Result<String> {
        let path = folder.join(name);
        fs::write(&path, format!("{value:#}\n")).with_context(|| format!("write {name}"))?;
        Ok(path.display().to_string())
    };
    let kubeconfig = write("agent.kubeconfig", &kubeconfig)?;
    let settings = write("agent.yaml", &settings)?;
    let arguments = [
        "--log-format",
        "text",
        "agent",
        "--kubeconfig",
        &kubeconfig,
        "--config",
        &settings,
    ];
    Child::start("the agent", gitmoor, &arguments, folder.join("agent.log"))
}

fn after(start: Instant) -> String {
    format!("  (after {:.1} s)", start.elapsed().as_secs_f32())
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:@".contains(c);
    match word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}
