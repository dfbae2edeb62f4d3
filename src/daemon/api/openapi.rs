//! The description of the API, made from the routes themselves: OpenAPI 3.1.

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{Components, Ref};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi, RefOr};
use utoipa::{PartialSchema as _, ToSchema};

use crate::config::tokens::Scope;
use crate::wire::Problem;

/// This document
#[utoipa::path(get, path = "/openapi.json", operation_id = "get_description", responses((status = 200, description = "OpenAPI 3.1")))]
pub async fn document() -> impl IntoResponse {
    static TEXT: LazyLock<String> = LazyLock::new(text);
    ([(CONTENT_TYPE, "application/json")], TEXT.as_str())
}

/// The document as it is served and as it is committed for review.
pub fn text() -> String {
    let mut text = describe().to_pretty_json().expect("invariant: the description serialises");
    text.push('\n');
    text
}

fn describe() -> OpenApi {
    let (_, open) = super::open().split_for_parts();
    let mut document = open;
    for (scope, routes) in [(Scope::Read, super::reading()), (Scope::Deploy, super::deploying()), (Scope::Admin, super::administering())] {
        let (_, mut guarded) = routes.split_for_parts();
        for operation in guarded.paths.paths.values_mut().flat_map(operations) {
            operation.security = Some(vec![SecurityRequirement::new("token", [scope.to_string()])]);
        }
        document.merge(guarded);
    }
    document.info = InfoBuilder::new()
        .title("haloyd")
        .version("1")
        .description(Some("Deploys, watches and changes the apps of one server. Every refusal is an RFC 9457 problem."))
        .build();
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        describe_answers(operation);
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build();
        let refusal = ResponseBuilder::new().description("Why not").content("application/problem+json", problem).build();
        operation.responses.responses.insert("default".to_owned(), refusal.into());
    }
    let components = document.components.get_or_insert_with(Components::new);
    let mut schemas = Vec::new();
    Problem::schemas(&mut schemas);
    components.schemas.extend(schemas);
    components.schemas.insert(Problem::name().into_owned(), Problem::schema());
    components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    document
}

/// OpenAPI 3.1 wants a description of every response.
fn describe_answers(operation: &mut Operation) {
    for (status, answer) in &mut operation.responses.responses {
        if let RefOr::T(answer) = answer {
            answer.description = match status.as_str() {
                "202" => "Written down. The job tells what becomes of it.".to_owned(),
                _ => "What was asked for".to_owned(),
            };
        }
    }
}

/// Our routes answer these methods.
fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [item.get.as_mut(), item.put.as_mut(), item.post.as_mut(), item.delete.as_mut()].into_iter().flatten()
}
