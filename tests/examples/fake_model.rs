//! The tests' fake model, to be tried by hand:
//! `cargo run --example fake-model -- 4000 'echo hi > made-by-claude'`
//! and then `ANTHROPIC_BASE_URL=http://127.0.0.1:4000 ANTHROPIC_API_KEY=dummy claude ...`.
#![expect(clippy::print_stdout, reason = "it is run by hand")]

#[path = "../common/model_server/mod.rs"]
#[expect(dead_code, reason = "whoever tries it by hand has no login")]
mod model_server;

use std::time::Duration;

use model_server::{ModelServer, Request, Script, Step};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().map_or(Ok(0), |port| port.parse())?;
    let steps = arguments.map(step).collect();
    let server = ModelServer::start(Script { steps, closing: "All done.".to_owned() }, port)?;
    println!("ANTHROPIC_BASE_URL={}", server.url());
    let mut shown = 0;
    let mut results = 0;
    loop {
        for request in server.requests().iter().skip(shown) {
            let Request { method, host, path, body, .. } = request;
            println!("{method} {host}{path} stream={}", body["stream"]);
            shown += 1;
        }
        for result in server.tool_results().iter().skip(results) {
            println!("tool result: {}", result.escape_debug());
            results += 1;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// An address is to be read, all else executed.
fn step(argument: String) -> Step {
    if argument.starts_with("http") { Step::Fetch(argument) } else { Step::Shell(argument) }
}
