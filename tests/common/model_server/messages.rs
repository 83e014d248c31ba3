//! The Anthropic Messages API, with and without server-sent events: Claude Code's.

use serde_json::{Value, json};

use super::http::Answer;
use super::{Script, Step};

/// The answer to a request of this protocol.
pub(super) fn answer(method: &str, path: &str, body: &Value, script: &Script) -> Option<Answer> {
    Some(match (method, path) {
        ("POST", "/v1/messages") => {
            let message = message(body, script);
            if body["stream"] == json!(true) {
                Answer::events(server_sent_events(&message))
            } else {
                Answer::json("200 OK", &message)
            }
        }
        ("POST", "/v1/messages/count_tokens") => {
            Answer::json("200 OK", &json!({"input_tokens": 9}))
        }
        ("GET", "/v1/models") => Answer::json(
            "200 OK",
            &json!({"data": [{"type": "model", "id": "claude-fake", "display_name": "Fake",
                "created_at": "2025-01-01T00:00:00Z"}], "has_more": false}),
        ),
        // Whether a page may be read, which is asked before WebFetch does.
        ("GET", "/api/web/domain_info") => {
            Answer::json("200 OK", &json!({"domain": "", "can_fetch": true}))
        }
        _ => return None,
    })
}

/// The next step of the script. How far it has come is read from the conversation itself, so that
/// repeated and parallel requests (titles, summaries) cannot advance it.
fn message(body: &Value, script: &Script) -> Value {
    let has = |tool: &str| {
        let tools = body["tools"].as_array();
        tools.is_some_and(|tools| tools.iter().any(|offered| offered["name"] == json!(tool)))
    };
    let (searched, done): (Vec<Value>, Vec<Value>) =
        result_blocks(body).into_iter().partition(|block| block["tool_use_id"] == json!(SEARCH));
    let call = script.steps.get(done.len()).map(|step| match step {
        Step::Shell(command) => {
            ("Bash", json!({"command": command, "description": "Do the next step"}))
        }
        Step::Fetch(url) => ("WebFetch", json!({"url": url, "prompt": "Say what it says."})),
    });
    let id = format!("toolu_fake_{}", done.len());
    let order = |id: &str, tool: &str, input: Value| {
        (json!({"type": "tool_use", "id": id, "name": tool, "input": input}), "tool_use")
    };
    let (content, stop) = match call {
        Some((tool, input)) if has(tool) => order(&id, tool, input),
        // Tools that are not offered at first have to be asked for.
        Some((tool, input)) if has("ToolSearch") => {
            if searched.is_empty() {
                order(SEARCH, "ToolSearch", json!({"query": format!("select:{tool}")}))
            } else {
                order(&id, tool, input)
            }
        }
        _ => (json!({"type": "text", "text": script.closing}), "end_turn"),
    };
    json!({
        "id": format!("msg_fake_{}", done.len()), "type": "message", "role": "assistant",
        "model": body["model"], "content": [content],
        "stop_reason": stop, "stop_sequence": null,
        "usage": {"input_tokens": 9, "output_tokens": 9},
    })
}

/// Whose result says that a tool is there now.
const SEARCH: &str = "toolu_search";

/// The texts of the tool results in a conversation.
pub(super) fn results(body: &Value) -> Vec<String> {
    let blocks = result_blocks(body);
    let steps = blocks.iter().filter(|block| block["tool_use_id"] != json!(SEARCH));
    steps.map(|block| text(&block["content"])).collect()
}

fn result_blocks(body: &Value) -> Vec<Value> {
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    messages
        .iter()
        .filter_map(|message| message["content"].as_array())
        .flatten()
        .filter(|block| block["type"] == json!("tool_result"))
        .cloned()
        .collect()
}

fn text(content: &Value) -> String {
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
