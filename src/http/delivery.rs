//! A response's body as hyper asks for it: what it is about for the connection that carries it.

use super::activity::Turn;
use super::body::Outgoing;
use super::stall;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use wasmtime_wasi_http::Error;

/// The request's turn lasts as long as this.
pub struct Delivery {
    pub body: Outgoing,
    pub turn: Turn,
}

impl Body for Delivery {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        stall::note(Pin::new(&mut self.body).poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
