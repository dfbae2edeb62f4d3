//! Answers that the proxy gives by itself when there is nothing to pass on, in the form that the
//! asker reads: text for a terminal, HTML for a browser, problem details (RFC 9457) for a program.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

const PAGE: &str = include_str!("../../assets/error.html");

/// Why a request could not be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The request breaks the named rule.
    Malformed(&'static str),
    /// CONNECT would make this an open tunnel.
    ConnectMethod,
    UnknownHost,
    /// The connection was made for another app's name (RFC 9110 §15.5.20).
    Misdirected,
    /// The route has no backend at all.
    NoBackend,
    /// No connection to any backend came about.
    Unreachable,
    /// The backend hung up or answered nonsense.
    Broken,
    /// The backend did not answer in time.
    TimedOut,
    /// The client's body did not come.
    BodyStalled,
}

/// What the asker likes to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    Terminal,
    Browser,
    Program,
}

impl Reader {
    /// By the Accept header.
    pub(super) fn of(accept: Option<&HeaderValue>) -> Self {
        let Some(accept) = accept.map(HeaderValue::as_bytes) else { return Self::Terminal };
        let names = |kind: &[u8]| memchr::memmem::find(accept, kind).is_some();
        if accept == b"*/*" {
            Self::Terminal
        } else if names(b"text/html") {
            Self::Browser
        } else if names(b"application/json") || names(b"application/problem+json") {
            Self::Program
        } else {
            Self::Terminal
        }
    }
}

impl Fault {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::ConnectMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnknownHost => StatusCode::NOT_FOUND,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::NoBackend => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unreachable | Self::Broken => StatusCode::BAD_GATEWAY,
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            Self::BodyStalled => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// A stable name for programs.
    fn code(self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed_request",
            Self::ConnectMethod => "method_not_allowed",
            Self::UnknownHost => "unknown_host",
            Self::Misdirected => "misdirected_request",
            Self::NoBackend => "no_backend",
            Self::Unreachable => "backend_unreachable",
            Self::Broken => "backend_broken",
            Self::TimedOut => "backend_timeout",
            Self::BodyStalled => "body_timeout",
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Malformed(rule) => rule,
            Self::ConnectMethod => "CONNECT is not served here.",
            Self::UnknownHost => "No app is deployed under this address.",
            Self::Misdirected => "The connection was made for another name.",
            Self::NoBackend => "The app has no running instance at the moment.",
            Self::Unreachable => "The app could not be reached.",
            Self::Broken => "The app closed the connection without a complete answer.",
            Self::TimedOut => "The app did not answer in time.",
            Self::BodyStalled => "The request's body did not arrive in time.",
        }
    }

    /// Whether the connection must not be used again: it is unknown where the next request begins.
    fn closes(self) -> bool {
        matches!(self, Self::Malformed(_) | Self::ConnectMethod | Self::BodyStalled)
    }

    /// The whole answer.
    pub(super) fn answer(self, reader: Reader, request_id: &HeaderValue, http2: bool) -> (Response<()>, Bytes) {
        let status = self.status();
        let id = request_id.to_str().unwrap_or_default();
        let title = status.canonical_reason().unwrap_or_default();
        let (kind, body) = match reader {
            Reader::Terminal => {
                ("text/plain; charset=utf-8", format!("{} {title}: {}\nrequest id: {id}\n", status.as_u16(), self.reason()))
            }
            Reader::Browser => ("text/html; charset=utf-8", self.page(title, id)),
            Reader::Program => ("application/problem+json", self.problem(title, id)),
        };
        let body = Bytes::from(body);
        let mut answer = Response::new(());
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(std::time::SystemTime::now())) {
            headers.insert(header::DATE, date);
        }
        if self == Self::NoBackend {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        if self == Self::ConnectMethod {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
        }
        if self.closes() && !http2 {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        (answer, body)
    }

    fn page(self, title: &str, id: &str) -> String {
        PAGE.replace("{status}", self.status().as_str()).replace("{title}", title).replace("{reason}", self.reason()).replace("{id}", id)
    }

    fn problem(self, title: &str, id: &str) -> String {
        let problem = serde_json::json!({
            "type": "about:blank",
            "title": title,
            "status": self.status().as_u16(),
            "detail": self.reason(),
            "code": self.code(),
            "request_id": id,
        });
        format!("{problem}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(accept: &'static str) -> Reader {
        Reader::of(Some(&HeaderValue::from_static(accept)))
    }

    #[test]
    fn readers_are_told_apart_by_accept() {
        assert_eq!(Reader::of(None), Reader::Terminal);
        assert_eq!(reader("*/*"), Reader::Terminal);
        assert_eq!(reader("text/html,application/xhtml+xml,*/*;q=0.8"), Reader::Browser);
        assert_eq!(reader("application/json"), Reader::Program);
        assert_eq!(reader("application/json, text/plain, */*"), Reader::Program);
        assert_eq!(reader("image/png"), Reader::Terminal);
    }

    #[test]
    fn every_place_in_the_page_is_filled() {
        let (answer, body) = Fault::UnknownHost.answer(Reader::Browser, &HeaderValue::from_static("id-1"), false);
        let page = String::from_utf8(body.to_vec()).expect("text");
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        assert!(
            page.contains("404") && page.contains("Not Found") && page.contains("No app is deployed") && page.contains("id-1"),
            "{page}"
        );
        for place in ["{status}", "{title}", "{reason}", "{id}"] {
            assert!(!page.contains(place), "{place}");
        }
    }
}
