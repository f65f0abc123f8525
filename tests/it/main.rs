//! Black-box tests: they drive the real executable, with components that come with the project.
//!
//! One binary, a file per behaviour. What tests share is in `support`.

mod cache;
mod cli;
mod http1;
mod http2;
mod inspect;
mod loading;
mod request_head;
mod response_framing;
mod serving;
mod streaming;
mod support;
mod trailers;
