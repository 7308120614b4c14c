//! Answers of the services, asked as a client would ask but without a socket, and what every answer is.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, header};
use http_body_util::BodyExt;
use serde_json::Value;
use sluice_wire::PROBLEM_JSON;
use tower::ServiceExt;

use crate::input::assert_message;

/// No answer to a request that publishes nothing and finds nothing is longer.
const PROBLEM_BYTES_MAX: usize = 4_096;

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Asks, and reads the whole answer, which is whole and no failure of the server.
    pub(crate) async fn to(router: &Router, request: Request<Body>) -> Self {
        let Ok(response) = router.clone().oneshot(request).await;
        let (head, body) = response.into_parts();
        let answer = Self {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes().to_vec(),
        };
        assert!(answer.status < 500, "{} {:?}", answer.status, answer.body.escape_ascii().to_string());
        if answer.status >= 400 && !answer.body.is_empty() {
            answer.assert_problem();
        }
        answer
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn assert_problem(&self) {
        assert_eq!(self.headers.get(header::CONTENT_TYPE).unwrap(), PROBLEM_JSON);
        assert!(self.body.len() <= PROBLEM_BYTES_MAX, "{} bytes to say no", self.body.len());
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert_problem(&problem);
    }
}

/// What a problem says is a sentence for a human: one line, bounded, whatever was sent.
pub(crate) fn assert_problem(problem: &Value) {
    assert!(problem["type"].as_str().is_some_and(|uri| !uri.is_empty()), "{problem}");
    assert_message(problem["title"].as_str().unwrap());
    let detail = problem["detail"].as_str().unwrap();
    assert_message(detail);
    // What the parser calls things is nobody's business outside.
    for word in ["struct ", "tuple", "newtype", "enum ", "EventBody", "BatchEvent", "RawValue"] {
        assert!(!detail.contains(word), "{detail}");
    }
}
