//! What a visitor changes. A form becomes the body that a caller of the API would send, and goes the
//! same way: the same checks, the same store.

use askama::Template;
use axum::response::Response;
use gitmoor_arm::{
    ApiVersion, ClusterId, ConfigurationId, ConfigurationProperties, FieldError, ProtectedChange,
    ProtectedSettings, PutRequest, Timestamp, check, check_kept, with_flags,
};
use http::{Method, StatusCode};

use super::{
    Call, Pages,
    commands::{Commands, Subject},
    form::{Conflict, Form},
    frame::{Frame, page},
    route,
    session::Visitor,
    sign_in::{field, read, see_other},
    text::shown,
};
use crate::{
    api::{refusal::Refusal, route::Route as ApiRoute},
    store::{By, Condition, PutError, WithReport},
};

#[derive(Template)]
#[template(path = "form.html")]
struct FormPage {
    frame: Frame,
    title: String,
    action: String,
    back: String,
    known: Vec<String>,
    form: Form,
    conflict: Option<Conflict>,
    commands: Option<Commands>,
}

#[derive(Template)]
#[template(path = "delete.html")]
struct DeletePage {
    frame: Frame,
    name: String,
    cluster: String,
    namespace: String,
    path: String,
    etag: String,
}

/// The form for a new configuration.
pub(super) async fn create_form(
    pages: &Pages,
    visitor: &Visitor,
    call: &Call,
) -> Result<Response, Refusal> {
    let cluster = call.parameter("cluster").unwrap_or_default();
    if let Ok(id) = cluster.parse::<ClusterId>() {
        visitor.may(&ApiRoute::Configurations(id), &Method::PUT)?;
    }
    if !visitor.may_write_somewhere() {
        return Err(Refusal::only_reads());
    }
    show_create(pages, visitor, Form::empty(cluster), None).await
}

async fn show_create(
    pages: &Pages,
    visitor: &Visitor,
    form: Form,
    commands: Option<Commands>,
) -> Result<Response, Refusal> {
    /// How many clusters are offered to choose from.
    const OFFERED: usize = 200;
    let board = pages.board().await?;
    let writable = board
        .seen_by(visitor)
        .filter(|one| visitor.principal.writes(&(&one.id).into()));
    let known = writable
        .map(|one| one.id.to_string())
        .take(OFFERED)
        .collect();
    let back = form.cluster.parse().map_or_else(
        |_| "/clusters".to_owned(),
        |cluster: ClusterId| route::of_cluster(&cluster),
    );
    Ok(show(&FormPage {
        frame: Frame::of(visitor).section("clusters"),
        title: "New configuration".to_owned(),
        action: "/create".to_owned(),
        back,
        known,
        form,
        conflict: None,
        commands,
    }))
}

fn show(form: &FormPage) -> Response {
    let status = if form.form.errors.is_empty() && form.conflict.is_none() {
        StatusCode::OK
    } else {
        StatusCode::BAD_REQUEST
    };
    page(status, form)
}

pub(super) async fn create(
    pages: &Pages,
    visitor: &Visitor,
    call: &Call,
    body: &[u8],
) -> Result<Response, Refusal> {
    let sent = pages.read(visitor, call, body)?;
    let mut form = Form::read(&sent);
    let wrong = |field: &str, message: String| FieldError {
        field: field.to_owned(),
        message,
    };
    let cluster: Result<ClusterId, _> = form.cluster.parse();
    let id = match &cluster {
        Ok(cluster) => {
            visitor.may(&ApiRoute::Configurations(cluster.clone()), &Method::PUT)?;
            cluster.configuration(&form.name).ok()
        }
        Err(_) if form.cluster.is_empty() => {
            form.fail(&[wrong("cluster", "the id of a cluster is needed".to_owned())]);
            None
        }
        Err(error) => {
            form.fail(&[wrong("cluster", error.to_string())]);
            None
        }
    };
    let request = match parse(&form, None) {
        Ok(request) => request,
        Err(errors) => {
            form.fail(&errors);
            return show_create(pages, visitor, form, None).await;
        }
    };
    let mut checked = checked(&form.name, &request);
    checked.extend(form.missing());
    let Some(id) = id.filter(|_| checked.is_empty()) else {
        form.fail(&checked);
        return show_create(pages, visitor, form, None).await;
    };
    if field(&sent, "as") == Some("commands") {
        let commands = pages.put_commands(call, &id, &request, None, &form)?;
        return show_create(pages, visitor, form, Some(commands)).await;
    }
    let condition = Condition {
        if_none_match: Some(vec!["*".to_owned()]),
        ..Condition::default()
    };
    match pages.put(visitor, &id, request, &condition).await {
        Ok(()) => Ok(see_other(&route::of_configuration(&id))),
        Err(error) => {
            let errors = match error {
                PutError::Invalid(errors) => errors,
                PutError::Condition => vec![wrong(
                    "name",
                    "this cluster has a configuration of that name".to_owned(),
                )],
                error => return Err(error.into()),
            };
            form.fail(&errors);
            show_create(pages, visitor, form, None).await
        }
    }
}

