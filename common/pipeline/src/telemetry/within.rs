//! The trace that a sender's request belongs to.

use std::future::Future;

use crate::trace::TraceContext;

tokio::task_local! {
    static PARENT: Option<TraceContext>;
}

/// Does work that belongs to a trace: jobs that it submits go on with it.
pub async fn within<T>(parent: Option<TraceContext>, work: impl Future<Output = T>) -> T {
    PARENT.scope(parent, work).await
}

/// The trace of the work that is done here.
pub(crate) fn parent() -> Option<TraceContext> {
    PARENT.try_with(Clone::clone).ok().flatten()
}
