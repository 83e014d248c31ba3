//! Qwen Code.

use crate::drive::Drive;

static QWEN: Drive = Drive {
    name: "qwen",
    headless: &["--auth-type", "openai", "-p", "Make the file."],
    interactive: &["--auth-type", "openai"],
    environment: &[
        ("OPENAI_BASE_URL", "https://dashscope.aliyuncs.com/compatible-mode/v1"),
        ("OPENAI_MODEL", "qwen3-coder-plus"),
    ],
    prepare: |_| (),
    shares: &[],
    litter: &[],
    model: "dashscope.aliyuncs.com",
    besides: &[],
    refused: &[],
    resume: &["--auth-type", "openai", "--continue", "-p", "Go on."],
    told: true,
    status: "Exit Code: 3",
};

#[test]
fn headless() {
    QWEN.headless();
}

#[test]
fn headless_failure_arrives_as_the_agents_own_code() {
    QWEN.fails(&["--no-such-option"], 1, "such-option");
}

#[test]
fn interactive_in_the_tmux_pane() {
    QWEN.interactive(
        |terminal| {
            terminal.wait_for("Type your message");
        },
        |terminal| {
            terminal.type_text("/quit");
            terminal.wait_for("/quit");
            terminal.press("Enter");
        },
    );
}