/// The form of one that is there.
pub(super) async fn edit_form(
    pages: &Pages,
    visitor: &Visitor,
    id: &ConfigurationId,
) -> Result<Response, Refusal> {
    let found = pages.find(visitor, id, &Method::PUT).await?;
    let mut form = Form::of(id.name(), &found.desired.properties, &found.desired.etag);
    form.has_authorities = has_authorities(&pages.store.protected_settings(id).await?);
    Ok(show(&edit_page(visitor, id, form, None, None)))
}

fn edit_page(
    visitor: &Visitor,
    id: &ConfigurationId,
    form: Form,
    conflict: Option<Conflict>,
    commands: Option<Commands>,
) -> FormPage {
    FormPage {
        frame: Frame::of(visitor).section("clusters"),
        title: shown(id.name()),
        action: format!("{}/edit", route::of_configuration(id)),
        back: route::of_configuration(id),
        known: Vec::new(),
        form,
        conflict,
        commands,
    }
}

pub(super) async fn edit(
    pages: &Pages,
    visitor: &Visitor,
    call: &Call,
    id: &ConfigurationId,
    body: &[u8],
) -> Result<Response, Refusal> {
    let sent = pages.read(visitor, call, body)?;
    let found = pages.find(visitor, id, &Method::PUT).await?;
    let settings = pages.store.protected_settings(id).await?;
    let mut form = Form::read(&sent);
    form.name = id.name().to_owned();
    form.has_authorities = has_authorities(&settings);
    let request = parse(&form, Some(&found.desired.properties)).and_then(|request| {
        let request = PutRequest {
            protected: form.protected(request.protected, &settings),
            ..request
        };
        let mut errors = checked(&id.name().to_ascii_lowercase(), &request);
        errors.extend(form.missing());
        let from = found.desired.properties.repository_url.as_deref();
        let moved = from.and_then(|from| check_kept(&settings, from, &form.repository));
        errors.extend(moved.filter(|_| form.has("keep")));
        if errors.is_empty() {
            Ok(request)
        } else {
            Err(errors)
        }
    });
    if field(&sent, "as") == Some("commands")
        && let Ok(request) = &request
    {
        let etag = Some(&*form.etag);
        let commands = pages.put_commands(call, id, request, etag, &form)?;
        return Ok(show(&edit_page(visitor, id, form, None, Some(commands))));
    }
    let condition = Condition {
        if_match: Some(vec![form.etag.clone()]),
        ..Condition::default()
    };
    let written = match request {
        Ok(request) => pages.put(visitor, id, request, &condition).await,
        Err(errors) => Err(PutError::Invalid(errors)),
    };
    let conflict = match written {
        Ok(()) => return Ok(see_other(&route::of_configuration(id))),
        Err(error @ (PutError::Store(_) | PutError::Part(_))) => return Err(error.into()),
        Err(PutError::Invalid(errors)) => {
            form.fail(&errors);
            None
        }
        Err(PutError::Condition) => {
            // Read anew: what is shown is what the next attempt writes over, and nothing else.
            let there = pages.find(visitor, id, &Method::PUT).await?.desired;
            form.etag.clone_from(&there.etag);
            Some(Conflict::of(&form, &there))
        }
    };
    Ok(show(&edit_page(visitor, id, form, conflict, None)))
}

/// A button that changes a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Button {
    Suspend,
    Resume,
    Sync,
}

pub(super) async fn press(
    pages: &Pages,
    visitor: &Visitor,
    call: &Call,
    id: &ConfigurationId,
    button: Button,
    body: &[u8],
) -> Result<Response, Refusal> {
    pages.read(visitor, call, body)?;
    let found = pages.find(visitor, id, &Method::PUT).await?;
    let now = Timestamp::now().to_string().replace("+00:00", "Z");
    let change = match button {
        Button::Suspend => ("gitmoor-suspend", Some("")),
        Button::Resume => ("gitmoor-suspend", None),
        Button::Sync => ("gitmoor-requested-at", Some(now.as_str())),
    };
    pages.flag(visitor, id, found, change).await
}

pub(super) async fn delete_form(
    pages: &Pages,
    visitor: &Visitor,
    id: &ConfigurationId,
) -> Result<Response, Refusal> {
    let found = pages.find(visitor, id, &Method::DELETE).await?;
    let delete = DeletePage {
        frame: Frame::of(visitor).section("clusters"),
        name: shown(id.name()),
        cluster: shown(id.cluster().name()),
        namespace: shown(found.desired.properties.operator_namespace()),
        path: route::of_configuration(id),
        etag: found.desired.etag,
    };
    Ok(page(StatusCode::OK, &delete))
}

