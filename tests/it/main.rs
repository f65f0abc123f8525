//! Black-box tests: they drive the real executable, with components that come with the project.
//!
//! One binary, a file per behaviour. What tests share is in `support`.

mod admin;
mod cache;
mod capabilities;
mod cli;
mod clients_leaving;
mod control;
mod demo;
mod examples;
mod failures;
mod guest_output;
mod guests;
mod http1;
mod http2;
mod inspect;
mod instance_deaths;
mod instances;
mod isolation;
mod lifespan;
mod loading;
mod log_files;
mod logging;
mod offload;
mod queue;
mod recycling;
mod reload;
mod request_cost;
mod request_head;
mod response_framing;
mod scaling;
mod serving;
mod signals;
mod soak;
mod sockets;
mod streaming;
mod supervisor_death;
mod support;
mod system;
mod terminal;
mod trailers;
mod upgrade;
mod watching;
mod worker_deaths;
mod workers;
