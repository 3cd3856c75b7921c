//! A portal with an administrator, and ARM's own clients to ask it: programs of others, from PyPI,
//! unchanged, in environments that `install` makes.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gitmoor_portal::{
    Portal, Rate, Settings, Store, Throttling,
    identity::{Certificate, ClientSecret, Role},
};
use tempfile::TempDir;
use tokio::{process::Command, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The subscription of the tests.
pub const SUBSCRIPTION: &str = "6a8f3c1e-0b5d-4a77-9c21-5d1f0e7b2a90";

/// How long a client may take; `az` needs some seconds for each command, more on a loaded machine.
const LIMIT: Duration = Duration::from_secs(300);

/// How long all of the clients may take to install, when nobody has before.
const INSTALL_LIMIT: Duration = Duration::from_secs(30 * 60);

/// A portal in this process, over TLS with a CA of its own, with pages of two so that clients must
/// follow links.
pub struct Site {
    /// Its store.
    pub store: Store,
    /// Its address.
    pub url: String,
    /// The file of its CA.
    pub ca: PathBuf,
    /// Who may write everything in [`SUBSCRIPTION`].
    pub administrator: ClientSecret,
    /// A folder that goes with it.
    pub folder: TempDir,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.task.abort();
    }
}

impl Site {
    /// Starts it.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start() -> Result<Self> {
        Self::start_with(|_| Ok(())).await
    }

    /// The same with other settings.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_with(change: impl FnOnce(&mut Settings) -> Result<()>) -> Result<Self> {
        // Another test of this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir()?;
        let mut settings = Settings {
            listen: ([127, 0, 0, 1], 0).into(),
            data_directory: folder.path().join("portal"),
            ..Settings::default()
        };
        settings.limits.page_size = 2.try_into().context("use the size of a page")?;
        // Clients call as quickly as they can.
        let often = 1_000_000.try_into().context("use a rate")?;
        let rate = Rate {
            burst: often,
            per_second: often,
        };
        settings.limits.throttling = Throttling {
            reads: rate,
            writes: rate,
            deletes: rate,
        };
        change(&mut settings)?;
        let portal = Portal::bind(settings).await?;
        let url = format!("https://localhost:{}", portal.local_addr().port());
        let store = portal.store().clone();
        let scope = format!("/subscriptions/{SUBSCRIPTION}").parse()?;
        let administrator = store.create_principal("ann", &scope, Role::Owner).await?;
        let ca = folder.path().join("portal/ca.pem");
        let cancel = CancellationToken::new();
        let task = tokio::spawn(portal.serve(cancel.clone()));
        Ok(Self {
            store,
            url,
            ca,
            administrator,
            folder,
            cancel,
            task,
        })
    }

    /// A token of someone who may do everything everywhere.
    ///
    /// # Errors
    /// When there is none to be had.
    pub async fn token_of_owner(&self) -> Result<String> {
        let everywhere = "/".parse()?;
        let store = &self.store;
        let owner = store
            .create_principal("olga", &everywhere, Role::Owner)
            .await?;
        let token = store.issue_token(owner.id(), None).await?;
        let token = token.context("the owner was just made")?;
        Ok(token.expose().to_owned())
    }

    /// Makes a principal that proves itself by the certificate of a PEM file.
    ///
    /// # Errors
    /// When the file holds none.
    pub async fn certified(&self, certificate: &Path) -> Result<Uuid> {
        let pem = fs::read(certificate).with_context(|| certificate.display().to_string())?;
        let certificate = Certificate::from_pem(&pem)?;
        let scope = format!("/subscriptions/{SUBSCRIPTION}").parse()?;
        let store = &self.store;
        let id = store
            .create_principal_with_certificate("carol", &scope, Role::Reader, &certificate)
            .await?;
        Ok(id)
    }

    /// A program of an environment, told of the portal.
    ///
    /// # Errors
    /// When the environment cannot be made.
    pub async fn client(&self, environment: &str, program: &str) -> Result<Command> {
        let folder = install(environment).await?;
        let mut command = Command::new(folder.join("bin").join(program));
        let configuration = self.folder.path().join("azure");
        command
            .current_dir(self.folder.path())
            .env("PATH", search_path(&folder))
            .env("PORTAL_URL", &self.url)
            .env("PORTAL_CA", &self.ca)
            .env("PORTAL_TENANT", self.store.tenant().to_string())
            .env("PORTAL_SUBSCRIPTION", SUBSCRIPTION)
            .env("PORTAL_CLIENT", self.administrator.id().to_string())
            .env("PORTAL_SECRET", self.administrator.expose())
            .env("REQUESTS_CA_BUNDLE", &self.ca)
            .env("NO_PROXY", "localhost")
            .env("AZURE_CONFIG_DIR", configuration)
            .env("AZURE_CORE_COLLECT_TELEMETRY", "0")
            .env("AZURE_CORE_NO_COLOR", "1")
            .env("PYTHONWARNINGS", "ignore");
        Ok(command)
    }
}

/// The folder of an environment, which is made when it is not there.
///
/// # Errors
/// When it cannot be made.
pub async fn install(environment: &str) -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("install");
    let mut command = Command::new(script);
    command.arg(environment).stderr(Stdio::inherit());
    command.kill_on_drop(true);
    let output = timeout(INSTALL_LIMIT, command.output()).await;
    let output = output.with_context(|| format!("install {environment} in time"))??;
    ensure!(output.status.success(), "install {environment}");
    Ok(String::from_utf8(output.stdout)?.trim().into())
}

fn search_path(folder: &Path) -> String {
    let rest = env::var("PATH").unwrap_or_default();
    format!("{}:{rest}", folder.join("bin").display())
}

/// What a program printed, which must have succeeded.
///
/// # Errors
/// When it does not end in time, or fails: with all that it printed.
pub async fn run(command: &mut Command) -> Result<String> {
    let what = format!("{:?}", command.as_std());
    let what: String = what.rsplit("/bin/").next().unwrap_or_default().into();
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(LIMIT, command.output()).await;
    let output = output.with_context(|| format!("{what} does not end"))??;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{what} failed:\n{printed}\n{errors}"
    );
    Ok(printed)
}

/// A Python program of this crate's tests.
pub fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("python")
        .join(name)
}