pub(super) async fn delete(
    pages: &Pages,
    visitor: &Visitor,
    call: &Call,
    id: &ConfigurationId,
    body: &[u8],
) -> Result<Response, Refusal> {
    let sent = pages.read(visitor, call, body)?;
    visitor.may(&ApiRoute::Configuration(id.clone()), &Method::DELETE)?;
    let condition = Condition {
        if_match: Some(vec![field(&sent, "etag").unwrap_or_default().to_owned()]),
        ..Condition::default()
    };
    let by = &visitor.principal;
    if pages.store.delete(id, &By::person(by), &condition).await? {
        tracing::info!(%id, by = by.name, principal = %by.id, "a configuration was deleted");
    }
    Ok(see_other(&route::of_cluster(&id.cluster())))
}

/// What the API would read of the body.
fn parse(
    form: &Form,
    kept: Option<&ConfigurationProperties>,
) -> Result<PutRequest, Vec<FieldError>> {
    let body = form.body(kept).to_string();
    PutRequest::parse(body.as_bytes(), ApiVersion::NEWEST)
}

fn has_authorities(settings: &ProtectedSettings) -> bool {
    let mut names = settings.names();
    names.any(|name| name == ProtectedSettings::HTTPS_CA_CERT)
}

/// What the API would say of it.
fn checked(name: &str, request: &PutRequest) -> Vec<FieldError> {
    let mut properties = request.properties.clone();
    properties.configuration_protected_settings = Some(request.protected.clone().apply(None));
    check(name, &properties)
}

impl Pages {
    /// Reads a form, which must be one of ours.
    pub(super) fn read(
        &self,
        visitor: &Visitor,
        call: &Call,
        body: &[u8],
    ) -> Result<Vec<(String, String)>, Refusal> {
        let sent = read(body);
        visitor.check(&call.headers, &self.base(call)?, field(&sent, "csrf"))?;
        Ok(sent)
    }

    /// The configuration, if it is there and the visitor may do this with it.
    pub(super) async fn find(
        &self,
        visitor: &Visitor,
        id: &ConfigurationId,
        method: &Method,
    ) -> Result<WithReport, Refusal> {
        visitor.may(&ApiRoute::Configuration(id.clone()), method)?;
        let found = self.store.configuration(id).await?;
        let found = found.ok_or_else(|| Refusal::no_configuration(id))?;
        match &found.desired.flux {
            Some(flux) => Err(Refusal::part(flux)),
            None => Ok(found),
        }
    }

    /// Sets or clears a flag, and nothing that was changed in between.
    pub(super) async fn flag(
        &self,
        visitor: &Visitor,
        id: &ConfigurationId,
        found: WithReport,
        change: (&str, Option<&str>),
    ) -> Result<Response, Refusal> {
        let mut properties = found.desired.properties;
        let params = with_flags(properties.operator_params(), &[change]);
        properties.operator_params = Some(params);
        let request = PutRequest {
            properties,
            protected: ProtectedChange::Keep,
            unread: Vec::new(),
        };
        let condition = Condition {
            if_match: Some(vec![found.desired.etag]),
            ..Condition::default()
        };
        self.put(visitor, id, request, &condition).await?;
        Ok(see_other(&route::of_configuration(id)))
    }

    async fn put(
        &self,
        visitor: &Visitor,
        id: &ConfigurationId,
        request: PutRequest,
        condition: &Condition,
    ) -> Result<(), PutError> {
        let by = &visitor.principal;
        self.store
            .put(id, request, &By::person(by), condition)
            .await?;
        tracing::info!(%id, by = by.name, principal = %by.id, "a configuration was put");
        Ok(())
    }

    pub(super) fn commands<'a>(
        &self,
        call: &'a Call,
        id: &'a ConfigurationId,
        properties: &'a ConfigurationProperties,
        etag: Option<&'a str>,
        secrets: Vec<&'a str>,
    ) -> Result<Subject<'a>, Refusal> {
        Ok(Subject {
            base: self.base(call)?,
            id,
            properties,
            etag,
            secrets,
            writes_secrets: false,
        })
    }

    /// Those that do what a form does when it is saved.
    fn put_commands(
        &self,
        call: &Call,
        id: &ConfigurationId,
        request: &PutRequest,
        etag: Option<&str>,
        form: &Form,
    ) -> Result<Commands, Refusal> {
        let secrets = match &request.protected {
            ProtectedChange::Replace(all) => all.names().collect(),
            ProtectedChange::Keep => Vec::new(),
        };
        let subject = Subject {
            writes_secrets: form.changes_secrets(),
            ..self.commands(call, id, &request.properties, etag, secrets)?
        };
        Ok(subject.put())
    }
}
