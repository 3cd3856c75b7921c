//! A portal in a temporary directory, and a caller that trusts its CA.

use std::{fs, future::Future, path::Path, time::Duration};

use gitmoor_arm::ClusterId;
use gitmoor_portal::{
    Location, Portal, Rate, Settings, Store, Throttling,
    identity::{Role, Token},
};
use gitmoor_postgres::Postgres;
use reqwest::{Certificate, Client, ClientBuilder, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use sqlx::Connection as _;
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Engine;

pub(super) const SUBSCRIPTION: &str = "/subscriptions/3f1c";
pub(super) const CLUSTER: &str = "/subscriptions/3f1c/resourceGroups/edge/providers/Microsoft.Kubernetes/connectedClusters/edge-07";
pub(super) const OTHER_CLUSTER: &str = "/subscriptions/3f1c/resourceGroups/edge/providers/Microsoft.Kubernetes/connectedClusters/edge-08";
pub(super) const VERSION: &str = "2023-05-01";

/// How long anything may take before a test gives up.
const LIMIT: Duration = Duration::from_secs(30);

/// A running portal. Dropped, it ends at once; [`Server::stop`] ends it in order.
pub(super) struct Server {
    pub(super) store: Store,
    pub(super) url: String,
    pub(super) ca: Option<String>,
    #[allow(dead_code, reason = "not by the tests of every engine")]
    pub(super) address: std::net::SocketAddr,
    directory: TempDir,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(super) async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::start_in(TempDir::new().unwrap(), change).await
    }

    pub(super) async fn start_in(directory: TempDir, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = settings(directory.path());
        change(&mut settings);
        let portal = Portal::bind(settings).await.unwrap();
        let cancel = CancellationToken::new();
        let address = portal.local_addr();
        Self {
            store: portal.store().clone(),
            url: format!("https://{address}"),
            ca: portal.ca_pem().map(str::to_owned),
            address,
            directory,
            cancel: cancel.clone(),
            task: tokio::spawn(portal.serve(cancel)),
        }
    }

    /// Ends the portal and gives the directory back, for the next one.
    pub(super) async fn stop(mut self) -> TempDir {
        self.cancel.cancel();
        within(&mut self.task).await.unwrap();
        std::mem::replace(&mut self.directory, TempDir::new().unwrap())
    }

    /// A caller who may do everything to every cluster of the tests.
    pub(super) async fn contributor(&self) -> Caller {
        self.principal(SUBSCRIPTION, Role::Contributor).await
    }

    pub(super) async fn principal(&self, scope: &str, role: Role) -> Caller {
        self.caller(&self.token("alice", scope, role).await)
    }

    pub(super) async fn agent(&self, cluster: &str) -> Caller {
        let cluster: ClusterId = cluster.parse().unwrap();
        let secret = self.store.create_agent(&cluster).await.unwrap();
        self.caller(&self.token_of(secret.id()).await)
    }

    /// The token of a new principal.
    pub(super) async fn token(&self, name: &str, scope: &str, role: Role) -> Token {
        let scope = scope.parse().unwrap();
        let secret = self.store.create_principal(name, &scope, role).await;
        self.token_of(secret.unwrap().id()).await
    }

    pub(super) async fn token_of(&self, id: Uuid) -> Token {
        self.store.issue_token(id, None).await.unwrap().unwrap()
    }

    pub(super) fn caller(&self, token: &Token) -> Caller {
        Caller::new(&self.url, self.ca.as_deref().unwrap(), token.expose())
    }

    /// The same portal after a while, of which the database is told by these statements.
    pub(super) async fn after(self, statements: &[&'static str]) -> Self {
        let directory = self.stop().await;
        sqlx::any::install_default_drivers();
        let url = match super::ENGINE {
            Engine::Sqlite => format!("sqlite://{}/portal.db", directory.path().display()),
            Engine::Postgres => fs::read_to_string(directory.path().join("postgres-url")).unwrap(),
        };
        let mut database = sqlx::AnyConnection::connect(&url).await.unwrap();
        for statement in statements {
            sqlx::query(*statement)
                .execute(&mut database)
                .await
                .unwrap();
        }
        database.close().await.unwrap();
        Self::start_in(directory, |_| {}).await
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

pub(super) fn settings(directory: &Path) -> Settings {
    let mut settings = Settings {
        listen: ([127, 0, 0, 1], 0).into(),
        data_directory: directory.to_owned(),
        database: (super::ENGINE == Engine::Postgres).then(|| on_postgres(directory)),
        ..Settings::default()
    };
    // Tests call as quickly as they can.
    let often = 1_000_000.try_into().unwrap();
    let rate = Rate {
        burst: often,
        per_second: often,
    };
    settings.limits.throttling = Throttling {
        reads: rate,
        writes: rate,
        deletes: rate,
    };
    settings
}

fn on_postgres(directory: &Path) -> Location {
    let file = directory.join("postgres-url");
    let url = fs::read_to_string(&file).unwrap_or_else(|_| {
        let url = Postgres::shared().unwrap().fresh().unwrap();
        fs::write(&file, &url).unwrap();
        url
    });
    Location::parse(&url).unwrap()
}

/// Someone with a token.
#[derive(Clone)]
pub(super) struct Caller {
    client: Client,
    url: String,
    token: String,
}

impl Caller {
    pub(super) fn new(url: &str, ca: &str, token: &str) -> Self {
        Self {
            client: client(ca).build().unwrap(),
            url: url.to_owned(),
            token: token.to_owned(),
        }
    }

    /// The same caller, who calls another portal.
    #[allow(dead_code, reason = "not by the tests of every engine")]
    pub(super) fn at(&self, server: &Server) -> Self {
        Self::new(&server.url, server.ca.as_deref().unwrap(), &self.token)
    }

    pub(super) async fn send(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        self.send_with(method, path, body, &[]).await
    }

    pub(super) async fn send_with(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Body>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let request = self.request(method, path, body);
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        Answer::read(request.send().await.unwrap()).await.unwrap()
    }

    /// The answer to a PUT, or nothing when the portal is gone.
    pub(super) async fn try_put(&self, path: &str, body: impl Into<Body>) -> Option<Answer> {
        let request = self.request(Method::PUT, path, body);
        let response = request.send().await.ok()?;
        Answer::read(response).await.ok()
    }

    fn request(&self, method: Method, path: &str, body: impl Into<Body>) -> RequestBuilder {
        let request = self
            .client
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(&self.token);
        match body.into() {
            Body::None => request,
            Body::Json(body) => request.json(&body),
            Body::Bytes(body) => request.body(body),
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, Body::None).await
    }

    pub(super) async fn put(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.send(Method::PUT, path, body).await
    }

    pub(super) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, Body::None).await
    }

    /// All items of a list, and how many each page had.
    pub(super) async fn pages(&self, path: &str) -> (Vec<Value>, Vec<usize>) {
        let mut next = Some(path.to_owned());
        let (mut items, mut sizes) = (Vec::new(), Vec::new());
        while let Some(path) = next {
            let answer = self.get(&path).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
            let page = answer.body["value"].as_array().unwrap();
            sizes.push(page.len());
            items.extend(page.iter().cloned());
            next = answer.body["nextLink"]
                .as_str()
                .map(|link| link.strip_prefix(&self.url).unwrap().to_owned());
        }
        (items, sizes)
    }
}

/// The body of a request.
pub(super) enum Body {
    None,
    Json(Value),
    Bytes(Vec<u8>),
}

impl From<Value> for Body {
    fn from(body: Value) -> Self {
        Self::Json(body)
    }
}

impl From<Vec<u8>> for Body {
    fn from(body: Vec<u8>) -> Self {
        Self::Bytes(body)
    }
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) text: String,
    /// The text as JSON; null when it is none.
    pub(super) body: Value,
}

