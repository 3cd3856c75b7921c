//! Answers that are no success, and what stands in their headers. All but those of the token endpoint
//! have ARM's envelope.

use serde_json::{Map, Value, json};

use super::component;

/// A status, its component, what it means, and the header that goes with it.
const REFUSALS: [(u16, &str, &str, Option<&str>); 11] = [
    (
        400,
        "BadRequest",
        "The request is wrong; for a body, each field at fault is one of the details.",
        None,
    ),
    (
        401,
        "Unauthorized",
        "There is no token, or it is not valid.",
        Some("WWW-Authenticate"),
    ),
    (
        403,
        "Forbidden",
        "The caller has no role that allows it.",
        None,
    ),
    (
        404,
        "NotFound",
        "There is no such resource, or no such path.",
        None,
    ),
    (408, "RequestTimeout", "The request took too long.", None),
    (
        409,
        "Conflict",
        "It is there already, in another location.",
        None,
    ),
    (
        412,
        "PreconditionFailed",
        "The resource is not as the caller believes.",
        None,
    ),
    (413, "ContentTooLarge", "The body is too large.", None),
    (
        429,
        "TooManyRequests",
        "The caller calls too often.",
        Some("Retry-After"),
    ),
    (
        500,
        "InternalServerError",
        "The portal failed; its log says more.",
        None,
    ),
    (
        503,
        "ServiceUnavailable",
        "The portal is busy.",
        Some("Retry-After"),
    ),
];

/// A reference to the answer of that status.
pub(super) fn refusal(status: u16) -> Value {
    let (_, name, ..) = REFUSALS
        .iter()
        .find(|(known, ..)| *known == status)
        .expect("operations name those statuses alone");
    component("responses", name)
}

/// All of them.
pub(super) fn all() -> Map<String, Value> {
    let one = |(_, name, description, header): (u16, &str, &str, Option<&str>)| {
        let mut answer = json!({
            "description": description,
            "content": {"application/json": {"schema": component("schemas", "ErrorResponse")}},
        });
        if let Some(header) = header {
            answer["headers"] = json!({header: {"required": true, "schema": {"type": "string"}}});
        }
        (name.to_owned(), answer)
    };
    REFUSALS.into_iter().map(one).collect()
}
