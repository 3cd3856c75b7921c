//! A portal with ten thousand agents: what their calls cost it, and how long they wait, on either
//! database.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use axum::{Router, routing::get};
use futures::{StreamExt as _, stream};
use gitmoor_arm::ClusterId;
use gitmoor_portal::{Location, Rate, Settings, Store, identity::Role};
use gitmoor_postgres::{Options, Postgres};
use http::{
    Method, StatusCode,
    header::{COOKIE, ETAG, IF_NONE_MATCH, SET_COOKIE},
};
use reqwest::{Certificate, Client, redirect::Policy};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet, time::sleep_until};

use crate::{
    large::{milliseconds, to_f64},
    program::Program,
    report::{Figure, Report, quantile},
};

/// How long agents call while it is measured.
const WINDOW: Duration = Duration::from_secs(60);

/// How often each agent asks for its list.
const POLL: Duration = Duration::from_secs(30);

/// Reports of status in a second, of all agents together.
const REPORTS: usize = 100;

/// Connections over which the agents are made.
const MAKERS: usize = 16;

/// How long it takes until all of them wait for news.
const ARRIVE: Duration = Duration::from_secs(30);

/// Objects that a report says the health of.
const OBJECTS: usize = 12;

/// How often a page is looked at.
const LOOKS: u32 = 20;

/// Clusters on the page of a list.
const LISTED: usize = 1000;

const GROUP: &str = "/subscriptions/s/resourceGroups/edge";

/// An agent, by its connections, its token, and what it knows.
struct Agent {
    http: Client,
    configuration: String,
    list: String,
    status: String,
    token: String,
    list_etag: String,
    etag: String,
}

/// Measures a portal on SQLite, and one on PostgreSQL.
pub(crate) async fn portal(report: &mut Report, agents: usize) -> Result<()> {
    // An error says that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    setrlimit(Resource::Nofile, files).context("open as many files as there are agents")?;
    on(report, "SQLite", None, agents).await?;
    let postgres = Postgres::start(Options { durable: true })?;
    let url = postgres.fresh()?;
    on(report, "PostgreSQL", Some(&url), agents).await
}

async fn on(
    report: &mut Report,
    engine: &str,
    database: Option<&str>,
    agents: usize,
) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let free = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let mut settings = Settings {
        listen: free,
        data_directory: directory.path().join("data"),
        database: database.map(Location::parse).transpose()?,
        ..Settings::default()
    };
    settings.limits.page_size = u32::try_from(LISTED)?.try_into()?;
    // One principal makes all the agents, and one asks for pages without a pause.
    let often = 1_000_000.try_into()?;
    let unhindered = Rate {
        burst: often,
        per_second: often,
    };
    settings.limits.throttling.reads = unhindered;
    settings.limits.throttling.writes = unhindered;
    let file = directory.path().join("portal.yaml");
    let mut text = serde_json::to_value(&settings)?;
    // As settings are shown, a URL has no password and no query.
    text["database"] = json!(database);
    std::fs::write(&file, text.to_string())?;
    std::fs::create_dir_all(&settings.data_directory)?;
    let config = file.to_str().context("a path of text")?;
    let arguments = ["portal", "--config", config];
    let url = format!("https://{free}");
    let store = Store::open(&settings).await?;
    let log = |name: &str| directory.path().join(name);
    let program = Program::start(&arguments, log("first.log"))?;
    let ca = settings.data_directory.join("ca.pem");
    let pem = pem(&ca, &program).await?;
    let makers = (0..MAKERS).map(|_| client(&pem));
    let http = makers.collect::<Result<Vec<_>>>()?;
    until_healthy(&http[0], &url, Instant::now()).await?;
    let made = make(&store, &http, &pem, &url, agents)
        .await
        .context("make agents")?;
    program.stop().await?;

    let started = Instant::now();
    let program = Program::start(&arguments, log("second.log"))?;
    until_healthy(&http[0], &url, started).await?;
    report.add(
        Figure::new(
            "portal",
            format!("{engine}: from its start until it answers, with {agents} clusters"),
            milliseconds(started.elapsed()),
            "ms",
        )
        .limit(200.0)
        .aim(200.0),
    );
    let made = Arc::new(made);
    let viewer = Viewer::sign_in(&store, &http[0], &url).await?;
    load(report, engine, &program, &made, None).await?;
    list(report, engine, &store, &http[0], &url).await?;
    page(report, engine, &viewer, made.len()).await?;
    load(report, engine, &program, &made, Some(&viewer)).await?;
    rate(report, engine, &http[0], &made).await?;
    waiting(report, engine, &program, &made).await?;
    news(report, engine, &store, &made).await?;
    program.stop().await
}

