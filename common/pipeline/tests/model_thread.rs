//! The thread that owns a model: order, spans, panics.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc;

use shanshui_pipeline::model_thread::ModelThread;
use shanshui_pipeline::telemetry::Metrics;
use tracing::Instrument;

/// A model that could not be sent to another thread.
type Model = Rc<RefCell<Vec<u32>>>;

async fn thread() -> anyhow::Result<ModelThread<Model>> {
    ModelThread::spawn("test-model", || Ok(Model::default())).await
}

#[tokio::test]
async fn calls_run_on_one_thread_in_the_order_in_which_they_came() {
    let model = thread().await.unwrap();
    let calls = (0..20).map(|n| model.call(move |model| model.borrow_mut().push(n)));
    for result in futures::future::join_all(calls).await {
        result.unwrap();
    }
    let (seen, name) =
        model.call(|model| (model.borrow().clone(), std::thread::current().name().map(str::to_owned))).await.unwrap();
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
    assert_eq!(name.as_deref(), Some("test-model"));
}

#[tokio::test]
async fn a_model_that_cannot_be_loaded_says_why() {
    let failed = ModelThread::<Model>::spawn("m", || anyhow::bail!("weights are missing")).await;
    assert_eq!(failed.unwrap_err().to_string(), "weights are missing");
}

#[tokio::test]
async fn a_panic_while_loading_is_an_error() {
    let failed = ModelThread::<Model>::spawn("m", || panic!("on purpose")).await;
    assert!(failed.unwrap_err().to_string().contains("the model thread m panicked while loading"));
}

#[tokio::test]
async fn after_a_panic_the_model_is_dropped_and_every_call_says_that_it_is_gone() {
    struct Tells(mpsc::Sender<()>);
    impl Drop for Tells {
        fn drop(&mut self) {
            self.0.send(()).expect("the test listens");
        }
    }
    let (dropped, drops) = mpsc::channel();
    let model = ModelThread::spawn("m", || Ok(Tells(dropped))).await.unwrap();
    let (panics, waits) = (model.call(|_| panic!("on purpose")), model.call(|_| ()));
    let (panicked, waited): (Result<(), _>, _) = tokio::join!(panics, waits);
    let gone = panicked.unwrap_err();
    assert_eq!(gone.to_string(), "the model thread m is gone after a panic");
    assert_eq!(waited, Err(gone.clone()));
    assert_eq!(model.call(|_| ()).await, Err(gone));
    tokio::task::spawn_blocking(move || drops.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_call_whose_caller_has_gone_is_skipped() {
    let model = thread().await.unwrap();
    let (go, wait) = mpsc::channel::<()>();
    let busy = model.call(move |_| wait.recv());
    let mut abandoned = Box::pin(model.call(|model| model.borrow_mut().push(1)));
    let seen = async {
        futures::future::poll_immediate(&mut abandoned).await;
        drop(abandoned);
        go.send(()).unwrap();
        model.call(|model| model.borrow().clone()).await
    };
    let (busy, seen) = tokio::join!(busy, seen);
    busy.unwrap().unwrap();
    assert!(seen.unwrap().is_empty());
}

#[tokio::test]
async fn the_callers_span_goes_along() {
    tracing::subscriber::set_global_default(tracing_subscriber::registry()).unwrap();
    let model = thread().await.unwrap();
    let span = tracing::info_span!("job");
    let seen = model.call(|_| tracing::Span::current().id()).instrument(span.clone()).await.unwrap();
    assert!(seen.is_some());
    assert_eq!(seen, span.id());
}

#[tokio::test]
async fn the_time_of_every_call_is_recorded() {
    let metrics = Metrics::new("1.2.3");
    let model = thread().await.unwrap().timed_by(metrics.model_seconds("paint"));
    model.call(|_| ()).await.unwrap();
    model.call(|_| ()).await.unwrap();
    assert!(metrics.text().contains("shanshui_model_seconds_count{stage=\"paint\"} 2"), "{}", metrics.text());
}

#[tokio::test]
async fn a_model_that_works_by_itself_takes_calls_between_its_turns() {
    /// What is to be done, and when each piece was.
    #[derive(Default)]
    struct Line(Vec<&'static str>, Vec<&'static str>);
    let turn = |line: &mut Line| {
        let done = line.0.pop();
        line.1.extend(done);
        // So that the next call comes before the last turn.
        std::thread::sleep(std::time::Duration::from_millis(50));
        !line.0.is_empty()
    };
    let model = ModelThread::spawn_turning("m", || Ok(Line::default()), turn).await.unwrap();
    model.call(|line| line.0.extend(["c", "b", "a"])).await.unwrap();
    model.call(|line| line.1.push("call")).await.unwrap();
    while model.call(|line| line.1.len()).await.unwrap() < 4 {}
    let (left, done) = model.call(|line| (line.0.len(), line.1.clone())).await.unwrap();
    assert_eq!(left, 0);
    assert_eq!(done.iter().filter(|done| **done != "call").collect::<Vec<_>>(), [&"a", &"b", &"c"]);
    assert_ne!(done.last(), Some(&"call"), "it did not wait for the end of the work");
    // A turn that panics is as bad as a call that does.
    let broken = ModelThread::spawn_turning("m", || Ok(()), |()| panic!("on purpose")).await.unwrap();
    broken.call(|()| ()).await.unwrap();
    while broken.call(|()| ()).await.is_ok() {}
}
