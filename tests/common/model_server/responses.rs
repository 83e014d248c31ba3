//! OpenAI's Responses API, as server-sent events or whole: Codex's.

use serde_json::{Value, json};

use super::http::Answer;
use super::{Script, Step};

/// The answer to a request of this protocol.
pub(super) fn answer(method: &str, path: &str, body: &Value, script: &Script) -> Option<Answer> {
    if method != "POST" || !path.ends_with("/responses") {
        return None;
    }
    let response = response(body, script);
    Some(if body["stream"] == json!(true) {
        Answer::events(server_sent_events(&response))
    } else {
        Answer::json("200 OK", &response)
    })
}

/// The next step of the script, by how many results the conversation holds.
fn response(body: &Value, script: &Script) -> Value {
    let done = outputs(body).len();
    let call = script.steps.get(done).and_then(|step| call(body, step));
    let item = match call {
        Some((tool, arguments)) => json!({
            "type": "function_call", "id": format!("fc_{done}"), "call_id": format!("call_{done}"),
            "name": tool, "arguments": arguments.to_string(), "status": "completed",
        }),
        None => json!({
            "type": "message", "id": format!("msg_{done}"), "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": script.closing, "annotations": []}],
        }),
    };
    json!({
        "id": format!("resp_{done}"), "object": "response", "created_at": 1_735_689_600,
        "status": "completed", "model": body["model"], "output": [item],
        "usage": {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 9, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 18},
    })
}

/// The tool that serves for a step, of those that are offered, and its arguments.
fn call(body: &Value, step: &Step) -> Option<(&'static str, Value)> {
    let calls = match step {
        Step::Shell(command) => vec![
            ("exec_command", json!({"cmd": command})),
            ("shell_command", json!({"command": command})),
            ("bash", json!({"command": command, "description": "Do the next step"})),
            ("shell", json!({"command": ["bash", "-c", command]})),
        ],
        Step::Fetch(url) => vec![("webfetch", json!({"url": url, "format": "text"}))],
    };
    let tools = body["tools"].as_array();
    let offered = |name| {
        tools.is_some_and(|tools| tools.iter().any(|tool| tool["name"] == json!(name)))
    };
    calls.into_iter().find(|(name, _)| offered(*name))
}

/// The texts of the tool results in a conversation.
pub(super) fn results(body: &Value) -> Vec<String> {
    outputs(body).iter().map(text).collect()
}

fn outputs(body: &Value) -> Vec<Value> {
    let items = body["input"].as_array().into_iter().flatten();
    let outputs = items.filter(|item| item["type"] == json!("function_call_output"));
    outputs.map(|item| item["output"].clone()).collect()
}

fn text(output: &Value) -> String {
    match output {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part["text"].as_str()).collect::<String>()
        }
        other => other.to_string(),
    }
}

/// A whole response as the events of a stream.
fn server_sent_events(response: &Value) -> String {
    let item = &response["output"][0];
    let mut opened = response.clone();
    opened["status"] = json!("in_progress");
    opened["output"] = json!([]);
    let mut empty = item.clone();
    empty["status"] = json!("in_progress");
    let mut events = vec![json!({"type": "response.created", "response": opened})];
    if item["type"] == json!("function_call") {
        empty["arguments"] = json!("");
        let (id, arguments) = (&item["id"], &item["arguments"]);
        events.push(json!({"type": "response.output_item.added", "output_index": 0, "item": empty}));
        events.push(json!({"type": "response.function_call_arguments.delta", "output_index": 0,
            "item_id": id, "delta": arguments}));
        events.push(json!({"type": "response.function_call_arguments.done", "output_index": 0,
            "item_id": id, "arguments": arguments}));
    } else {
        empty["content"] = json!([]);
        let (id, part) = (&item["id"], &item["content"][0]);
        let none = json!({"type": "output_text", "text": "", "annotations": []});
        events.push(json!({"type": "response.output_item.added", "output_index": 0, "item": empty}));
        events.push(json!({"type": "response.content_part.added", "output_index": 0,
            "content_index": 0, "item_id": id, "part": none}));
        events.push(json!({"type": "response.output_text.delta", "output_index": 0,
            "content_index": 0, "item_id": id, "delta": part["text"]}));
        events.push(json!({"type": "response.output_text.done", "output_index": 0,
            "content_index": 0, "item_id": id, "text": part["text"]}));
        events.push(json!({"type": "response.content_part.done", "output_index": 0,
            "content_index": 0, "item_id": id, "part": part}));
    }
    events.push(json!({"type": "response.output_item.done", "output_index": 0, "item": item}));
    events.push(json!({"type": "response.completed", "response": response}));
    let frame = |(number, event): (usize, &mut Value)| {
        event["sequence_number"] = json!(number);
        let name = event["type"].as_str().unwrap_or_default().to_owned();
        format!("event: {name}\ndata: {event}\n\n")
    };
    events.iter_mut().enumerate().map(frame).collect::<Vec<String>>().concat()
}
