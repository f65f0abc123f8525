//! An instance actor: one future that owns a store and its instance from startup to shutdown, takes requests
//! from the queue and drives them; and the task on the loop that looks after it.

use super::call;
use super::cpu::thread_time;
use super::deadline::Limits;
use super::exchange::Refusal;
use super::handle::{Handle, Phase};
use super::offload::Offloaded;
use super::queue::{Job, Lane, StartError};
use super::report;
use super::slice::Slice;
use crate::cli::Offload;
use crate::guest::state::State;
use crate::guest::template::{self, Instance};
use futures::stream::{FuturesUnordered, StreamExt};
use futures::task::AtomicWaker;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tokio::sync::oneshot;
use wasmtime::component::Accessor;
use wasmtime::{Result, Store};

/// An actor takes further requests in one poll for at most this long, then lets others of the loop go first.
const TURN: Duration = Duration::from_micros(500);

/// How an actor ended by itself.
pub enum End {
    Retired,
    StartupFailed(String),
    /// It trapped, in whatever phase.
    Trapped(wasmtime::Error),
    Unusable(wasmtime::Error),
}

/// Looks after one actor, on the loop, from its start to the end of its instance.
pub async fn live(lane: Lane, instance: u64, told: Option<oneshot::Sender<Result<(), StartError>>>) {
    let shop = lane.shop().clone();
    let slice = Arc::new(Slice::new(shop.ticker, &shop.plan, &shop.settings.guest));
    let handle = Arc::new(Handle::new(&shop, instance, slice.clone()));
    let work = Box::pin(run(lane.clone(), handle.clone()));
    let mut offloaded = pin!(Offloaded::new(work, slice, shop.ticker, shop.pool.clone()));
    let mut limits = Limits::new(&shop);
    let mut told = told;
    let turn = Arc::new(Turn::default());
    let measures = tracing::enabled!(tracing::Level::DEBUG);
    let turn_waker = Waker::from(turn.clone());
    let end = poll_fn(|cx| {
        handle.waker.register(cx.waker());
        lane.before_poll(&handle);
        limits.poll(cx, &lane, &handle, offloaded.stint());
        turn.begin(cx.waker());
        let began = measures.then(thread_time);
        let polled = offloaded.as_mut().poll(&mut Context::from_waker(&turn_waker));
        if let Some(began) = began {
            shop.longest_poll.fetch_max((thread_time() - began).as_nanos() as u64, Relaxed);
        }
        if offloaded.is_away() || !turn.goes_on() {
            handle.settle_all();
        }
        if !handle.is_in(Phase::Starting)
            && let Some(told) = told.take()
        {
            let _ = told.send(Ok(()));
        }
        if offloaded.is_away() {
            lane.leave(&handle);
        }
        // Its last request may take long, and one that is idle has to be called.
        if polled.is_pending() && retire_if_due(&lane, &handle) {
            handle.waker.wake();
        }
        limits.watch(cx, &handle);
        lane.after_poll();
        polled
    })
    .await;
    let failed = handle.is_in(Phase::Starting);
    let start_error = report::ended(&handle, end, shop.row, failed, told.is_some());
    if let (Some(told), Some(error)) = (told, start_error) {
        let _ = told.send(Err(error));
    }
    // They refer to each other.
    handle.with_in_flight(Vec::clear);
    lane.ended(&handle, failed);
}

/// Tells whether an actor that is pending has asked, during its poll, to be polled again.
#[derive(Default)]
struct Turn {
    task: AtomicWaker,
    woken: AtomicBool,
}

impl Turn {
    fn begin(&self, task: &Waker) {
        self.task.register(task);
        self.woken.store(false, Relaxed);
    }

    fn goes_on(&self) -> bool {
        self.woken.load(Relaxed)
    }
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Relaxed);
        self.task.wake();
    }
}

/// The actor itself. Its future may be polled on the loop and on threads of the pool in turn.
async fn run(lane: Lane, handle: Arc<Handle>) -> End {
    let shop = lane.shop().clone();
    if shop.template.is_large() {
        move_to_pool(&handle.slice).await;
    }
    let instance = match shop.template.instantiate(&handle.place, handle.slice.clone(), handle.memory.clone()).await {
        Ok(instance) => instance,
        Err(error) => return End::Unusable(error),
    };
    let Instance { mut store, handle: function, lifespan } = instance;
    let end = live_through(&mut store, &lane, &handle, function, lifespan).await.unwrap_or_else(End::Trapped);
    if let End::Trapped(error) = &end {
        // Before the store goes, and with it the bodies: one that just stops would look complete.
        handle.abort_all(&Refusal::Died(report::describe(error).into()));
    }
    if shop.template.is_large() {
        move_to_pool(&handle.slice).await;
    }
    end
}

async fn live_through(
    store: &mut Store<State>,
    lane: &Lane,
    handle: &Arc<Handle>,
    function: template::Handle,
    lifespan: Option<template::Lifespan>,
) -> Result<End> {
    if let Some(lifespan) = lifespan
        && let Err(message) = lifespan.startup(store).await?
    {
        return Ok(End::StartupFailed(message));
    }
    lane.started();
    handle.enter(Phase::Serving);
    match function {
        template::Handle::Sync(function) => serve_in_turn(store, lane, handle, function).await?,
        template::Handle::Async(function) => {
            store.run_concurrent(async |accessor| serve_at_once(accessor, lane, handle, function).await).await??
        }
    }
    handle.enter(Phase::Stopping);
    if let Some(lifespan) = lifespan {
        lifespan.shutdown(store).await?;
    }
    Ok(End::Retired)
}

