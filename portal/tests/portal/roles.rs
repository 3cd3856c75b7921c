//! Roles as ARM's clients give and take them: who may, where, and what is never possible.

use gitmoor_portal::identity::Role;
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    log::Log,
    page::{browser::Browser, signing_in::started_with_its_link},
    server::{CLUSTER, Caller, SUBSCRIPTION, Server, body, versioned, versioned_list},
    sql::Sql,
};

const OWNER: &str = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";
const CONTRIBUTOR: &str = "b24988ac-6180-42a0-ab88-20f7382dd24c";
const READER: &str = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
const GROUP: &str = "/subscriptions/3f1c/resourceGroups/edge";
const PROVIDER: &str = "/providers/Microsoft.Authorization";
const VERSION: &str = "api-version=2022-04-01";

/// The path of a role that someone has.
fn path(scope: &str, id: Uuid) -> String {
    let scope = scope.trim_end_matches('/');
    format!("{scope}{PROVIDER}/roleAssignments/{id}?{VERSION}")
}

fn list_path(scope: &str, filter: &str) -> String {
    let scope = scope.trim_end_matches('/');
    format!("{scope}{PROVIDER}/roleAssignments?{VERSION}&$filter={filter}")
}

fn role(definition: &str, principal: Uuid) -> Value {
    json!({"properties": {
        "roleDefinitionId": format!("{PROVIDER}/roleDefinitions/{definition}"),
        "principalId": principal,
        "principalType": "ServicePrincipal",
    }})
}

/// Someone without any role, besides one elsewhere.
async fn bob(server: &Server) -> (Uuid, Caller) {
    let scope = "/subscriptions/elsewhere".parse().unwrap();
    let store = &server.store;
    let bob = store.create_principal("bob", &scope, Role::Reader).await;
    let id = bob.unwrap().id();
    (id, server.caller(&server.token_of(id).await))
}

