//! What ARM's clients ask for around configurations: where things are, subscriptions, providers and
//! resource groups.

use gitmoor_portal::identity::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::server::{Body, CLUSTER, Caller, SUBSCRIPTION, Server, client};

const GROUP: &str = "/subscriptions/3f1c/resourceGroups/edge";
const ARM: &str = "api-version=2022-12-01";

#[tokio::test]
async fn anyone_is_told_where_things_are() {
    let server = Server::start_with(|settings| {
        settings.tls.names = vec!["arm.example".to_owned()];
    })
    .await;
    let client = client(server.ca.as_deref().unwrap()).build().unwrap();
    let get = async |url: String| {
        let answer = client.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json::<Value>().await.unwrap()
    };
    let metadata = get(format!(
        "{}/metadata/endpoints?api-version=2022-09-01",
        server.url
    ))
    .await;
    assert_eq!(metadata["resourceManager"], server.url);
    let login = metadata["authentication"]["loginEndpoint"]
        .as_str()
        .unwrap();
    assert_eq!(login, format!("{}/adfs", server.url));
    assert_eq!(metadata["authentication"]["audiences"], json!([server.url]));
    let tenant = server.store.tenant();
    for directory in [
        "adfs".to_owned(),
        tenant.to_string(),
        format!("{tenant}/v2.0"),
    ] {
        let url = format!("{}/{directory}", server.url);
        let open_id = get(format!("{url}/.well-known/openid-configuration")).await;
        assert_eq!(open_id["issuer"], url);
        let token = open_id["token_endpoint"].as_str().unwrap();
        let answer = client.post(token).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{token}");
        let keys = get(open_id["jwks_uri"].as_str().unwrap().to_owned()).await;
        assert_eq!(keys["keys"][0]["kty"], "EC");
    }
    let answer = client
        .get(format!("{}/adfs/oauth2/token", server.url))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 405);
    assert_eq!(answer.headers()["allow"], "POST");
}

#[tokio::test]
async fn links_lead_to_the_address_of_the_settings() {
    let server = Server::start_with(|settings| {
        settings.url = Some("https://portal.example.net/".parse().unwrap());
    })
    .await;
    let metadata = server
        .contributor()
        .await
        .get("/metadata/endpoints")
        .await
        .body;
    assert_eq!(metadata["resourceManager"], "https://portal.example.net");
}

