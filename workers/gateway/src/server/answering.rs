//! Answers on their way.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as Frames, Frame, SizeHint};

use super::links::Busy;
use super::owed::Answer;

/// Most bytes that an HTTP/2 connection is given of an answer before its client takes some.
pub(super) const PIECE: usize = 16 << 10;

/// An answer that keeps its connection busy until it is over.
pub(super) struct Answering {
    body: Body,
    _busy: Option<Arc<Busy>>,
    /// For HTTP/2: whether its client takes it.
    answer: Option<Answer>,
    /// What is left of a piece that was too large.
    rest: Bytes,
    begun: bool,
}

impl Answering {
    pub(super) fn new(body: Body, busy: Option<Arc<Busy>>, answer: Option<Answer>) -> Self {
        Self { body, _busy: busy, answer, rest: Bytes::new(), begun: false }
    }

    /// The next frame, cut so that a client that takes nothing has little of it.
    fn cut(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match frame.into_data() {
            Ok(mut data) if data.len() > PIECE => {
                self.rest = data.split_off(PIECE);
                Frame::data(data)
            }
            Ok(data) => Frame::data(data),
            Err(trailers) => trailers,
        }
    }
}

impl Frames for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.answer.is_none() {
            return Pin::new(&mut self.body).poll_frame(context);
        }
        self.begun = true;
        self.answer.iter().for_each(Answer::taken);
        let next = match std::mem::take(&mut self.rest) {
            rest if rest.is_empty() => std::task::ready!(Pin::new(&mut self.body).poll_frame(context)),
            rest => Some(Ok(Frame::data(rest))),
        };
        let Some(Ok(frame)) = next else { return Poll::Ready(next) };
        self.answer.iter().for_each(Answer::give);
        Poll::Ready(Some(Ok(self.cut(frame))))
    }

    /// An answer over HTTP/2 that has begun is over when its client has taken the last of it.
    fn is_end_stream(&self) -> bool {
        match self.answer {
            Some(_) if self.begun => false,
            _ => self.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.answer {
            Some(_) if self.begun => SizeHint::default(),
            _ => self.body.size_hint(),
        }
    }
}
