//! A world whose configurations come from a portal: the portal, an agent that follows it, and what
//! an administrator does in ARM, by the REST calls of any of ARM's clients.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use gitmoor_arm::ClusterId;
use gitmoor_crds::SourceControlConfigurationStatus;
use gitmoor_portal::{
    Portal, Store,
    identity::{Role, Token},
};
use reqwest::{
    Client, Method, StatusCode,
    header::{COOKIE, SET_COOKIE},
    redirect::Policy,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::OnceCell, time::sleep};
use uuid::Uuid;

use crate::{
    ConfigurationKey, World,
    proxy::Proxy,
    world::{Agent, LIMIT},
};

const CLUSTER: &str =
    "/subscriptions/s/resourceGroups/edge/providers/Microsoft.Kubernetes/connectedClusters/edge-07";

/// How such a world is to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// How many configurations the portal puts on a page, when not as many as it does by default.
    pub page_size: Option<u32>,
    /// How operators run.
    pub runtime: gitmoor_agent::Runtime,
}

/// A cluster, its portal, and an agent that reaches it through a proxy.
pub struct Arm {
    /// The control plane, with the agent, and the Git server.
    pub world: World,
    /// What stands between the agent and the portal.
    pub proxy: Proxy,
    /// The portal's store, to make principals in.
    pub store: Store,
    /// The token of an administrator.
    pub administrator: Token,
    /// The token of the agent.
    pub agent: Token,
    url: String,
    ca: String,
    settings: gitmoor_agent::Settings,
    running: Option<Agent>,
    _directory: TempDir,
}

/// An answer of the portal.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body; null when there is none.
    pub body: Value,
}

/// The one that tests share, each in namespaces of its own. Its operators run in the agent.
pub async fn arm() -> &'static Arm {
    static ARM: OnceCell<Arm> = OnceCell::const_new();
    let options = Options {
        runtime: gitmoor_agent::Runtime::InProcess,
        ..Options::default()
    };
    ARM.get_or_try_init(|| Arm::start(options))
        .await
        .expect("the cluster and its portal start")
}

impl Arm {
    /// Starts all of it.
    ///
    /// # Errors
    /// When a part of it does not start.
    pub async fn start(options: Options) -> Result<Self> {
        let world = World::without_agent().await?;
        let directory = tempfile::tempdir()?;
        let mut settings = gitmoor_portal::Settings {
            listen: ([127, 0, 0, 1], 0).into(),
            data_directory: directory.path().join("portal"),
            ..gitmoor_portal::Settings::default()
        };
        if let Some(size) = options.page_size {
            settings.limits.page_size = size.try_into().context("use the size of a page")?;
        }
        let portal = world.spawn(Portal::bind(settings)).await??;
        let url = format!("https://{}", portal.local_addr());
        let ca = portal.ca_pem().context("the portal has a CA")?.to_owned();
        let store = portal.store().clone();
        let ann = store
            .create_principal("ann", &"/subscriptions/s".parse()?, Role::Contributor)
            .await?;
        let administrator = token_of(&store, ann.id()).await?;
        let principal = store.create_agent(&CLUSTER.parse()?).await?;
        let agent = token_of(&store, principal.id()).await?;
        world.spawn(portal.serve(world.cancelled()));
        let proxy = {
            let (url, ca) = (url.clone(), ca.clone());
            let start = async move { Proxy::start(url, &ca).await };
            world.spawn(start).await??
        };
        fs::write(directory.path().join("secret"), principal.expose())?;
        let authorities = format!("{}\n{ca}", proxy.ca_pem());
        fs::write(directory.path().join("ca.crt"), authorities)?;
        let settings = gitmoor_agent::Settings {
            runtime: options.runtime,
            arm: Some(serde_json::from_value(json!({
                "clusterId": CLUSTER,
                "dataPlane": proxy.url(),
                "caFile": directory.path().join("ca.crt"),
                "credential": {"servicePrincipal": {
                    "tenantId": store.tenant(),
                    "clientId": principal.id(),
                    "clientSecretFile": directory.path().join("secret"),
                    // Not by the proxy, whose faults are those of the data plane.
                    "authority": url,
                }},
                "pollInterval": "1s",
                "requestTimeout": "3s",
            }))?),
            ..world.agent_settings()
        };
        let running = Some(world.start_agent(settings.clone()).await?);
        Ok(Self {
            world,
            proxy,
            store,
            administrator,
            agent,
            url,
            ca,
            settings,
            running,
            _directory: directory,
        })
    }

    /// Ends the agent and starts it again.
    ///
    /// # Errors
    /// When it does not end, or not start.
    pub async fn restart_agent(&mut self) -> Result<()> {
        if let Some(agent) = self.running.take() {
            agent.stop().await?;
        }
        self.running = Some(self.world.start_agent(self.settings.clone()).await?);
        Ok(())
    }

    /// The cluster's id.
    pub fn cluster(&self) -> ClusterId {
        CLUSTER.parse().expect("the text is a cluster's id")
    }

