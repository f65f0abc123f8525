//! Black-box tests: they drive the real executable, with components that come with the project.
//!
//! One binary, a file per behaviour. What tests share is in `support`.

mod cache;
mod capabilities;
mod cli;
mod clients_leaving;
mod demo;
mod examples;
mod failures;
mod guest_output;
mod guests;
mod http1;
mod http2;
mod inspect;
mod instances;
mod isolation;
mod lifespan;
mod loading;
mod logging;
mod offload;
mod queue;
mod request_cost;
mod request_head;
mod response_framing;
mod serving;
mod signals;
mod streaming;
mod supervisor_death;
mod support;
mod terminal;
mod trailers;
mod workers;
