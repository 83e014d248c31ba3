//! A fake model: as much of the agents' own protocols as they use, so that the real agents run without
//! a key and without the network; where a test demands one, with a [`Login`]. It answers from a script:
//! each step in turn as a call of the agent's own tool, then a closing text. It must never reach out
//! itself, and keeps every request for the test to read.

mod chat;
mod gemini;
mod http;
pub(crate) mod login;
mod messages;
mod responses;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use self::http::Answer;
use self::login::Login;

/// What the model will do.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// Ordered one after the other, each when the one before has its result.
    pub(crate) steps: Vec<Step>,
    /// Said when all is done.
    pub(crate) closing: String,
}

/// One use of a tool of the agent's.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A command for its shell.
    Shell(String),
    /// An address for what reads pages of the web.
    Fetch(String),
}

/// One request, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// The `Host` it was meant for.
    pub(crate) host: String,
    pub(crate) path: String,
    /// The token that it came with, empty where it had none.
    pub(crate) bearer: String,
    /// The parsed body, `null` where there is none.
    pub(crate) body: Value,
}

/// A page that [`Step::Fetch`] may read, at every name that leads to the server.
pub(crate) const PAGE: &str = "/page";

/// What is on it.
pub(crate) const PAGE_TEXT: &str = "The kettle is on the second shelf.";

/// The server; it lives as long as the process.
#[derive(Clone, Debug)]
pub(crate) struct ModelServer {
    address: SocketAddr,
    script: Arc<Script>,
    login: Login,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl ModelServer {
    /// Listens on a free port of 127.0.0.1, or on `port`.
    pub(crate) fn start(script: Script, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let address = listener.local_addr()?;
        let (script, login) = (Arc::new(script), Login::default());
        let server = Self { address, script, login, requests: Arc::default() };
        let serving = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = serving.clone();
                thread::spawn(move || {
                    let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
                    server.serve(&stream);
                });
            }
        });
        Ok(server)
    }

    /// What `ANTHROPIC_BASE_URL` must be.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The port of this machine's loopback at which it listens.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The login that it demands, or none.
    pub(crate) fn login(&self) -> &Login {
        &self.login
    }

    /// Every request so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The texts of all tool results that the agent sent back, in order, without repetition.
    pub(crate) fn tool_results(&self) -> Vec<String> {
        let mut results = Vec::new();
        for request in self.requests() {
            let body = &request.body;
            let texts = [
                chat::results(body),
                gemini::results(body),
                messages::results(body),
                responses::results(body),
            ];
            for text in texts.concat() {
                if !results.contains(&text) {
                    results.push(text);
                }
            }
        }
        results
    }

    /// Serves one connection: one request, one answer, closed.
    pub(crate) fn serve(&self, mut stream: impl Read + Write) {
        let Ok(request) = http::read_request(&mut stream) else { return };
        let answer = answer(&request, &self.script, &self.login);
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        // An agent that has gone away is no failure of the server.
        let _ = http::write_answer(&mut stream, &answer);
    }
}

fn answer(request: &Request, script: &Script, login: &Login) -> Answer {
    let path = request.path.split('?').next().unwrap_or_default();
    let text =
        |body: &str| Answer { status: "200 OK", content_type: "text/plain", body: body.to_owned() };
    match (request.method.as_str(), path) {
        ("HEAD", _) => text(""),
        ("GET", PAGE) => text(PAGE_TEXT),
        _ => login
            .answer(request, path)
            .or_else(|| messages::answer(&request.method, path, &request.body, script))
            .or_else(|| gemini::answer(&request.method, path, &request.body, script))
            .or_else(|| responses::answer(&request.method, path, &request.body, script))
            .or_else(|| chat::answer(&request.method, path, &request.body, script))
            .unwrap_or_else(|| {
                let error = json!({"type": "not_found_error", "message": "not faked"});
                Answer::json("404 Not Found", &json!({"type": "error", "error": error}))
            }),
    }
}
