//! As much of a browser as the tests need: it keeps a cookie, and says where a request comes from.

use gitmoor_portal::identity::Role;
use reqwest::{
    Client, Method, Response, StatusCode,
    header::{HeaderMap, LOCATION, SET_COOKIE},
    redirect::Policy,
};
use uuid::Uuid;

use super::super::server::{Server, client};

/// A browser.
pub(in super::super) struct Browser {
    client: Client,
    url: String,
    pub(in super::super) cookie: Option<String>,
}

/// What it got.
#[derive(Debug)]
pub(in super::super) struct Page {
    pub(in super::super) status: StatusCode,
    pub(in super::super) headers: HeaderMap,
    pub(in super::super) html: String,
}

impl Browser {
    pub(in super::super) fn new(server: &Server) -> Self {
        let client = client(server.ca.as_deref().unwrap());
        Self {
            client: client.redirect(Policy::none()).build().unwrap(),
            url: server.url.clone(),
            cookie: None,
        }
    }

    /// One of a new person who has that role.
    pub(in super::super) async fn of(server: &Server, name: &str, scope: &str, role: Role) -> Self {
        let scope = scope.parse().unwrap();
        let made = server.store.create_principal(name, &scope, role).await;
        Self::of_principal(server, made.unwrap().id()).await
    }

    pub(in super::super) async fn of_principal(server: &Server, id: Uuid) -> Self {
        let mut browser = Self::new(server);
        let code = server.store.create_sign_in_link(id).await.unwrap();
        let page = browser
            .post("/sign-in/link", &[("code", code.expose())])
            .await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.html);
        browser
    }

    pub(in super::super) async fn get(&mut self, path: &str) -> Page {
        self.send(Method::GET, path, &[], &[]).await
    }

    /// The page, which must be there.
    pub(in super::super) async fn html(&mut self, path: &str) -> String {
        let page = self.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.html);
        page.html
    }

    pub(in super::super) async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Page {
        let here = [("sec-fetch-site", "same-origin")];
        self.send(Method::POST, path, form, &here).await
    }

    pub(in super::super) async fn send(
        &mut self,
        method: Method,
        path: &str,
        form: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Page {
        let mut request = self
            .client
            .request(method.clone(), format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        if method == Method::POST {
            request = request.form(form);
        }
        let answer = request.send().await.unwrap();
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let pair = cookie.split(';').next().unwrap();
            self.cookie = (!pair.ends_with('=')).then(|| pair.to_owned());
        }
        Page {
            status: answer.status(),
            headers: answer.headers().clone(),
            html: answer.text().await.unwrap(),
        }
    }

    /// The events of a page that is open; their answer goes on.
    pub(super) async fn events(&self, query: &str) -> Response {
        let mut request = self.client.get(format!("{}/events{query}", self.url));
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        request.send().await.unwrap()
    }

    /// The token that forms of this browser bring back.
    pub(in super::super) async fn csrf(&mut self) -> String {
        let html = self.html("/").await;
        let (_, rest) = html.split_once("name=\"csrf\" value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    }
}

impl Page {
    pub(super) fn location(&self) -> &str {
        self.headers[LOCATION].to_str().unwrap()
    }
}
