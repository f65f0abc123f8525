//! One call of a guest's handler, in either generation: the request goes in as resources of its store, the
//! answer comes out to whoever waits for it.

use super::queue::Job;
use crate::guest::state::State;
use crate::guest::template::{HandleAsync, HandleSync};
use std::pin::Pin;
use wasmtime::component::Accessor;
use wasmtime::{Result, Store};
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p3::Request;
use wasmtime_wasi_http::{Error, WasiHttpView};

/// How the response's transmission ended, for the guest.
type Transmission = Pin<Box<dyn Future<Output = std::result::Result<(), Error>> + Send>>;

/// Puts one request to the guest. An error ends the instance; whatever concerns this request alone is its answer.
pub async fn call_sync(store: &mut Store<State>, function: HandleSync, job: Job) -> Result<()> {
    let Job { request, exchange } = job;
    let given = exchange.clone();
    let slice = store.data().slice.clone();
    store.data_mut().outbound.count_taken();
    let mut http = store.data_mut().http();
    let resources = http.new_incoming_request(Scheme::Http, request).and_then(|request| {
        let out = http.new_response_outparam_from_callback(move |outcome| match outcome {
            Ok(response) => given.respond(response, slice.is_on_loop()),
            Err(code) => given.refuse(returned_error(&code)),
        })?;
        Ok((request, out))
    });
    match resources {
        Ok(resources) => {
            function.call_async(store, resources).await?;
            exchange.refuse("its handler returned without setting a response".to_owned());
        }
        Err(error) => exchange.refuse(not_passed_on(&error)),
    }
    exchange.set_returned();
    Ok(())
}

/// The same for an asynchronous handler, beside others.
pub async fn call_async(accessor: &Accessor<State>, function: HandleAsync, job: Job) -> Result<()> {
    let Job { request, exchange } = job;
    let resource = accessor.with(|mut access| {
        access.data_mut().outbound.count_taken();
        let http = access.data_mut().http();
        let (request, transmission) = Request::from_http(http.hooks, request);
        // Boxed for its type: unboxed it would seem to borrow the store.
        let transmission: Transmission = Box::pin(transmission);
        Ok::<_, wasmtime::Error>((http.table.push(request)?, transmission))
    });
    let answered = match resource {
        Ok((request, transmission)) => match function.call_concurrent(accessor, (request,)).await?.0 {
            Ok(response) => accessor.with(|mut access| {
                let response = access.data_mut().http().table.delete(response)?;
                let response = response.into_http_with_getter(&mut access, transmission, State::http)?;
                exchange.respond(response, access.data_mut().slice.is_on_loop());
                Ok(())
            }),
            Err(code) => {
                exchange.refuse(returned_error(&code));
                Ok(())
            }
        },
        Err(error) => Err(error),
    };
    if let Err(error) = answered {
        exchange.refuse(not_passed_on(&error));
    }
    exchange.set_returned();
    Ok(())
}

fn returned_error(code: &dyn std::fmt::Debug) -> String {
    format!("its handler returned the error {code:?}")
}

fn not_passed_on(error: &wasmtime::Error) -> String {
    format!("request or response could not be passed on: {error:#}")
}
