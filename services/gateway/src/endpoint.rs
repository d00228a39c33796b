//! One endpoint: where it is, what answers there, and what its clients are told of it.
//!
//! The router and the OpenAPI document are both made of these, so that neither can have an endpoint that the other
//! lacks.

use actix_web::{FromRequest, Handler, Responder, Route, guard, http::Method, web};
use proto_msgs::api::ApiRole;

/// An endpoint, made by [`get`], [`post`], [`put`] or [`delete`].
pub struct Endpoint {
    pub method: Method,
    pub path: &'static str,
    pub route: Route,
    /// What generated clients call it.
    pub name: &'static str,
    pub summary: &'static str,
    /// The least role that may call it; none: no token is needed.
    pub role: Option<ApiRole>,
    /// Parameters of the document's components, besides those in the path.
    pub parameters: &'static [&'static str],
    /// Schema of the body; none: a body is refused.
    pub body: Option<&'static str>,
    /// The body may be left out.
    pub is_body_optional: bool,
    pub status: u16,
    pub content: Content,
    pub has_etag: bool,
}

/// What a good answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// JSON of this schema.
    Json(&'static str),
    /// The document itself.
    OpenApi,
    Markdown,
    /// The connection becomes a WebSocket, whose messages have this schema.
    WebSocket(&'static str),
}

/// An endpoint that reads; a viewer may. HEAD gets the same answer without its body, as HTTP wants it.
pub fn get<F, Args>(path: &'static str, name: &'static str, handler: F) -> Draft
where
    F: Handler<Args, Output: Responder + 'static>,
    Args: FromRequest + 'static,
{
    let route = web::route().guard(guard::Any(guard::Get()).or(guard::Head())).to(handler);
    Draft { method: Method::GET, path, name, route, role: ApiRole::Viewer, status: 200 }
}

/// An endpoint that starts what goes on after the answer; an operator may.
pub fn post<F, Args>(path: &'static str, name: &'static str, handler: F) -> Draft
where
    F: Handler<Args, Output: Responder + 'static>,
    Args: FromRequest + 'static,
{
    Draft { method: Method::POST, path, name, route: web::post().to(handler), role: ApiRole::Operator, status: 202 }
}

/// An endpoint that puts what it is given in place of what is there; an operator may.
pub fn put<F, Args>(path: &'static str, name: &'static str, handler: F) -> Draft
where
    F: Handler<Args, Output: Responder + 'static>,
    Args: FromRequest + 'static,
{
    Draft { method: Method::PUT, path, name, route: web::put().to(handler), role: ApiRole::Operator, status: 200 }
}

/// An endpoint that takes something away, which goes on after the answer; an operator may.
pub fn delete<F, Args>(path: &'static str, name: &'static str, handler: F) -> Draft
where
    F: Handler<Args, Output: Responder + 'static>,
    Args: FromRequest + 'static,
{
    Draft { method: Method::DELETE, path, name, route: web::delete().to(handler), role: ApiRole::Operator, status: 202 }
}

/// An endpoint of which it is not said yet what it gives.
pub struct Draft {
    method: Method,
    path: &'static str,
    name: &'static str,
    route: Route,
    role: ApiRole,
    status: u16,
}

impl Draft {
    pub fn gives(self, content: Content, summary: &'static str) -> Endpoint {
        let Self { method, path, name, route, role, status } = self;
        Endpoint {
            method,
            path,
            route,
            name,
            summary,
            role: Some(role),
            parameters: &[],
            body: None,
            is_body_optional: false,
            status,
            content,
            has_etag: false,
        }
    }
}

impl Endpoint {
    /// Nobody needs a token.
    pub fn public(self) -> Self {
        Self { role: None, ..self }
    }

    pub fn takes(self, parameters: &'static [&'static str]) -> Self {
        Self { parameters, ..self }
    }

    pub fn body(self, schema: &'static str) -> Self {
        Self { body: Some(schema), ..self }
    }

    pub fn optional_body(self, schema: &'static str) -> Self {
        Self { body: Some(schema), is_body_optional: true, ..self }
    }

    /// Where it is not 200, or 202 for what goes on.
    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// The answer has the revision in an `ETag`.
    pub fn with_etag(self) -> Self {
        Self { has_etag: true, ..self }
    }
}
