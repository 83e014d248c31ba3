//! A fake model on loopback: as much of the Anthropic Messages API as Claude Code uses, with and
//! without server-sent events, so that the real agent runs without a key and without the network.
//! It answers from a script: each command in turn as a call of the agent's own Bash tool, then a
//! closing text. It must never reach out itself, and keeps every request for the test to read.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// What the model will do.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// Run one after the other through the Bash tool, each when the one before has its result.
    pub(crate) commands: Vec<String>,
    /// Said when all commands have run.
    pub(crate) closing: String,
}

/// One request, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// The parsed body, `null` where there is none.
    pub(crate) body: Value,
}

/// The server; it lives as long as the process.
#[derive(Debug)]
pub(crate) struct ModelServer {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl ModelServer {
    /// Listens on a free port of 127.0.0.1, or on `port`.
    pub(crate) fn start(script: Script, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let server =
            Self { address: listener.local_addr()?, requests: Arc::new(Mutex::new(Vec::new())) };
        let requests = Arc::clone(&server.requests);
        let script = Arc::new(script);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, requests) = (Arc::clone(&script), Arc::clone(&requests));
                thread::spawn(move || serve(&stream, &script, &requests));
            }
        });
        Ok(server)
    }

    /// What `ANTHROPIC_BASE_URL` must be.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The texts of all tool results that the agent sent back, in order, without repetition.
    pub(crate) fn tool_results(&self) -> Vec<String> {
        let mut results = Vec::new();
        for request in self.requests() {
            for block in tool_result_blocks(&request.body) {
                let text = block_text(&block["content"]);
                if !results.contains(&text) {
                    results.push(text);
                }
            }
        }
        results
    }
}

/// Serves one connection: one request, one answer, closed.
fn serve(stream: &TcpStream, script: &Script, requests: &Mutex<Vec<Request>>) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
    let Ok(request) = read_request(stream) else { return };
    let answer = answer(&request, script);
    requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    // An agent that has gone away is no failure of the server.
    let _ = write_answer(stream, &answer);
}

fn read_request(stream: &TcpStream) -> io::Result<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let (mut length, mut chunked) = (0, false);
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').unwrap_or((&header, ""));
        match (name.to_ascii_lowercase().as_str(), value.trim()) {
            ("content-length", value) => length = value.parse().unwrap_or(0),
            ("transfer-encoding", value) => chunked = value.eq_ignore_ascii_case("chunked"),
            ("expect", _) => (&*stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?,
            _ => {}
        }
    }
    let body = if chunked { read_chunks(&mut reader)? } else { read_exactly(&mut reader, length)? };
    Ok(Request { method, path, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
}

fn read_exactly(reader: &mut impl io::Read, length: usize) -> io::Result<Vec<u8>> {
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(body)
}

fn read_chunks(reader: &mut impl io::BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
        body.extend(read_exactly(reader, size)?);
        reader.read_line(&mut String::new())?;
        if size == 0 {
            return Ok(body);
        }
    }
}

struct Answer {
    status: &'static str,
    content_type: &'static str,
    body: String,
}

fn json_answer(status: &'static str, body: &Value) -> Answer {
    Answer { status, content_type: "application/json", body: body.to_string() }
}

fn write_answer(mut stream: &TcpStream, answer: &Answer) -> io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {}\r\ncontent-type: {}\r\ncontent-length: {}\r\nrequest-id: req_fake\r\nconnection: close\r\n\r\n{}",
        answer.status,
        answer.content_type,
        answer.body.len(),
        answer.body
    )
}

fn answer(request: &Request, script: &Script) -> Answer {
    let path = request.path.split('?').next().unwrap_or_default();
    match (request.method.as_str(), path) {
        ("POST", "/v1/messages") => {
            let message = message(&request.body, script);
            if request.body["stream"] == json!(true) {
                Answer {
                    status: "200 OK",
                    content_type: "text/event-stream",
                    body: server_sent_events(&message),
                }
            } else {
                json_answer("200 OK", &message)
            }
        }
        ("POST", "/v1/messages/count_tokens") => json_answer("200 OK", &json!({"input_tokens": 9})),
        ("GET", "/v1/models") => json_answer(
            "200 OK",
            &json!({"data": [{"type": "model", "id": "claude-fake", "display_name": "Fake",
                "created_at": "2025-01-01T00:00:00Z"}], "has_more": false}),
        ),
        ("HEAD", _) => Answer { status: "200 OK", content_type: "text/plain", body: String::new() },
        _ => json_answer(
            "404 Not Found",
            &json!({"type": "error",
                "error": {"type": "not_found_error", "message": "not faked"}}),
        ),
    }
}

/// The next step of the script. How far it has come is read from the conversation itself, so that
/// repeated and parallel requests (titles, summaries) cannot advance it.
fn message(body: &Value, script: &Script) -> Value {
    let has_bash = body["tools"]
        .as_array()
        .is_some_and(|tools| tools.iter().any(|tool| tool["name"] == json!("Bash")));
    let done = tool_result_blocks(body).len();
    let (content, stop) = match script.commands.get(done) {
        Some(command) if has_bash => (
            json!({"type": "tool_use", "id": format!("toolu_fake_{done}"), "name": "Bash",
                "input": {"command": command, "description": "Do the next step"}}),
            "tool_use",
        ),
        _ => (json!({"type": "text", "text": script.closing}), "end_turn"),
    };
    json!({
        "id": format!("msg_fake_{done}"), "type": "message", "role": "assistant",
        "model": body["model"], "content": [content],
        "stop_reason": stop, "stop_sequence": null,
        "usage": {"input_tokens": 9, "output_tokens": 9},
    })
}

fn tool_result_blocks(body: &Value) -> Vec<Value> {
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    messages
        .iter()
        .filter_map(|message| message["content"].as_array())
        .flatten()
        .filter(|block| block["type"] == json!("tool_result"))
        .cloned()
        .collect()
}

fn block_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part["text"].as_str()).collect::<String>()
        }
        _ => String::new(),
    }
}

/// A whole message as the events of a stream.
fn server_sent_events(message: &Value) -> String {
    let block = &message["content"][0];
    let (empty, delta) = if block["type"] == json!("tool_use") {
        let mut empty = block.clone();
        empty["input"] = json!({});
        let input = block["input"].to_string();
        (empty, json!({"type": "input_json_delta", "partial_json": input}))
    } else {
        (json!({"type": "text", "text": ""}), json!({"type": "text_delta", "text": block["text"]}))
    };
    let mut opened = message.clone();
    opened["content"] = json!([]);
    opened["stop_reason"] = Value::Null;
    let events = [
        json!({"type": "message_start", "message": opened}),
        json!({"type": "content_block_start", "index": 0, "content_block": empty}),
        json!({"type": "content_block_delta", "index": 0, "delta": delta}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "usage": {"output_tokens": 9},
            "delta": {"stop_reason": message["stop_reason"], "stop_sequence": null}}),
        json!({"type": "message_stop"}),
    ];
    let frame = |event: &Value| {
        let name = event["type"].as_str().unwrap_or_default();
        format!("event: {name}\ndata: {event}\n\n")
    };
    events.iter().map(frame).collect::<Vec<String>>().concat()
}