/// What a list names: principals and where they have a role.
async fn listed(caller: &Caller, path: &str) -> Vec<(String, String)> {
    let (items, _) = caller.pages(path).await;
    let text = |one: &Value, name: &str| one["properties"][name].as_str().unwrap().to_owned();
    let mut found: Vec<_> = items
        .iter()
        .map(|one| (text(one, "principalId"), text(one, "scope")))
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn an_owner_gives_a_role_and_takes_it_away() {
    let (log, _guard) = Log::capture();
    let server = Server::start().await;
    let ann = server.principal(SUBSCRIPTION, Role::Owner).await;
    let (id, bob) = bob(&server).await;
    assert_eq!(bob.get(&versioned_list(CLUSTER)).await.status, 403);
    let name = Uuid::new_v4();
    let at = path(CLUSTER, name);
    assert_eq!(ann.get(&at).await.error(), (404, "RoleAssignmentNotFound"));
    let made = ann.put(&at, role(CONTRIBUTOR, id)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    assert_eq!(made.body["name"], name.to_string());
    assert_eq!(made.body["id"], at.split('?').next().unwrap());
    let properties = &made.body["properties"];
    assert_eq!(properties["principalId"], id.to_string());
    assert_eq!(properties["scope"], CLUSTER);
    let definition = format!("{SUBSCRIPTION}{PROVIDER}/roleDefinitions/{CONTRIBUTOR}");
    assert_eq!(properties["roleDefinitionId"], definition);
    assert_eq!(
        ann.get(&at.to_uppercase().replace("API-VERSION", "api-version"))
            .await
            .status,
        200
    );
    let written = bob
        .put(
            &versioned(CLUSTER, "blue"),
            body("https://git.example.net/a"),
        )
        .await;
    assert_eq!(written.status, StatusCode::CREATED, "{}", written.text);

    // The same once more is the same; by another name, or with other words, it is refused.
    let again = ann.put(&at, role(CONTRIBUTOR, id)).await;
    assert_eq!(
        (again.status, again.body),
        (StatusCode::OK, made.body.clone())
    );
    assert_eq!(log.text().matches("a role was given").count(), 1);
    let other = path(&CLUSTER.to_lowercase(), Uuid::new_v4());
    let twice = ann.put(&other, role(CONTRIBUTOR, id)).await;
    assert_eq!(twice.error(), (409, "RoleAssignmentExists"));
    assert!(twice.text.contains(&name.simple().to_string()));
    let changed = ann.put(&at, role(READER, id)).await;
    assert_eq!(changed.error(), (400, "RoleAssignmentUpdateNotPermitted"));
    let moved = ann.put(&path(GROUP, name), role(CONTRIBUTOR, id)).await;
    assert_eq!(moved.error(), (400, "RoleAssignmentUpdateNotPermitted"));

    // It is of its own scope alone.
    assert_eq!(ann.delete(&path(GROUP, name)).await.status, 204);
    assert_eq!(ann.get(&path(GROUP, name)).await.status, 404);
    let gone = ann.delete(&at).await;
    assert_eq!((gone.status, gone.body), (StatusCode::OK, made.body));
    assert_eq!(ann.delete(&at).await.status, StatusCode::NO_CONTENT);
    assert_eq!(bob.get(&versioned_list(CLUSTER)).await.status, 403);
}

#[tokio::test]
async fn only_owners_of_a_scope_or_above_give_and_take_roles_there() {
    let server = Server::start().await;
    let (bob, _) = bob(&server).await;
    let held = Uuid::new_v4();
    let root = server.principal("/", Role::Owner).await;
    let made = root.put(&path(GROUP, held), role(READER, bob)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let other = "/subscriptions/3f1c/resourceGroups/other";
    // Of each caller: whether they give a role everywhere, in the subscription, the group, the cluster.
    let table = [
        ("/", Role::Owner, [true, true, true, true]),
        (SUBSCRIPTION, Role::Owner, [false, true, true, true]),
        (GROUP, Role::Owner, [false, false, true, true]),
        (CLUSTER, Role::Owner, [false, false, false, true]),
        (other, Role::Owner, [false; 4]),
        ("/", Role::Contributor, [false; 4]),
        ("/", Role::Reader, [false; 4]),
        (CLUSTER, Role::Contributor, [false; 4]),
        (CLUSTER, Role::Agent, [false; 4]),
    ];
    for (scope, has, allowed) in table {
        let caller = server.principal(scope, has).await;
        let places = ["/", SUBSCRIPTION, GROUP, CLUSTER].into_iter().zip(allowed);
        for (place, allowed) in places {
            let case = format!("{has} of {scope} in {place}");
            let at = path(place, Uuid::new_v4());
            let answer = caller.put(&at, role(READER, bob)).await;
            if !allowed {
                assert_eq!(answer.error(), (403, "AuthorizationFailed"), "{case}");
                let answer = caller.delete(&path(place, held)).await;
                assert_eq!(answer.error(), (403, "AuthorizationFailed"), "{case}");
                continue;
            }
            // In the group it is there already.
            let there = place == GROUP;
            let wanted = if there { 409 } else { 201 };
            assert_eq!(answer.status, wanted, "{case}: {}", answer.text);
            let wanted = if there { 204 } else { 200 };
            assert_eq!(caller.delete(&at).await.status, wanted, "{case}");
        }
    }
    assert_eq!(root.get(&path(GROUP, held)).await.status, 200);
}

#[tokio::test]
async fn whoever_reads_a_scope_sees_who_has_roles_in_it() {
    let server = Server::start().await;
    let mut made = Vec::new();
    for (name, scope, role) in [
        ("root", "/", Role::Owner),
        ("wide", SUBSCRIPTION, Role::Reader),
        ("group", GROUP, Role::Contributor),
        ("near", CLUSTER, Role::Reader),
        ("agent", CLUSTER, Role::Agent),
    ] {
        let scope = scope.parse().unwrap();
        let made_one = server.store.create_principal(name, &scope, role).await;
        made.push(made_one.unwrap().id());
    }
    let ids: Vec<String> = made.iter().map(Uuid::to_string).collect();
    let everyone = [(0, "/"), (1, SUBSCRIPTION), (2, GROUP), (3, CLUSTER)];
    let of = |ids: &[String], chosen: &[(usize, &str)]| {
        let mut found: Vec<(String, String)> = chosen
            .iter()
            .map(|(index, scope)| (ids[*index].clone(), (*scope).to_owned()))
            .collect();
        found.sort();
        found
    };
    let caller = async |index: usize| server.caller(&server.token_of(made[index]).await);
    let reader = caller(1).await;
    assert_eq!(
        listed(&reader, &list_path(GROUP, "")).await,
        of(&ids, &everyone)
    );
    let above = listed(&reader, &list_path(GROUP, "atScope()")).await;
    assert_eq!(above, of(&ids, &everyone[..3]));
    for filter in ["principalId%20eq%20", "atScope()%20and%20assignedTo("] {
        let end = if filter.ends_with('(') { ")" } else { "" };
        let filter = format!("{filter}'{}'{end}", ids[2]);
        let one = listed(&reader, &list_path(CLUSTER, &filter)).await;
        assert_eq!(one, of(&ids, &everyone[2..3]));
    }
    for wrong in ["name%20eq%20'x'", "roleName%20eq%20'Reader'"] {
        let wrong = reader.get(&list_path(GROUP, wrong)).await;
        assert_eq!(wrong.error(), (400, "InvalidFilterInQueryString"));
    }
    // No further than they read, and an agent reads nothing here.
    let near = caller(3).await;
    assert_eq!(near.get(&list_path(CLUSTER, "")).await.status, 200);
    assert_eq!(near.get(&list_path(GROUP, "")).await.status, 403);
    assert_eq!(reader.get(&list_path("/", "")).await.status, 403);
    let agent = caller(4).await;
    assert_eq!(agent.get(&list_path(CLUSTER, "")).await.status, 403);
    let root = caller(0).await;
    assert_eq!(
        listed(&root, &list_path("/", "")).await,
        of(&ids, &everyone)
    );
}

#[tokio::test]
async fn a_role_says_whether_a_person_or_a_program_has_it() {
    let (server, code) = started_with_its_link().await;
    let mut browser = Browser::new(&server);
    browser.post("/sign-in/link", &[("code", &code)]).await;
    let provider = json!({
        "issuer": "https://id.example.net", "clientId": "gitmoor", "clientSecret": "file:/dev/null",
    });
    let provider = serde_json::from_value(provider).unwrap();
    let scope = SUBSCRIPTION.parse().unwrap();
    let store = &server.store;
    let ann = store.create_person("ann", &scope, Role::Reader, &provider, "ann");
    let ann = ann.await.unwrap().unwrap();
    let everywhere = "/".parse().unwrap();
    let program = store.create_principal("ci", &everywhere, Role::Owner);
    let program = program.await.unwrap().id();
    let caller = server.caller(&server.token_of(program).await);
    let kind = |one: &Value| one["properties"]["principalType"].clone();
    let (all, _) = caller.pages(&list_path("/", "")).await;
    let kinds: Vec<_> = all
        .iter()
        .map(|one| (one["properties"]["scope"].clone(), kind(one)))
        .collect();
    for wanted in [
        // Who signed in by the first link.
        (json!("/"), json!("User")),
        (json!("/"), json!("ServicePrincipal")),
        (json!(SUBSCRIPTION), json!("User")),
    ] {
        assert!(kinds.contains(&wanted), "{wanted:?} in {kinds:?}");
    }
    for (principal, wanted) in [(ann, "User"), (program, "ServicePrincipal")] {
        let at = path(CLUSTER, Uuid::new_v4());
        let made = caller.put(&at, role(READER, principal)).await;
        for shown in [made, caller.get(&at).await, caller.delete(&at).await] {
            assert_eq!(kind(&shown.body), wanted, "{}", shown.text);
        }
    }
}

#[tokio::test]
async fn the_roles_of_arm_are_there_and_an_agents_is_none_of_them() {
    let server = Server::start().await;
    let near = server.principal(CLUSTER, Role::Reader).await;
    for scope in ["", SUBSCRIPTION, GROUP, CLUSTER] {
        let path = format!("{scope}{PROVIDER}/roleDefinitions?{VERSION}");
        let (all, _) = near.pages(&path).await;
        let names: Vec<&str> = all
            .iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, [OWNER, CONTRIBUTOR, READER], "{scope}");
        let path = format!("{path}&$filter=roleName%20eq%20'reader'");
        let (found, _) = near.pages(&path).await;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["properties"]["roleName"], "Reader");
        let id = found[0]["id"].as_str().unwrap();
        assert_eq!(near.get(&format!("{id}?{VERSION}")).await.body, found[0]);
    }
    let wrong =
        format!("{PROVIDER}/roleDefinitions?{VERSION}&$filter=principalId%20eq%20'{READER}'");
    let wrong = near.get(&wrong).await;
    assert_eq!(wrong.error(), (400, "InvalidFilterInQueryString"));
    let foreign = format!("/subscriptions/other{PROVIDER}/roleDefinitions?{VERSION}");
    assert_eq!(near.get(&foreign).await.status, 403);
    let other = Uuid::new_v4();
    let path = format!("{PROVIDER}/roleDefinitions/{other}?{VERSION}");
    assert_eq!(
        near.get(&path).await.error(),
        (404, "RoleDefinitionDoesNotExist")
    );
}

#[tokio::test]
async fn what_is_no_role_of_a_principal_is_refused() {
    let server = Server::start().await;
    let ann = server.principal(SUBSCRIPTION, Role::Owner).await;
    let (bob, _) = bob(&server).await;
    let with = |name: &str, value: Value| {
        let mut body = role(READER, bob);
        body["properties"][name] = value;
        body
    };
    let table = [
        (json!([]), 400, "InvalidRequestContent"),
        (json!({}), 400, "InvalidRequestContent"),
        (
            with("principalId", json!("bob")),
            400,
            "InvalidRequestContent",
        ),
        (
            with("roleDefinitionId", json!(null)),
            400,
            "InvalidRequestContent",
        ),
        (
            with("condition", json!("@Resource[x] eq 'y'")),
            400,
            "InvalidRequestContent",
        ),
        (
            with("principalId", json!(Uuid::new_v4())),
            400,
            "PrincipalNotFound",
        ),
        (role("agent", bob), 404, "RoleDefinitionDoesNotExist"),
        (
            role(&Uuid::new_v4().to_string(), bob),
            404,
            "RoleDefinitionDoesNotExist",
        ),
    ];
    for (body, status, code) in table {
        let answer = ann.put(&path(CLUSTER, Uuid::new_v4()), body.clone()).await;
        assert_eq!(answer.error(), (status, code), "{body}");
    }
    // An agent's role has a name too, and is neither shown nor taken by it.
    let agent = server
        .store
        .create_agent(&CLUSTER.parse().unwrap())
        .await
        .unwrap();
    let query = format!(
        "SELECT id FROM role_assignment WHERE principal = '{}'",
        agent.id()
    );
    let name = Sql::of(&server).await.text(&query).await.parse().unwrap();
    assert_eq!(ann.get(&path(CLUSTER, name)).await.status, 404);
    assert_eq!(ann.delete(&path(CLUSTER, name)).await.status, 204);
    assert_eq!(listed(&ann, &list_path(CLUSTER, "")).await.len(), 1);
}

#[tokio::test]
async fn the_last_owner_of_everything_stays() {
    let server = Server::start().await;
    let root = server
        .store
        .create_principal("root", &"/".parse().unwrap(), Role::Owner)
        .await;
    let root = root.unwrap().id();
    let caller = server.caller(&server.token_of(root).await);
    let name = |principal: Uuid| {
        format!("SELECT id FROM role_assignment WHERE principal = '{principal}' AND scope = '/'")
    };
    let sql = Sql::of(&server).await;
    let own = path("/", sql.text(&name(root)).await.parse().unwrap());
    // Those who own a part, or only contribute everywhere, do not count.
    server.principal(SUBSCRIPTION, Role::Owner).await;
    server.principal("/", Role::Contributor).await;
    let refused = caller.delete(&own).await;
    assert_eq!(
        refused.error(),
        (412, "CannotDeleteLastRbacAdminAssignment")
    );
    let (bob, bobs) = bob(&server).await;
    let second = path("/", Uuid::new_v4());
    assert_eq!(caller.put(&second, role(OWNER, bob)).await.status, 201);
    // Of two who take from each other at once, one stays.
    let (one, two) = tokio::join!(caller.delete(&second), bobs.delete(&own));
    let statuses = [one.status.as_u16(), two.status.as_u16()];
    let done = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(done, 1, "{statuses:?}");
    let query =
        "SELECT CAST(count(*) AS TEXT) FROM role_assignment WHERE role = 'owner' AND scope = '/'";
    assert_eq!(sql.text(query).await, "1");
}