/// The portal's CA, when it has made it.
async fn pem(ca: &std::path::Path, program: &Program) -> Result<Vec<u8>> {
    let start = Instant::now();
    loop {
        if let Ok(pem) = std::fs::read(ca) {
            return Ok(pem);
        }
        let log = || format!("no CA of the portal; its log:\n{}", program.log_tail());
        ensure!(start.elapsed() < Duration::from_secs(30), log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A client that trusts the portal, with connections of its own.
fn client(pem: &[u8]) -> Result<Client> {
    let ca = Certificate::from_pem(pem)?;
    let client = Client::builder()
        .tls_certs_only([ca])
        .no_proxy()
        .redirect(Policy::none());
    Ok(client.build()?)
}

async fn until_healthy(http: &Client, url: &str, start: Instant) -> Result<()> {
    loop {
        let answer = http.get(format!("{url}/healthz")).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        ensure!(
            start.elapsed() < Duration::from_secs(60),
            "the portal does not answer"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn cluster(number: usize) -> String {
    format!("{GROUP}/providers/Microsoft.Kubernetes/connectedClusters/c{number:05}")
}

/// Makes the agents, each with a cluster and a configuration.
async fn make(
    store: &Store,
    http: &[Client],
    pem: &[u8],
    url: &str,
    count: usize,
) -> Result<Vec<Agent>> {
    let ann = store
        .create_principal("ann", &"/subscriptions/s".parse()?, Role::Owner)
        .await?;
    let ann = store.issue_token(ann.id(), None).await?;
    let ann = ann.context("she is there")?.expose().to_owned();
    let put = async |client: &Client, path: String, body: Value| -> Result<Value> {
        let request = client
            .put(format!("{url}{path}"))
            .bearer_auth(&ann)
            .json(&body);
        let answer = request.send().await?;
        ensure!(
            answer.status().is_success(),
            "{path}: {}",
            answer.text().await?
        );
        Ok(answer.json().await?)
    };
    let group = format!("{GROUP}?api-version=2022-12-01");
    put(&http[0], group, json!({"location": "local"})).await?;
    let one = async |number: usize| -> Result<Agent> {
        let maker = &http[number % http.len()];
        let id = cluster(number);
        let body = json!({"location": "local", "identity": {"type": "SystemAssigned"},
            "properties": {"agentPublicKeyCertificate": ""}, "tags": {"ring": "1"}});
        put(maker, format!("{id}?api-version=2021-10-01"), body).await?;
        let configuration = format!(
            "{id}/providers/Microsoft.KubernetesConfiguration/sourceControlConfigurations/shop"
        );
        let body = json!({"properties": {"repositoryUrl": "https://git.example.net/shop.git"}});
        let path = format!("{configuration}?api-version=2023-05-01");
        let made = put(maker, path.clone(), body).await?;
        let parsed: ClusterId = id.parse()?;
        let principal = store.create_agent(&parsed).await?;
        let token = store.issue_token(principal.id(), None).await?;
        let token = token.context("it is there")?.expose().to_owned();
        let list = format!("{url}{}", parsed.data_plane_path());
        let answer = maker.get(&list).bearer_auth(&token).send().await?;
        let list_etag = answer.headers().get(ETAG).context("the list's version")?;
        Ok(Agent {
            http: client(pem)?,
            configuration: format!("{url}{path}"),
            list_etag: list_etag.to_str()?.to_owned(),
            status: format!("{url}{}", parsed.status_path("shop")),
            etag: made["etag"].as_str().unwrap_or_default().to_owned(),
            list,
            token,
        })
    };
    let mut agents = stream::iter((0..count).map(one)).buffer_unordered(16);
    let mut made = Vec::new();
    while let Some(agent) = agents.next().await {
        made.push(agent?);
    }
    Ok(made)
}

/// Sends one request and says how long it took since it was due.
async fn send(agents: Arc<Vec<Agent>>, number: usize, reports: bool, due: Instant) -> Result<f64> {
    sleep_until(due.into()).await;
    let agent = &agents[number % agents.len()];
    let (request, expected) = if reports {
        let object = |at: usize| json!({"object": format!("Deployment.apps shop/front-{at}"), "health": "Current"});
        let report = json!({"observedEtag": agent.etag, "complianceState": "Compliant",
            "message": format!("{OBJECTS} objects are live"),
            "appliedRevision": format!("{number:040x}"),
            "inventory": (0..OBJECTS).map(object).collect::<Value>()});
        (
            agent.http.put(&agent.status).json(&report),
            StatusCode::NO_CONTENT,
        )
    } else {
        let request = agent.http.request(Method::GET, &agent.list);
        (
            request.header(IF_NONE_MATCH, &agent.list_etag),
            StatusCode::NOT_MODIFIED,
        )
    };
    let answer = request.bearer_auth(&agent.token).send().await?;
    ensure!(
        answer.status() == expected,
        "{}: {}",
        answer.status(),
        answer.text().await?
    );
    answer.bytes().await?;
    Ok(milliseconds(due.elapsed()))
}

/// All agents as they call: lists that are as they were, and reports. Perhaps someone looks at the
/// page that lists their clusters meanwhile.
async fn load(
    report: &mut Report,
    engine: &str,
    program: &Program,
    agents: &Arc<Vec<Agent>>,
    viewer: Option<&Viewer>,
) -> Result<()> {
    let polls = to_f64(agents.len()) / POLL.as_secs_f64();
    let calls = |rate: f64| {
        let mut due = Vec::new();
        let mut at = Duration::ZERO;
        while at < WINDOW {
            due.push(at);
            at += Duration::from_secs_f64(1.0 / rate);
        }
        due
    };
    let cpu = program.usage()?.cpu;
    let start = Instant::now() + Duration::from_millis(500);
    let [mut polling, mut reporting] = [JoinSet::new(), JoinSet::new()];
    for (tasks, reports, rate) in [
        (&mut polling, false, polls),
        (&mut reporting, true, to_f64(REPORTS)),
    ] {
        for (number, at) in calls(rate).into_iter().enumerate() {
            tasks.spawn(send(Arc::clone(agents), number, reports, start + at));
        }
    }
    let mut looks = Vec::new();
    for number in 0..LOOKS {
        sleep_until((start + WINDOW * number / LOOKS).into()).await;
        if let Some(viewer) = viewer {
            looks.push(viewer.look().await?);
        }
    }
    let polling = polling.join_all().await;
    let reporting = reporting.join_all().await;
    let usage = program.usage()?;
    let share = 100.0 * (usage.cpu - cpu).as_secs_f64() / WINDOW.as_secs_f64();
    let what = |what: &str| {
        format!(
            "{engine}: {} agents that poll every {} s, {REPORTS} reports a second{}, {what}",
            agents.len(),
            POLL.as_secs(),
            viewer.map_or("", |_| " and someone who looks at their list"),
        )
    };
    // A list of so many is more than is asked for.
    let within = |figure: Figure, limit: f64| match viewer {
        None => figure.limit(limit).aim(limit),
        Some(_) => figure,
    };
    for (which, took) in [("polls", polling), ("reports", reporting)] {
        let took = took.into_iter().collect::<Result<Vec<_>>>()?;
        let figure = Figure::new(
            "portal",
            what(&format!("99th percentile of {which}")),
            quantile(&took, 0.99),
            "ms",
        )
        .beside(format!(
            "of {}; median {:.1}, most {:.1}; from when each was due, each agent over connections of its own",
            took.len(),
            quantile(&took, 0.5),
            quantile(&took, 1.0)
        ));
        report.add(within(figure, 50.0));
    }
    if viewer.is_some() {
        let what = what("that list, read anew each time, median");
        report.add(
            Figure::new("portal", what, quantile(&looks, 0.5), "ms")
                .beside(format!("of {LOOKS}; most {:.1}", quantile(&looks, 1.0))),
        );
    }
    let figure = Figure::new("portal", what("share of a core"), share, "%");
    report.add(within(figure, 100.0));
    let memory = Figure::new("portal", what("resident memory"), usage.resident, "MiB");
    report.add(within(memory.beside(usage.note()), 150.0));
    Ok(())
}

/// All agents as they wait for news, each on a connection of its own.
async fn waiting(
    report: &mut Report,
    engine: &str,
    program: &Program,
    agents: &Arc<Vec<Agent>>,
) -> Result<()> {
    let mut tasks = JoinSet::new();
    let (cpu, start) = (program.usage()?.cpu, Instant::now());
    for number in 0..agents.len() {
        let agents = Arc::clone(agents);
        let due = Instant::now() + ARRIVE * u32::try_from(number)? / u32::try_from(agents.len())?;
        tasks.spawn(async move {
            sleep_until(due.into()).await;
            let agent = &agents[number];
            let request = agent.http.get(&agent.list).bearer_auth(&agent.token);
            let request = request.header(IF_NONE_MATCH, &agent.list_etag);
            Ok(request.header("prefer", "wait=55").send().await?.status())
        });
    }
    tokio::time::sleep(ARRIVE + Duration::from_secs(5)).await;
    ensure!(tasks.try_join_next().is_none(), "one did not wait");
    let usage = program.usage()?;
    let window = start.elapsed().as_secs_f64();
    let share = 100.0 * (usage.cpu - cpu).as_secs_f64() / window;
    let what = |what: &str| {
        format!(
            "{engine}: {} agents that wait for news, {what}",
            agents.len()
        )
    };
    report.add(
        Figure::new("portal", what("resident memory"), usage.resident, "MiB").beside(usage.note()),
    );
    report.add(
        Figure::new("portal", what("share of a core"), share, "%")
            .beside(format!("over {window:.0} s, in which they come")),
    );
    while let Some(status) = tasks.join_next().await {
        let status: Result<StatusCode> = status?;
        ensure!(status? == StatusCode::NOT_MODIFIED, "news of nothing");
    }
    Ok(())
}

/// A page of a list of a thousand clusters.
async fn list(
    report: &mut Report,
    engine: &str,
    store: &Store,
    http: &Client,
    url: &str,
) -> Result<()> {
    let reader = store
        .create_principal("bob", &"/subscriptions/s".parse()?, Role::Reader)
        .await?;
    let token = store.issue_token(reader.id(), None).await?;
    let token = token.context("he is there")?;
    let path = format!(
        "{url}{GROUP}/providers/Microsoft.Kubernetes/connectedClusters?api-version=2021-10-01"
    );
    let mut took = Vec::new();
    let mut listed = 0;
    for _ in 0..20 {
        let start = Instant::now();
        let answer = http.get(&path).bearer_auth(token.expose()).send().await?;
        let body: Value = answer.json().await?;
        took.push(milliseconds(start.elapsed()));
        listed = body["value"].as_array().map_or(0, Vec::len);
    }
    report.add(
        Figure::new(
            "portal",
            format!("{engine}: a page of {listed} clusters, median"),
            quantile(&took, 0.5),
            "ms",
        )
        .limit(100.0)
        .aim(100.0)
        .beside(format!(
            "of {}; most {:.1}",
            took.len(),
            quantile(&took, 1.0)
        )),
    );
    Ok(())
}

/// How long it takes from a change until the agent that waits for it has it.
async fn news(
    report: &mut Report,
    engine: &str,
    store: &Store,
    agents: &Arc<Vec<Agent>>,
) -> Result<()> {
    let writer = store
        .create_principal("dan", &"/subscriptions/s".parse()?, Role::Contributor)
        .await?;
    let token = store.issue_token(writer.id(), None).await?;
    let token = token.context("he is there")?;
    let mut took = Vec::new();
    for number in 0..agents.len().min(20) {
        let all = Arc::clone(agents);
        let told = tokio::spawn(async move {
            let agent = &all[number];
            let request = agent.http.get(&agent.list).bearer_auth(&agent.token);
            let request = request.header(IF_NONE_MATCH, &agent.list_etag);
            let status = request.header("prefer", "wait=55").send().await?.status();
            ensure!(status == StatusCode::OK, "no news: {status}");
            Ok(Instant::now())
        });
        // Until then it waits.
        tokio::time::sleep(Duration::from_millis(300)).await;
        ensure!(!told.is_finished(), "one did not wait");
        let agent = &agents[number];
        let body = json!({"properties": {"repositoryUrl": "https://git.example.net/other.git"}});
        let start = Instant::now();
        let change = agent.http.put(&agent.configuration).json(&body);
        let answer = change.bearer_auth(token.expose()).send().await?;
        ensure!(answer.status() == StatusCode::OK, "{}", answer.status());
        took.push(milliseconds(told.await?? - start));
    }
    report.add(
        Figure::new(
            "portal",
            format!("{engine}: from a change until the agent that waits has it, median"),
            quantile(&took, 0.5),
            "ms",
        )
        .limit(1000.0)
        .aim(1000.0)
        .beside(format!(
            "of {}; most {:.1}",
            took.len(),
            quantile(&took, 1.0)
        )),
    );
    Ok(())
}

/// Someone who looks at the page that lists the clusters, as a browser gets it.
struct Viewer {
    http: Client,
    url: String,
    session: String,
}

impl Viewer {
    async fn sign_in(store: &Store, http: &Client, url: &str) -> Result<Self> {
        let reader = store
            .create_principal("eve", &"/subscriptions/s".parse()?, Role::Reader)
            .await?;
        let code = store.create_sign_in_link(reader.id()).await?;
        let signed_in = http
            .post(format!("{url}/sign-in/link"))
            .header("sec-fetch-site", "same-origin")
            .form(&[("code", code.expose())])
            .send()
            .await?;
        let cookies = signed_in.headers().get_all(SET_COOKIE).iter();
        let mut pairs = cookies.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
        Ok(Self {
            http: http.clone(),
            url: format!("{url}/clusters"),
            session: pairs.next_back().context("nobody is signed in")?.to_owned(),
        })
    }

    /// How long the page takes.
    async fn look(&self) -> Result<f64> {
        let start = Instant::now();
        let answer = self.http.get(&self.url);
        let answer = answer.header(COOKIE, &self.session).send().await?;
        ensure!(answer.status() == StatusCode::OK, "{}", answer.status());
        ensure!(
            answer.text().await?.contains("<table"),
            "a list without rows"
        );
        Ok(milliseconds(start.elapsed()))
    }
}

/// The page that lists the clusters.
async fn page(report: &mut Report, engine: &str, viewer: &Viewer, clusters: usize) -> Result<()> {
    let mut took = Vec::new();
    for _ in 0..LOOKS {
        took.push(viewer.look().await?);
    }
    report.add(
        Figure::new(
            "portal",
            format!("{engine}: the page that lists {clusters} clusters, median"),
            quantile(&took, 0.5),
            "ms",
        )
        .limit(100.0)
        .aim(100.0)
        .beside(format!(
            "of {}; the first, for which all are read, {:.1}",
            took.len(),
            took[0]
        )),
    );
    Ok(())
}

/// How many unchanged lists a second, beside the rate of a handler that does nothing.
async fn rate(
    report: &mut Report,
    engine: &str,
    http: &Client,
    agents: &Arc<Vec<Agent>>,
) -> Result<()> {
    const FOR: Duration = Duration::from_secs(5);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let bare = format!("http://{}/", listener.local_addr()?);
    let router = Router::new().route("/", get(|| async { StatusCode::NOT_MODIFIED }));
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    let per_second = async |portal: bool| -> Result<f64> {
        let start = Instant::now();
        let calls = stream::iter(0..).take_while(|_| std::future::ready(start.elapsed() < FOR));
        let count = calls
            .map(|number: usize| {
                let agent = &agents[number % agents.len()];
                let request = if portal {
                    http.get(&agent.list)
                        .bearer_auth(&agent.token)
                        .header(IF_NONE_MATCH, &agent.list_etag)
                } else {
                    http.get(&bare)
                };
                async move {
                    request
                        .send()
                        .await
                        .is_ok_and(|answer| answer.status() == StatusCode::NOT_MODIFIED)
                }
            })
            .buffer_unordered(32)
            .filter(|done| std::future::ready(*done))
            .count()
            .await;
        Ok(to_f64(count) / start.elapsed().as_secs_f64())
    };
    let (bare_rate, rate) = (per_second(false).await?, per_second(true).await?);
    serving.abort();
    report.add(
        Figure::new(
            "portal",
            format!("{engine}: unchanged lists a second"),
            rate,
            "calls",
        )
        .beside(format!(
            "a bare axum handler without TLS, asked the same way: {bare_rate:.0}"
        )),
    );
    Ok(())
}