impl Answer {
    async fn read(response: Response) -> reqwest::Result<Self> {
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        Ok(Self {
            status,
            headers,
            body: serde_json::from_str(&text).unwrap_or_default(),
            text,
        })
    }

    /// The status and ARM's code of an answer that is no success.
    pub(super) fn error(&self) -> (u16, &str) {
        let code = self.body["error"]["code"].as_str().unwrap_or_default();
        (self.status.as_u16(), code)
    }

    /// The fields that an error names.
    pub(super) fn targets(&self) -> Vec<&str> {
        let details = self.body["error"]["details"].as_array().unwrap();
        let targets = details.iter().map(|one| one["target"].as_str());
        targets.map(Option::unwrap).collect()
    }
}

/// A client that trusts `ca` and nobody else.
pub(super) fn client(ca: &str) -> ClientBuilder {
    // An error says only that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .tls_certs_only([Certificate::from_pem(ca.as_bytes()).unwrap()])
        .no_proxy()
        .timeout(LIMIT)
}

/// The path of the configuration of that name, for the ARM API.
pub(super) fn configuration(cluster: &str, name: &str) -> String {
    format!("{}/{name}", list_path(cluster))
}

/// The same with the api-version.
pub(super) fn versioned(cluster: &str, name: &str) -> String {
    format!("{}?api-version={VERSION}", configuration(cluster, name))
}

pub(super) fn list_path(cluster: &str) -> String {
    format!("{cluster}/providers/Microsoft.KubernetesConfiguration/sourceControlConfigurations")
}

pub(super) fn versioned_list(cluster: &str) -> String {
    format!("{}?api-version={VERSION}", list_path(cluster))
}

pub(super) fn data_plane(cluster: &str) -> String {
    format!("/dataplane/v1{cluster}/configurations")
}

/// The least body that is right.
pub(super) fn body(url: &str) -> Value {
    json!({"properties": {"repositoryUrl": url}})
}

/// Waits for something that must come soon.
pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.expect("it takes too long")
}
