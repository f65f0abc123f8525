//! One call of a guest's handler, in either generation: the request goes in as resources of its store, the
//! answer comes out to whoever waits for it.

use super::queue::Job;
use crate::guest::state::State;
use crate::guest::template::Handle;
use std::pin::Pin;
use wasmtime::Result;
use wasmtime::component::{Accessor, Func};
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p3::Request;
use wasmtime_wasi_http::{Error, WasiHttpView};

/// How the response's transmission ended, for the guest.
type Transmission = Pin<Box<dyn Future<Output = std::result::Result<(), Error>> + Send>>;

pub fn callee(function: &Handle) -> Func {
    match function {
        Handle::Sync(function) => *function.func(),
        Handle::Async(function) => *function.func(),
    }
}

/// Puts one request to the guest. An error ends the instance; whatever concerns this request alone is its answer.
pub async fn call(accessor: &Accessor<State>, function: Handle, job: Job) -> Result<()> {
    let Job { request, exchange } = job;
    let result = match function {
        Handle::Sync(function) => {
            let given = exchange.clone();
            let slice = accessor.with(|mut access| access.data_mut().slice.clone());
            let resources = accessor.with(|mut access| {
                let mut http = access.data_mut().http();
                let request = http.new_incoming_request(Scheme::Http, request)?;
                let out = http.new_response_outparam_from_callback(move |outcome| match outcome {
                    Ok(response) => given.respond(response, slice.is_on_loop()),
                    Err(code) => given.refuse(format!("its handler returned the error {code:?}")),
                })?;
                Ok::<_, wasmtime::Error>((request, out))
            });
            match resources {
                Ok(resources) => {
                    function.call_concurrent(accessor, resources).await?;
                    exchange.refuse("its handler returned without setting a response".to_owned());
                    Ok(())
                }
                Err(error) => Err(error),
            }
        }
        Handle::Async(function) => {
            let resource = accessor.with(|mut access| {
                let http = access.data_mut().http();
                let (request, transmission) = Request::from_http(http.hooks, request);
                // Boxed for its type: unboxed it would seem to borrow the store.
                let transmission: Transmission = Box::pin(transmission);
                Ok::<_, wasmtime::Error>((http.table.push(request)?, transmission))
            });
            match resource {
                Ok((request, transmission)) => match function.call_concurrent(accessor, (request,)).await?.0 {
                    Ok(response) => accessor.with(|mut access| {
                        let response = access.data_mut().http().table.delete(response)?;
                        let response = response.into_http_with_getter(&mut access, transmission, State::http)?;
                        exchange.respond(response, access.data_mut().slice.is_on_loop());
                        Ok(())
                    }),
                    Err(code) => {
                        exchange.refuse(format!("its handler returned the error {code:?}"));
                        Ok(())
                    }
                },
                Err(error) => Err(error),
            }
        }
    };
    if let Err(error) = result {
        exchange.refuse(format!("request or response could not be passed on: {error:#}"));
    }
    exchange.set_returned();
    Ok(())
}