/// Takes requests one after the other until the instance is to retire.
async fn serve_in_turn(
    store: &mut Store<State>,
    lane: &Lane,
    handle: &Arc<Handle>,
    function: template::HandleSync,
) -> Result<()> {
    let always_pool = lane.shop().settings.offload == Offload::Always;
    loop {
        let job = poll_fn(|_| match is_to_retire(lane, handle) {
            true => Poll::Ready(None),
            false => take(lane, handle, always_pool).map_or(Poll::Pending, |job| Poll::Ready(Some(job))),
        });
        let Some(job) = job.await else {
            return Ok(());
        };
        call::call_sync(store, function, job).await?;
        handle.slice.end_request();
        handle.with_in_flight(Vec::clear);
    }
}

/// Takes and drives several requests at once until the instance is to retire and nothing is left of them.
async fn serve_at_once(
    accessor: &Accessor<State>,
    lane: &Lane,
    handle: &Arc<Handle>,
    function: template::HandleAsync,
) -> Result<()> {
    let concurrency = lane.shop().plan.concurrency;
    let mut calls = FuturesUnordered::new();
    // Tasks that were there before the first request are startup's, and go on until shutdown ends them: nobody waits for
    // those, nor then for others, which cannot be told from them.
    let mut has_background = false;
    let has_tasks = |cx: &mut Context<'_>| accessor.poll_no_interesting_tasks(cx).is_pending();
    poll_fn(|cx| {
        if handle.served.load(Relaxed) == 0 {
            has_background = has_tasks(cx);
        }
        loop {
            while let Poll::Ready(Some(called)) = calls.poll_next_unpin(cx) {
                if let Err(error) = called {
                    return Poll::Ready(Err(error));
                }
            }
            // wasmtime polls this after each piece of work, many times for a request.
            if handle.waiting.load(Relaxed) {
                return Poll::Pending;
            }
            if is_to_retire(lane, handle) {
                handle.finished.register(cx.waker());
                let done = calls.is_empty() && handle.unfinished() == 0;
                return if done && (has_background || !has_tasks(cx)) { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            if handle.unfinished() >= concurrency {
                handle.finished.register(cx.waker());
                // One may have finished before that.
                if handle.unfinished() >= concurrency {
                    return Poll::Pending;
                }
            }
            // Without others beside it, a request ends with the guest's work after the response.
            let alone = concurrency == 1 && handle.served.load(Relaxed) > 0;
            if alone && !has_background && has_tasks(cx) {
                return Poll::Pending;
            }
            if accessor.poll_ready_for_concurrent_call(*function.func(), cx).is_pending() {
                return Poll::Pending;
            }
            match take(lane, handle, false) {
                Some(job) => calls.push(call::call_async(accessor, function, job)),
                None => return Poll::Pending,
            }
        }
    })
    .await
}

/// Whether the actor takes no more requests: its instance has served the only one it was made for, is recycled, or the
/// worker ends.
fn is_to_retire(lane: &Lane, handle: &Arc<Handle>) -> bool {
    let spent = lane.shop().plan.fresh && handle.served.load(Relaxed) > 0;
    spent || handle.is_recycled() || retire_if_due(lane, handle) || (lane.is_empty() && lane.is_draining())
}

/// True if the instance has had its time, and begins to retire with this.
fn retire_if_due(lane: &Lane, handle: &Arc<Handle>) -> bool {
    if handle.is_recycled() {
        return false;
    }
    let Some(reason) = handle.due() else { return false };
    let retires = lane.retire(handle, reason);
    if retires {
        report::recycled(handle, reason, lane.shop().row);
    }
    retires
}

/// Takes the next request, where that may be done now; if not, the actor is polled again when it may.
fn take(lane: &Lane, handle: &Arc<Handle>, always_pool: bool) -> Option<Job> {
    let on_loop = handle.slice.is_on_loop();
    let job = match (on_loop, always_pool) {
        (true, true) if !lane.is_empty() => {
            handle.slice.ask_for_pool();
            None
        }
        (true, _) if !lane.is_empty() && handle.slice.turn_lasted(TURN) => {
            lane.yield_now(handle);
            None
        }
        (true, _) => lane.pop(handle),
        (false, true) => lane.pop_now(),
        // Back on the loop it is polled again.
        (false, false) => None,
    }?;
    handle.slice.begin_request();
    handle.served.fetch_add(1, Relaxed);
    handle.begin(&job.exchange);
    Some(job)
}

/// Goes on in the pool: for work that cannot be interrupted.
async fn move_to_pool(slice: &Slice) {
    if !slice.is_on_loop() {
        return;
    }
    let mut asked = false;
    poll_fn(|_| {
        if std::mem::replace(&mut asked, true) {
            return Poll::Ready(());
        }
        slice.ask_for_pool();
        Poll::Pending
    })
    .await;
}
