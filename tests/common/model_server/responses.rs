//! OpenAI's Responses API, as server-sent events or whole: Codex's.

use serde_json::{Value, json};

use super::http::Answer;
use super::{Script, Step};

/// The answer to a request of this protocol.
pub(super) fn answer(method: &str, path: &str, body: &Value, script: &Script) -> Option<Answer> {
    match (method, path.ends_with("/responses")) {
        ("POST", true) => {}
        // A websocket is asked for; without one the same is done by single requests.
        ("GET", true) => return Some(Answer::json("426 Upgrade Required", &json!({}))),
        _ => return None,
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
    let call_id = format!("call_{done}");
    let item = match script.steps.get(done).and_then(|step| call(body, step)) {
        Some(Call::Function(tool, arguments)) => json!({
            "type": "function_call", "id": format!("fc_{done}"), "call_id": call_id, "name": tool,
            "arguments": arguments.to_string(), "status": "completed",
        }),
        Some(Call::Code(source)) => json!({
            "type": "custom_tool_call", "id": format!("ctc_{done}"), "call_id": call_id,
            "name": CODE, "input": source, "status": "completed",
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

/// How a tool is called.
enum Call {
    /// With arguments.
    Function(&'static str, Value),
    /// By a program in JavaScript that calls it: Codex's newer models are given nothing else.
    Code(String),
}

/// The tool that takes such a program.
const CODE: &str = "exec";

/// The tool that serves for a step, of those that are offered.
fn call(body: &Value, step: &Step) -> Option<Call> {
    let offered = tools(body);
    let calls = match step {
        Step::Shell(command) if offered.contains(&CODE) => {
            let arguments = json!({"cmd": command});
            return Some(Call::Code(format!("text(await tools.exec_command({arguments}))")));
        }
        Step::Shell(command) => vec![
            ("exec_command", json!({"cmd": command})),
            ("shell_command", json!({"command": command})),
            ("bash", json!({"command": command, "description": "Do the next step"})),
            ("shell", json!({"command": ["bash", "-c", command]})),
        ],
        Step::Fetch(url) => vec![("webfetch", json!({"url": url, "format": "text"}))],
    };
    let call = calls.into_iter().find(|(name, _)| offered.contains(name));
    call.map(|(name, arguments)| Call::Function(name, arguments))
}

/// The names of the tools that are offered, with those that are told of in the conversation.
fn tools(body: &Value) -> Vec<&str> {
    let told = body["input"].as_array().into_iter().flatten().map(|item| &item["tools"]);
    let mut open: Vec<&Value> = [&body["tools"]].into_iter().chain(told).collect();
    let mut names = Vec::new();
    while let Some(list) = open.pop() {
        for tool in list.as_array().into_iter().flatten() {
            names.extend(tool["name"].as_str());
            open.push(&tool["tools"]);
        }
    }
    names
}

/// The texts of the tool results in a conversation.
pub(super) fn results(body: &Value) -> Vec<String> {
    outputs(body).iter().map(text).collect()
}

fn outputs(body: &Value) -> Vec<Value> {
    let items = body["input"].as_array().into_iter().flatten();
    let is = |item: &Value, kind| item["type"] == json!(kind);
    let outputs = items
        .filter(|item| is(item, "function_call_output") || is(item, "custom_tool_call_output"));
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
    let added = |item: &Value| json!({"type": "response.output_item.added", "output_index": 0, "item": item});
    let (id, part) = (&item["id"], &item["content"][0]);
    let mut events = vec![json!({"type": "response.created", "response": opened})];
    match item["type"].as_str() {
        Some("function_call") => {
            empty["arguments"] = json!("");
            events.push(added(&empty));
            for (event, key) in [("delta", "delta"), ("done", "arguments")] {
                let kind = format!("response.function_call_arguments.{event}");
                events.push(json!({"type": kind, "output_index": 0, "item_id": id,
                    key: item["arguments"]}));
            }
        }
        Some("custom_tool_call") => {
            empty["input"] = json!("");
            events.push(added(&empty));
        }
        _ => {
            empty["content"] = json!([]);
            events.push(added(&empty));
            let none = json!({"type": "output_text", "text": "", "annotations": []});
            for (event, key, value) in [
                ("content_part.added", "part", &none),
                ("output_text.delta", "delta", &part["text"]),
                ("output_text.done", "text", &part["text"]),
                ("content_part.done", "part", part),
            ] {
                events.push(json!({"type": format!("response.{event}"), "output_index": 0,
                    "content_index": 0, "item_id": id, key: value}));
            }
        }
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