    /// Asks the portal for a path, with a token.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn ask(
        &self,
        token: &Token,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer> {
        let mut request = self
            .http()?
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(token.expose());
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.bytes().await?;
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&text).context("read the portal's answer")?
        };
        Ok(Answer { status, body })
    }

    /// Its connections end with the runtime, and each test has its own.
    fn http(&self) -> Result<Client> {
        let http = Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(self.ca.as_bytes())?])
            .redirect(Policy::none());
        Ok(http.build()?)
    }

    /// A page of the portal, as someone sees it who may write.
    ///
    /// # Errors
    /// When there is none.
    pub async fn page(&self, path: &str) -> Result<String> {
        let scope = "/subscriptions/s".parse()?;
        let store = &self.store;
        let eve = store
            .create_principal("eve", &scope, Role::Contributor)
            .await?;
        let code = store.create_sign_in_link(eve.id()).await?;
        let http = self.http()?;
        let signed_in = http
            .post(format!("{}/sign-in/link", self.url))
            .header("sec-fetch-site", "same-origin")
            .form(&[("code", code.expose())])
            .send()
            .await?;
        let cookies = signed_in.headers().get_all(SET_COOKIE).iter();
        let mut pairs = cookies.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
        let session = pairs.next_back().context("nobody is signed in")?.to_owned();
        let page = http.get(format!("{}{path}", self.url));
        let page = page.header(COOKIE, session).send().await?;
        ensure!(page.status() == StatusCode::OK, "{path}: {}", page.status());
        Ok(page.text().await?)
    }

    async fn administer(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let path = format!("{path}?api-version=2023-05-01");
        self.ask(&self.administrator, method, &path, body).await
    }

    fn path(&self, name: &str) -> Result<String> {
        let id = self.cluster().configuration(name)?;
        Ok(id.as_str().to_owned())
    }

    /// Creates or replaces a configuration.
    ///
    /// # Errors
    /// When the portal does not answer.
    pub async fn put(&self, name: &str, properties: &Value) -> Result<Answer> {
        let body = json!({"properties": properties});
        self.administer(Method::PUT, &self.path(name)?, Some(&body))
            .await
    }

    /// Reads one.
    ///
    /// # Errors
    /// When the portal does not answer.
    pub async fn show(&self, name: &str) -> Result<Answer> {
        self.administer(Method::GET, &self.path(name)?, None).await
    }

    /// Reads all.
    ///
    /// # Errors
    /// When the portal does not answer.
    pub async fn list(&self) -> Result<Answer> {
        self.administer(Method::GET, &self.cluster().configurations_path(), None)
            .await
    }

    /// Deletes one.
    ///
    /// # Errors
    /// When the portal does not answer.
    pub async fn delete(&self, name: &str) -> Result<Answer> {
        self.administer(Method::DELETE, &self.path(name)?, None)
            .await
    }

    /// The properties of a configuration that follows a repository of the world's Git server.
    pub fn properties(&self, repository: &str, namespace: &str, params: &str) -> Value {
        json!({
            "repositoryUrl": self.world.git.url(repository),
            "operatorNamespace": namespace,
            "operatorInstanceName": "shop",
            "operatorType": "Flux",
            "operatorScope": "namespace",
            "operatorParams": format!("--git-branch=main --git-poll-interval=5s {params}"),
        })
    }

    /// Creates or replaces a configuration, which the portal must accept.
    ///
    /// # Errors
    /// When it does not.
    pub async fn configure(&self, name: &str, properties: &Value) -> Result<ConfigurationKey> {
        let answer = self.put(name, properties).await?;
        ensure!(answer.status.is_success(), "PUT {name}: {answer:?}");
        let namespace = properties["operatorNamespace"].as_str();
        Ok(ConfigurationKey {
            namespace: namespace.context("name a namespace")?.to_owned(),
            name: name.to_owned(),
        })
    }

    /// Waits until a configuration is in the cluster, and its status as wanted.
    ///
    /// # Errors
    /// When it is not within the limit.
    pub async fn until(
        &self,
        key: &ConfigurationKey,
        what: &str,
        wanted: impl Fn(&SourceControlConfigurationStatus) -> bool,
    ) -> Result<SourceControlConfigurationStatus> {
        let api = self.world.configurations(&key.namespace);
        self.world
            .eventually(&format!("{key} is in the cluster"), || async {
                Ok(api.get_opt(&key.name).await?.is_some())
            })
            .await?;
        self.world.until(key, what, wanted).await
    }

    /// Waits until ARM says of a configuration what is wanted, and gives its `complianceStatus`
    /// with the `message` read.
    ///
    /// # Errors
    /// When it does not within the limit: with the last that it said.
    pub async fn compliance(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let start = Instant::now();
        loop {
            let mut body = self.show(name).await?.body;
            let mut said = body["properties"]["complianceStatus"].take();
            said["message"] = match said["message"].as_str() {
                Some(text) => serde_json::from_str(text).context("read the message")?,
                None => Value::Null,
            };
            if wanted(&said) {
                return Ok(said);
            }
            ensure!(
                start.elapsed() < LIMIT,
                "ARM does not say of {name} within {LIMIT:?}: {what}: {said:#}"
            );
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// A token of a principal.
///
/// # Errors
/// When the store cannot be read, or there is no such principal.
pub async fn token_of(store: &Store, principal: Uuid) -> Result<Token> {
    let token = store.issue_token(principal, None).await?;
    token.context("there is no such principal")
}

/// A protected setting as ARM takes it.
pub fn protected(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}
