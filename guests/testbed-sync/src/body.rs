//! Bodies of wasi:http 0.2 as the standard library's readers and writers.

use std::io::{self, Read, Write};

use testbed_common::Reply;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingRequest, IncomingResponse, OutgoingBody,
    OutgoingResponse, ResponseOutparam, Trailers,
};
use wasip2::io::streams::{InputStream, OutputStream};

/// The body of a request. The stream is a child of the body and must be dropped first.
pub struct Input {
    stream: InputStream,
    body: IncomingBody,
}

impl Input {
    pub fn of(request: &IncomingRequest) -> Input {
        let body = request.consume().expect("a body not yet taken");
        let stream = body.stream().expect("a stream not yet taken");
        Input { stream, body }
    }

    pub fn of_response(response: &IncomingResponse) -> Input {
        let body = response.consume().expect("a body not yet taken");
        let stream = body.stream().expect("a stream not yet taken");
        Input { stream, body }
    }

    /// The trailers, once everything has been read.
    pub fn trailers(self) -> Result<Option<Trailers>, ErrorCode> {
        drop(self.stream);
        let trailers = IncomingBody::finish(self.body);
        trailers.subscribe().block();
        let ready = trailers.get().expect("trailers that are ready");
        ready.expect("trailers not yet taken")
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(&mut self.stream, buffer)
    }
}

/// The body of a response whose head is on its way. Dropped unfinished, it is cut off.
pub struct Output {
    stream: OutputStream,
    body: OutgoingBody,
}

impl Output {
    /// Sends the head. If the host refuses something in it, that is answered instead.
    pub fn start(
        outparam: ResponseOutparam,
        status: u16,
        headers: &[(String, Vec<u8>)],
    ) -> Option<Output> {
        match response(status, headers) {
            Ok(response) => Some(Output::open(outparam, response)),
            Err(refusal) => {
                let response = response(refusal.status, &refusal.headers);
                let response = response.ok().expect("a plain head");
                let mut output = Output::open(outparam, response);
                let _ = output.write(&refusal.body);
                output.finish(None);
                None
            }
        }
    }

    fn open(outparam: ResponseOutparam, response: OutgoingResponse) -> Output {
        let body = response.body().expect("a body not yet taken");
        let stream = body.write().expect("a stream not yet taken");
        ResponseOutparam::set(outparam, Ok(response));
        Output { stream, body }
    }

    /// Returns when the host has taken all of it.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        Write::flush(&mut self.stream)
    }

    pub fn finish(self, trailers: Option<Trailers>) {
        drop(self.stream);
        let _ = OutgoingBody::finish(self.body, trailers);
    }
}

fn response(status: u16, headers: &[(String, Vec<u8>)]) -> Result<OutgoingResponse, Reply> {
    let headers = Fields::from_list(headers).map_err(|error| Reply::refused("header", error))?;
    let response = OutgoingResponse::new(headers);
    match response.set_status_code(status) {
        Ok(()) => Ok(response),
        Err(()) => Err(Reply::refused("status", status)),
    }
}
