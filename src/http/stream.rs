//! A client's socket as hyper reads and writes it: what was read to tell the protocol comes again, heads are screened,
//! and whether the client does its part is noted. None of this makes a system call or sets a timer.

use super::activity::Activity;
use super::frames::Frames;
use super::screen::{Screen, TooLong};
use crate::config::ClientLimits;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};

const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Ends a request line that is too long, and its head: nothing of that request is used.
const END: &[u8] = b" HTTP/1.1\r\n\r\n";

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Protocol {
    Http1,
    Http2,
}

pub struct ClientStream<S> {
    stream: S,
    activity: Arc<Activity>,
    /// What hyper is to read first: the part of `bytes` from `begin` to `end`.
    bytes: [u8; PREFACE.len()],
    begin: u8,
    end: u8,
    /// The client sends no more.
    ended: bool,
    screen: Screening,
}

/// What is looked at on its way to hyper.
enum Screening {
    None,
    Http1(Screen),
    /// Large, and not to be paid for by connections of the other kind.
    Http2(Box<Frames>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> ClientStream<S> {
    pub fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity, bytes: [0; PREFACE.len()], begin: 0, end: 0, ended: false, screen: Screening::None }
    }

    /// Reads until the client's protocol is clear, and tells when its first byte came. None if that is not in time,
    /// or the client leaves.
    pub async fn begin(&mut self, limits: &ClientLimits) -> Option<(Protocol, Instant)> {
        self.read_first(limits.accept).await?;
        let since = Instant::now();
        // A preface in pieces is no better than a head in pieces.
        let protocol = timeout_at(since + limits.header, async {
            while PREFACE.starts_with(&self.bytes[..self.end.into()]) {
                if usize::from(self.end) == PREFACE.len() {
                    return Some(Protocol::Http2);
                }
                self.read_first(limits.header).await?;
            }
            Some(Protocol::Http1)
        });
        let protocol = protocol.await.ok()??;
        self.screen = match protocol {
            Protocol::Http1 => Screening::Http1(Screen::new(limits.request_line)),
            Protocol::Http2 => Screening::Http2(Box::new(Frames::new())),
        };
        Some((protocol, since))
    }

    async fn read_first(&mut self, within: Duration) -> Option<()> {
        let read = self.stream.read(&mut self.bytes[self.end.into()..]);
        let read = timeout(within, read).await.ok()?.ok()?;
        self.end += read as u8;
        (read > 0).then_some(())
    }

    pub fn has_ended(&self) -> bool {
        self.ended
    }

    pub fn into_inner(self) -> S {
        self.stream
    }

    fn note<'a>(&mut self, written: &Poll<io::Result<usize>>, bytes: impl Iterator<Item = &'a [u8]>) {
        match written {
            Poll::Pending => self.activity.write_blocked(),
            Poll::Ready(_) => self.activity.written(),
        }
        if let (Screening::Http2(frames), Poll::Ready(Ok(written))) = (&mut self.screen, written) {
            let mut left = *written;
            for part in bytes {
                let taken = part.len().min(left);
                frames.sent(&part[..taken]);
                left -= taken;
            }
        }
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.begin < self.end {
            let first = &self.bytes[self.begin.into()..self.end.into()];
            let read = first.len().min(buf.remaining());
            buf.put_slice(&first[..read]);
            self.begin += read as u8;
            return Poll::Ready(Ok(()));
        }
        if self.activity.is_line_too_long() {
            // Not the end: hyper would not answer any more.
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }

    /// Lets no more of a request line in.
    fn cut(&mut self) {
        self.activity.set_line_too_long();
        self.bytes[..END.len()].copy_from_slice(END);
        (self.begin, self.end) = (0, END.len() as u8);
        self.screen = Screening::None;
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        // The preface is no frame.
        let is_preface = this.begin < this.end;
        ready!(this.poll_bytes(cx, buf))?;
        let screen = match &mut this.screen {
            Screening::None => return Poll::Ready(Ok(())),
            Screening::Http1(screen) => screen,
            Screening::Http2(frames) => {
                if !is_preface && !frames.received(&buf.filled()[before..]) {
                    this.activity.set_flood();
                    return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
                }
                return Poll::Ready(Ok(()));
            }
        };
        let bytes = &mut buf.filled_mut()[before..];
        if bytes.is_empty() {
            this.ended = true;
            return Poll::Ready(Ok(()));
        }
        let passed = screen.pass(bytes);
        this.activity.set_in_head(screen.is_in_head());
        if let Err(TooLong(within)) = passed {
            buf.set_filled(before + within);
            this.cut();
            if within == 0 {
                return this.poll_bytes(cx, buf);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(&written, std::iter::once(bytes));
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.note(&written, bytes.iter().map(|part| &**part));
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
