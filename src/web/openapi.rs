//! The API's own description.

use actix_web::{HttpResponse, Responder};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{OpenApi as Document, PathItem};
use utoipa::{Modify, OpenApi};

use super::routes::{Access, ROUTES};
use super::{claim, disks, holds, live, log, metrics, page, segments, sign_in, streams};

/// The document as it is served.
#[derive(OpenApi)]
#[openapi(
    info(title = "Hearthkeep", description = "Sealed footage, handed out as it lies on the disk. Times are µs since 1970-01-01 UTC, ids hex, bytes base64."),
    paths(
        page::index, claim::authority, claim::state, claim::claim, sign_in::parameters, sign_in::sign_in, sign_in::sign_out,
        sign_in::session, streams::keyring, streams::streams, streams::timeline, segments::segment, segments::index, live::live,
        streams::status, disks::list, disks::add, disks::drain, disks::keep, disks::retire, log::checkpoint, log::entries,
        log::consistency, log::inclusion, metrics::metrics, holds::list, holds::add, holds::end, document,
    ),
    modifiers(&Security)
)]
pub struct Api;

struct Security;

impl Modify for Security {
    /// Who may ask what comes from the table of routes, so that the document cannot say otherwise.
    fn modify(&self, document: &mut Document) {
        let cookie =
            ApiKeyValue::with_description("__Host-hearthkeep", "The cookie of a login session");
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The token in metrics.token of the state folder"))
            .build();
        components.add_security_scheme("metrics", SecurityScheme::Http(bearer));
        let needs_session = || SecurityRequirement::new("session", [] as [&str; 0]);
        document.security = Some(vec![needs_session()]);
        for entry in ROUTES {
            let needs = match entry.access {
                Access::SignedIn => continue,
                Access::Public => Vec::new(),
                Access::Monitor => vec![
                    needs_session(),
                    SecurityRequirement::new("metrics", [] as [&str; 0]),
                ],
            };
            let item = document.paths.paths.get_mut(entry.path);
            for operation in item.into_iter().flat_map(operations) {
                operation.security = Some(needs.clone());
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut utoipa::openapi::path::Operation> {
    [item.get.as_mut(), item.post.as_mut()]
        .into_iter()
        .flatten()
}

/// `GET /api/v1/openapi.json`
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "box",
    responses((status = 200, description = "This document", content_type = "application/json")))]
pub async fn document() -> impl Responder {
    HttpResponse::Ok().json(Api::openapi())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_described_and_nothing_else_is() {
        let document = serde_json::to_value(Api::openapi()).unwrap();
        let mut described = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let is_public = operation
                    .get("security")
                    .is_some_and(|security| security.as_array().unwrap().is_empty());
                described.insert((method.to_uppercase(), path.clone(), is_public));
            }
        }
        let routes = ROUTES.iter().map(|entry| {
            (
                entry.method.to_string(),
                entry.path.to_owned(),
                entry.access == Access::Public,
            )
        });
        assert_eq!(described, routes.collect());
        assert_eq!(document["security"][0]["session"], serde_json::json!([]));
        let disk = &document["components"]["schemas"]["DiskStatus"]["properties"];
        assert!(disk["scrub"].is_object(), "what it holds is described too");
        assert!(document["components"]["schemas"]["ScrubFinding"].is_object());
    }
}
