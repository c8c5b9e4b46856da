//! A pipeline with a stage that nobody else knows: every part of the product must know it all the
//! same, from the program's list alone.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail as it does")]

mod chaos;
mod job;
mod judged;
mod known;
mod resize;
mod through;
mod up;

use serde_json::Value;
use shanshui_tests::{Stack, use_program};

/// Servers with the streams of the program of this package.
fn stack() -> Stack {
    take_program();
    Stack::start()
}

fn take_program() {
    use_program(env!("CARGO_BIN_EXE_shanshui-enlarge"));
}

/// Runs the program to its end; its exit code and what it printed.
fn said(stack: &Stack, arguments: &[&str]) -> (Option<i32>, String) {
    let output = stack.run(arguments);
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs the program, which must end well, and reads the JSON that it printed.
fn told(stack: &Stack, arguments: &[&str]) -> Value {
    let output = stack.run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
