//! Who may ask the fake model. At first anybody with any key; once a [`Login`] is demanded, only who has
//! its access token, which is renewed as Claude Code's is: with a refresh token that is good once, and
//! that takes the access token before it along.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::Request;
use super::http::Answer;

/// Where a token is renewed.
pub(crate) const RENEWAL: &str = "/v1/oauth/token";

/// The one login of a server; its tokens are numbered from 1. 0 is that none is demanded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Login(Arc<AtomicU32>);

/// The access token of a number.
pub(crate) fn access_token(number: u32) -> String {
    format!("sk-ant-oat01-fake-{number}")
}

/// The refresh token that belongs to it.
pub(crate) fn refresh_token(number: u32) -> String {
    format!("sk-ant-ort01-fake-{number}")
}

impl Login {
    /// Demands the next token from now on; what was good before is so no longer. Its number.
    pub(crate) fn renew(&self) -> u32 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The answer to a request that is about the login, or that is refused for want of it.
    pub(super) fn answer(&self, request: &Request, path: &str) -> Option<Answer> {
        let number = self.0.load(Ordering::SeqCst);
        if number == 0 {
            return None;
        }
        if path == RENEWAL {
            return Some(self.renewal(&request.body, number));
        }
        let asks = path.starts_with("/v1/messages") || path.starts_with("/api/oauth/");
        if asks && request.bearer != access_token(number) {
            let message = "OAuth token has expired. Please obtain a new token.";
            let error = json!({"type": "authentication_error", "message": message});
            let body = json!({"type": "error", "error": error});
            return Some(Answer::json("401 Unauthorized", &body));
        }
        (path == "/api/oauth/profile").then(|| Answer::json("200 OK", &profile()))
    }

    fn renewal(&self, body: &Value, number: u32) -> Answer {
        let good = body["grant_type"] == json!("refresh_token")
            && body["refresh_token"] == json!(refresh_token(number));
        let next = number + 1;
        // Of two at once, the second has an old token.
        let renewed = good
            && self.0.compare_exchange(number, next, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if !renewed {
            let body = json!({"error": "invalid_grant",
                "error_description": "Refresh token not found or invalid"});
            return Answer::json("400 Bad Request", &body);
        }
        Answer::json(
            "200 OK",
            &json!({"token_type": "Bearer", "expires_in": 28800, "scope": body["scope"],
                "access_token": access_token(next), "refresh_token": refresh_token(next)}),
        )
    }
}

/// Whose login it is.
fn profile() -> Value {
    json!({
        "account": {"uuid": "00000000-0000-4000-8000-000000000001", "email": "user@example.invalid",
            "full_name": "User", "display_name": "User", "created_at": "2025-01-01T00:00:00Z"},
        "organization": {"uuid": "00000000-0000-4000-8000-000000000002", "name": "Example",
            "organization_type": "claude_max", "rate_limit_tier": "default_claude_max_5x"},
    })
}
