//! OpenAI's Chat Completions API, with and without server-sent events: what Qwen Code, Copilot CLI and
//! routers speak, and every provider that calls itself compatible.

use serde_json::{Value, json};

use super::http::Answer;
use super::{Script, Step};

/// The answer to a request of this protocol, below whatever path a provider has it.
pub(super) fn answer(method: &str, path: &str, body: &Value, script: &Script) -> Option<Answer> {
    if method != "POST" || !path.ends_with("/chat/completions") {
        return None;
    }
    let completion = completion(body, script);
    Some(if body["stream"] == json!(true) {
        Answer::events(server_sent_events(&completion))
    } else {
        Answer::json("200 OK", &completion)
    })
}

/// The next step of the script, by how many results the conversation holds.
fn completion(body: &Value, script: &Script) -> Value {
    let done = results(body).len();
    let call = script.steps.get(done).and_then(|step| call(body, step));
    let (message, reason) = match call {
        Some((tool, arguments)) => {
            let function = json!({"name": tool, "arguments": arguments.to_string()});
            let call =
                json!({"id": format!("call_{done}"), "type": "function", "function": function});
            (json!({"role": "assistant", "content": null, "tool_calls": [call]}), "tool_calls")
        }
        None => (json!({"role": "assistant", "content": script.closing}), "stop"),
    };
    json!({
        "id": format!("chatcmpl-{done}"), "object": "chat.completion", "created": 1_735_689_600,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": reason, "logprobs": null}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
    })
}

/// The tool that serves for a step, of those that are offered, and its arguments.
fn call(body: &Value, step: &Step) -> Option<(&'static str, Value)> {
    let calls = match step {
        Step::Shell(command) => {
            let described = json!({"command": command, "description": "Do the next step"});
            let waiting = json!({"command": command, "is_background": false});
            vec![("bash", described.clone()), ("Bash", described), ("run_shell_command", waiting)]
        }
        Step::Fetch(url) => {
            let prompt = json!({"url": url, "prompt": "Say what it says."});
            let whole = json!({"url": url, "format": "text"});
            vec![("WebFetch", prompt.clone()), ("web_fetch", prompt), ("webfetch", whole)]
        }
    };
    let tools = body["tools"].as_array();
    let offered = |name| {
        tools.is_some_and(|all| all.iter().any(|tool| tool["function"]["name"] == json!(name)))
    };
    calls.into_iter().find(|(name, _)| offered(*name))
}

/// The texts of the tool results in a conversation.
pub(super) fn results(body: &Value) -> Vec<String> {
    let messages = body["messages"].as_array().into_iter().flatten();
    let results = messages.filter(|message| message["role"] == json!("tool"));
    results.map(|message| text(&message["content"])).collect()
}

fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part["text"].as_str()).collect::<String>()
        }
        other => other.to_string(),
    }
}

/// A whole completion as the chunks of a stream.
fn server_sent_events(completion: &Value) -> String {
    let choice = &completion["choices"][0];
    let mut message = choice["message"].clone();
    for call in message["tool_calls"].as_array_mut().into_iter().flatten() {
        call["index"] = json!(0);
    }
    let chunk = |delta: Value, reason: &Value| {
        let mut chunk = completion.clone();
        chunk["object"] = json!("chat.completion.chunk");
        chunk["choices"] = json!([{"index": 0, "delta": delta, "finish_reason": reason}]);
        chunk["usage"] = Value::Null;
        chunk
    };
    let mut usage = chunk(json!({}), &Value::Null);
    usage["choices"] = json!([]);
    usage["usage"] = completion["usage"].clone();
    let chunks = [chunk(message, &Value::Null), chunk(json!({}), &choice["finish_reason"]), usage];
    let frames = chunks.iter().map(|chunk| format!("data: {chunk}\n\n"));
    frames.chain(["data: [DONE]\n\n".to_owned()]).collect()
}
