//! The Gemini API (`generateContent`), with and without server-sent events: Gemini CLI's.

use serde_json::{Value, json};

use super::http::Answer;
use super::{Script, Step};

/// The answer to a request of this protocol.
pub(super) fn answer(method: &str, path: &str, body: &Value, script: &Script) -> Option<Answer> {
    let (_, call) = path.strip_prefix("/v1beta/models/")?.rsplit_once(':')?;
    match (method, call) {
        ("POST", "generateContent") => Some(Answer::json("200 OK", &content(body, script))),
        ("POST", "streamGenerateContent") => {
            Some(Answer::events(format!("data: {}\r\n\r\n", content(body, script))))
        }
        ("POST", "countTokens") => Some(Answer::json("200 OK", &json!({"totalTokens": 9}))),
        _ => None,
    }
}

/// The next step of the script, by how many results the conversation holds.
fn content(body: &Value, script: &Script) -> Value {
    let done = responses(body).len();
    let call = script.steps.get(done).map(|step| match step {
        Step::Shell(command) => ("run_shell_command", json!({"command": command})),
        Step::Fetch(url) => ("web_fetch", json!({"url": url, "prompt": format!("Read {url}")})),
    });
    let part = match call {
        Some((tool, args)) if offers(body, tool) => {
            json!({"functionCall": {"id": format!("call-{done}"), "name": tool, "args": args}})
        }
        _ => json!({"text": script.closing}),
    };
    json!({
        "candidates": [{"index": 0, "finishReason": "STOP",
            "content": {"role": "model", "parts": [part]}}],
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 9, "totalTokenCount": 18},
    })
}

fn offers(body: &Value, tool: &str) -> bool {
    let tools = body["tools"].as_array().into_iter().flatten();
    let mut functions = tools.filter_map(|tool| tool["functionDeclarations"].as_array()).flatten();
    functions.any(|function| function["name"] == json!(tool))
}

/// The texts of the tool results in a conversation.
pub(super) fn results(body: &Value) -> Vec<String> {
    responses(body).iter().map(|response| response["response"].to_string()).collect()
}

fn responses(body: &Value) -> Vec<Value> {
    let contents = body["contents"].as_array().into_iter().flatten();
    let parts = contents.filter_map(|content| content["parts"].as_array()).flatten();
    parts.map(|part| part["functionResponse"].clone()).filter(Value::is_object).collect()
}
