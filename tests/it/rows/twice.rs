//! The same job sent again and again.

use std::collections::BTreeSet;
use std::process::Stdio;

use serde_json::Value;

use shanshui_tests::Stack;

use super::{Worker, connect};

/// Programs that submit at the same moment; common/tests/worker has a hundred submissions.
const SENDERS: usize = 8;

#[tokio::test]
async fn r20_a_job_that_many_programs_submit_at_once_is_done_once_and_all_are_told_its_name() {
    let stack = Stack::start();
    let sender = || {
        let mut command = stack.command(&["draw", "a boat", "--width", "64", "--height", "64", "--steps", "2"]);
        command.args(["--count", "1", "--id", "same", "--no-wait", "--json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("shanshui starts")
    };
    let senders: Vec<_> = (0..SENDERS).map(|_| sender()).collect();
    let mut names = BTreeSet::new();
    let mut repeated = 0;
    for sender in senders {
        let output = sender.wait_with_output().expect("an end");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        repeated += usize::from(said.contains("was submitted before"));
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        names.insert(report["job"].as_str().expect("a name").to_owned());
    }
    assert_eq!((names, repeated), (BTreeSet::from(["same".to_owned()]), SENDERS - 1));
    let text = connect(&stack).await.get_stream("TEXT").await.expect("a stream").cached_info().state.clone();
    assert_eq!((text.messages, text.last_sequence), (1, 1));
    let client = stack.client().await;
    let hand = Worker::start(&stack, "paint", "hand");
    client.follow("same").await;
    let story = client.whole_story("same").await;
    assert_eq!(story.kinds(), ["accepted", "started", "picture", "done"]);
    assert_eq!(hand.pages.metric("shanshui_deliveries_total{stage=\"paint\"}"), 1.0);
}
