//! Bodies of wasi:http 0.3: a stream of bytes and a future of trailers.

use testbed_common::{PIECE, Reply};
use wasip3::http::types::{ErrorCode, Fields, Request, Response, Trailers};
use wasip3::wit_bindgen::{FutureReader, FutureWriter, StreamReader, StreamResult, StreamWriter};
use wasip3::{spawn_local, wit_future, wit_stream};

type End = Result<Option<Trailers>, ErrorCode>;

/// The body of a request.
pub struct Input {
    stream: StreamReader<u8>,
    end: FutureReader<End>,
    /// Dropped, it tells the host that the request has been dealt with.
    _done: FutureWriter<Result<(), ErrorCode>>,
}

impl Input {
    pub fn of(request: Request) -> Input {
        let (done, done_reader) = wit_future::new(|| Ok(()));
        let (stream, end) = Request::consume_body(request, done_reader);
        Input {
            stream,
            end,
            _done: done,
        }
    }

    pub fn of_response(response: Response) -> Input {
        let (done, done_reader) = wit_future::new(|| Ok(()));
        let (stream, end) = Response::consume_body(response, done_reader);
        Input {
            stream,
            end,
            _done: done,
        }
    }

    /// Fills the buffer's free capacity with what is there, and returns false at the end.
    pub async fn read(&mut self, buffer: &mut Vec<u8>) -> bool {
        let (result, filled) = self.stream.read(std::mem::take(buffer)).await;
        *buffer = filled;
        matches!(result, StreamResult::Complete(_))
    }

    /// How the body ended: its trailers, or the error that cut it off.
    pub async fn trailers(self) -> End {
        drop(self.stream);
        self.end.await
    }
}

/// The body of a response whose head is on its way.
pub struct Output {
    stream: StreamWriter<u8>,
    end: FutureWriter<End>,
}

impl Output {
    /// A response with this head, and with the body that `produce` writes once it is sent.
    /// If the host refuses something in the head, that is answered instead.
    pub fn respond(
        status: u16,
        headers: &[(String, Vec<u8>)],
        produce: impl AsyncFnOnce(Output) + 'static,
    ) -> Response {
        match Output::open(status, headers) {
            Ok((output, response)) => {
                spawn_local(async move { produce(output).await });
                response
            }
            Err(refusal) => {
                let opened = Output::open(refusal.status, &refusal.headers);
                let (mut output, response) = opened.ok().expect("a plain head");
                spawn_local(async move {
                    output.write(refusal.body).await;
                    output.finish(None).await;
                });
                response
            }
        }
    }

    fn open(status: u16, headers: &[(String, Vec<u8>)]) -> Result<(Output, Response), Reply> {
        let headers =
            Fields::from_list(headers).map_err(|error| Reply::refused("header", error))?;
        let (stream, stream_reader) = wit_stream::new();
        let (end, end_reader) = wit_future::new(|| Ok(None));
        let (response, _sent) = Response::new(headers, Some(stream_reader), end_reader);
        match response.set_status_code(status) {
            Ok(()) => Ok((Output { stream, end }, response)),
            Err(()) => Err(Reply::refused("status", status)),
        }
    }

    /// Returns the emptied buffer when the host has taken all of it, nothing if nobody takes it.
    pub async fn write(&mut self, bytes: Vec<u8>) -> Option<Vec<u8>> {
        if bytes.is_empty() {
            // To write nothing would mean to wait until somebody reads.
            return Some(bytes);
        }
        let left = self.stream.write_all(bytes).await;
        left.is_empty().then_some(left)
    }

    /// Passes everything on, and returns false if nobody takes it any more.
    pub async fn copy(&mut self, input: &mut Input) -> bool {
        let mut buffer = Vec::with_capacity(PIECE);
        while input.read(&mut buffer).await {
            match self.write(buffer).await {
                Some(emptied) => buffer = emptied,
                None => return false,
            }
        }
        true
    }

    pub async fn finish(self, trailers: Option<Trailers>) {
        drop(self.stream);
        // Whoever asked may be gone by now, which is no fault of this app.
        let _ = self.end.write(Ok(trailers)).await;
    }

    /// Ends the body so that the client sees that it is not complete.
    pub async fn fail(self, error: ErrorCode) {
        drop(self.stream);
        let _ = self.end.write(Err(error)).await;
    }
}