#[tokio::test]
async fn a_principal_sees_the_subscriptions_that_it_has_a_role_in() {
    let server = Server::start().await;
    let path = format!("/subscriptions?{ARM}");
    for (scope, role, wanted) in [
        (SUBSCRIPTION, Role::Reader, vec!["3f1c"]),
        (GROUP, Role::Owner, vec!["3f1c"]),
        (CLUSTER, Role::Contributor, vec!["3f1c"]),
        (CLUSTER, Role::Agent, vec![]),
    ] {
        let caller = server.principal(scope, role).await;
        let (found, _) = caller.pages(&path).await;
        let ids: Vec<&str> = found
            .iter()
            .map(|one| one["subscriptionId"].as_str().unwrap())
            .collect();
        assert_eq!(ids, wanted, "{role} of {scope}");
        for one in found {
            assert_eq!(one["state"], "Enabled");
            assert_eq!(one["tenantId"], server.store.tenant().to_string());
            let path = format!("{}?{ARM}", one["id"].as_str().unwrap());
            assert_eq!(caller.get(&path).await.body, one);
        }
        let foreign = caller.get(&format!("/subscriptions/other?{ARM}")).await;
        assert_eq!(foreign.error(), (403, "AuthorizationFailed"));
    }
    let alice = server.contributor().await;
    let (tenants, _) = alice.pages(&format!("/tenants?{ARM}")).await;
    assert_eq!(tenants[0]["tenantId"], server.store.tenant().to_string());
    for query in [
        "",
        "?api-version=",
        "?api-version=new",
        "?api-version=2022-12-01x",
        "?api-version=2022-12-01-new",
    ] {
        let answer = alice.get(&format!("/subscriptions{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
    }
}

#[tokio::test]
async fn whoever_reads_everything_sees_a_subscription_before_there_is_anything_in_one() {
    let server = Server::start().await;
    let path = format!("/subscriptions?{ARM}");
    let list = async |caller: &Caller| {
        let (found, _) = caller.pages(&path).await;
        let ids = found.iter().map(|one| one["subscriptionId"].as_str());
        ids.map(|id| id.unwrap().to_owned()).collect::<Vec<_>>()
    };
    let nil = "00000000-0000-0000-0000-000000000000";
    let agent = server.agent(CLUSTER).await;
    assert_eq!(list(&agent).await, [""; 0]);
    let root = server.principal("/", Role::Owner).await;
    assert_eq!(list(&root).await, [nil]);
    assert_eq!(
        list(&server.principal("/", Role::Reader).await).await,
        [nil]
    );
    let shown = root.get(&format!("/subscriptions/{nil}?{ARM}")).await;
    assert_eq!(shown.body["displayName"], "Gitmoor", "{}", shown.text);

    // As soon as there is anything, it is there no more, unless something is in it.
    let flux = json!({"properties": {
        "namespace": "shop", "sourceKind": "GitRepository",
        "gitRepository": {
            "url": "https://git.example.net/shop.git", "repositoryRef": {"branch": "main"},
        },
    }});
    let kind = "Microsoft.KubernetesConfiguration/fluxConfigurations";
    let flux_path = format!("{CLUSTER}/providers/{kind}/shop?api-version=2023-05-01");
    let made = root.put(&flux_path, flux).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    assert_eq!(list(&root).await, ["3f1c"]);
    let group = format!("/subscriptions/{nil}/resourceGroups/first?{ARM}");
    let made = root.put(&group, json!({"location": "oslo"})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    assert_eq!(list(&root).await, [nil, "3f1c"]);
}

#[tokio::test]
async fn providers_are_registered_and_name_their_api_versions() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let namespace = "Microsoft.KubernetesConfiguration";
    let path = format!("{SUBSCRIPTION}/providers/{namespace}?{ARM}");
    let provider = alice.get(&path).await.body;
    assert_eq!(provider["registrationState"], "Registered");
    let types = provider["resourceTypes"].as_array().unwrap();
    let own = types
        .iter()
        .find(|kind| kind["resourceType"] == "sourceControlConfigurations")
        .unwrap();
    assert_eq!(own["apiVersions"][0], "2023-05-01");
    for word in ["register", "unregister"] {
        let path = format!("{SUBSCRIPTION}/providers/{namespace}/{word}?{ARM}");
        let registered = alice.send(Method::POST, &path, Body::None).await;
        assert_eq!(registered.body, provider, "{word}");
        let refused = alice.get(&path).await;
        assert_eq!(refused.error(), (405, "MethodNotAllowed"));
        assert_eq!(refused.headers["allow"], "POST");
    }
    let (all, _) = alice
        .pages(&format!("{SUBSCRIPTION}/providers?{ARM}"))
        .await;
    assert!(all.contains(&provider));
    let other = alice
        .get(&format!("{SUBSCRIPTION}/providers/Microsoft.Storage?{ARM}"))
        .await;
    assert_eq!(other.error(), (404, "InvalidResourceNamespace"));
}

#[tokio::test]
async fn a_group_is_made_shown_tagged_and_deleted() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let path = format!("{GROUP}?{ARM}");
    assert_eq!(
        alice.get(&path).await.error(),
        (404, "ResourceGroupNotFound")
    );
    let exists = async || alice.send(Method::HEAD, &path, Body::None).await.status;
    assert_eq!(exists().await, StatusCode::NOT_FOUND);
    assert_eq!(
        alice.put(&path, json!({})).await.error(),
        (400, "LocationRequired")
    );
    let body = json!({"location": "westeurope", "tags": {"env": "prod"}});
    let created = alice.put(&path, body.clone()).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    assert_eq!(exists().await, StatusCode::NO_CONTENT);
    assert_eq!(created.body["id"], GROUP);
    assert_eq!(created.body["tags"], json!({"env": "prod"}));
    let again = alice
        .put(
            &path.to_uppercase().replace("API-VERSION", "api-version"),
            body,
        )
        .await;
    assert_eq!((again.status, &again.body), (StatusCode::OK, &created.body));
    let moved = alice.put(&path, json!({"location": "eastus"})).await;
    assert_eq!(moved.error(), (409, "InvalidResourceGroupLocation"));
    let tags = Body::Json(json!({"tags": {"env": "test"}}));
    let patched = alice.send(Method::PATCH, &path, tags).await;
    assert_eq!(patched.body["tags"], json!({"env": "test"}));
    let list = format!("{SUBSCRIPTION}/resourcegroups?{ARM}");
    assert_eq!(alice.pages(&list).await.0, [patched.body]);

    for location in [json!(7), json!("a\0b"), json!("x".repeat(91))] {
        let bad = alice.put(&path, json!({"location": location})).await;
        assert_eq!(bad.error(), (400, "InvalidRequestContent"));
    }
    for tags in [
        json!([]),
        json!({"a": 1}),
        json!({"": "x"}),
        json!({"a": "x".repeat(300)}),
    ] {
        let body = json!({"location": "westeurope", "tags": tags});
        assert_eq!(
            alice.put(&path, body).await.error(),
            (400, "InvalidRequestContent")
        );
    }
    // 256 characters, of more bytes.
    let tags = Body::Json(json!({"tags": {"env": "é".repeat(256)}}));
    let patched = alice.send(Method::PATCH, &path, tags).await;
    assert_eq!(patched.status, StatusCode::OK, "{}", patched.text);
    let reader = server.principal(GROUP, Role::Reader).await;
    assert_eq!(reader.get(&path).await.status, StatusCode::OK);
    assert_eq!(reader.delete(&path).await.status, StatusCode::FORBIDDEN);
    assert_eq!(reader.pages(&list).await.0.len(), 1);
    let elsewhere = server
        .principal(&GROUP.replace("edge", "lab"), Role::Owner)
        .await;
    assert_eq!(elsewhere.get(&path).await.status, StatusCode::FORBIDDEN);
    assert_eq!(elsewhere.pages(&list).await.0.len(), 0);
    assert_eq!(alice.delete(&path).await.status, StatusCode::OK);
    assert_eq!(
        alice.delete(&path).await.error(),
        (404, "ResourceGroupNotFound")
    );
}
