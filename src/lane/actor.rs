//! An instance actor: one future that owns a store and its instance from startup to shutdown, takes requests
//! from the queue and drives them; and the task on the loop that looks after it.

use super::call;
use super::exchange::{Exchange, Refusal};
use super::offload::{Ended, Offloaded};
use super::queue::{Job, Lane, StartError};
use super::slice::{Slice, Why};
use crate::cli::Offload;
use crate::guest::state::{Place, State};
use crate::guest::template::{self, Instance};
use crate::log;
use futures::stream::{FuturesUnordered, StreamExt};
use futures::task::AtomicWaker;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use wasmtime::component::Accessor;
use wasmtime::{Result, Store};

/// An actor takes further requests in one poll for at most this long, then lets others of the loop go first.
const TURN: Duration = Duration::from_micros(500);

/// What an actor shares with the queue and with the task that looks after it.
pub struct Handle {
    pub waker: AtomicWaker,
    /// Told to take a request and not polled since.
    pub woken: AtomicBool,
    /// On the queue's list of those that want a request, where neither a request nor the end of the lane can come
    /// without taking it off.
    pub waiting: AtomicBool,
    slice: Arc<Slice>,
    phase: AtomicU8,
    served: AtomicU64,
    /// Requests in flight have been told why the instance ended, and log it.
    told: AtomicBool,
    /// Requests taken and not finished: the guest still works on them or their bodies are on their way.
    in_flight: Mutex<Vec<Arc<Exchange>>>,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    Starting,
    Serving,
    Stopping,
}

/// How an actor ended by itself.
enum End {
    Retired,
    StartupFailed(String),
    /// It trapped, in whatever phase.
    Trapped(wasmtime::Error),
    Unusable(wasmtime::Error),
}

impl Handle {
    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
        // Whoever looks after us sets the phase's time limit.
        self.waker.wake();
    }

    fn is_in(&self, phase: Phase) -> bool {
        self.phase.load(Relaxed) == phase as u8
    }

    fn with_in_flight<R>(&self, with: impl FnOnce(&mut Vec<Arc<Exchange>>) -> R) -> R {
        with(&mut self.in_flight.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Nothing that is in flight will be answered.
    fn abort_all(&self, why: &Refusal) {
        for exchange in self.with_in_flight(std::mem::take) {
            if exchange.abort(why.clone()) {
                self.told.store(true, Relaxed);
            }
        }
    }

    /// Nothing more comes from the instance at the moment.
    fn settle_all(&self) {
        self.with_in_flight(|list| list.iter().for_each(|exchange| exchange.settle()));
    }

    /// Ends the instance: nobody waits for what it does.
    pub fn abandon(&self) {
        self.slice.kill(Why::Abandoned);
        self.waker.wake();
    }
}

/// Looks after one actor, on the loop, from its start to the end of its instance.
pub async fn live(lane: Lane, instance: u64, told: Option<oneshot::Sender<Result<(), StartError>>>) {
    let shop = lane.shop().clone();
    let slice = Arc::new(Slice::new(shop.ticker.clone()));
    let handle = Arc::new(Handle {
        waker: AtomicWaker::new(),
        woken: AtomicBool::new(false),
        waiting: AtomicBool::new(false),
        slice: slice.clone(),
        phase: AtomicU8::new(Phase::Starting as u8),
        served: AtomicU64::new(0),
        told: AtomicBool::new(false),
        in_flight: Mutex::default(),
        place: Place { app: shop.app.clone(), worker: shop.worker, instance, generation: shop.generation },
    });
    let work = Box::pin(run(lane.clone(), handle.clone()));
    let mut offloaded = pin!(Offloaded::new(work, slice, shop.ticker.clone(), shop.pool.clone()));
    let mut limits = Limits::new(shop.settings.timeout_startup, shop.settings.timeout_graceful_shutdown);
    let mut told = told;
    let turn = Arc::new(Turn::default());
    let measures = tracing::enabled!(tracing::Level::DEBUG);
    let turn_waker = Waker::from(turn.clone());
    let end = poll_fn(|cx| {
        handle.waker.register(cx.waker());
        lane.before_poll(&handle);
        limits.poll(cx, &handle);
        turn.begin(cx.waker());
        let began = measures.then(thread_cpu_time);
        let polled = offloaded.as_mut().poll(&mut Context::from_waker(&turn_waker));
        if let Some(began) = began {
            shop.longest_poll.fetch_max((thread_cpu_time() - began).as_nanos() as u64, Relaxed);
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
        lane.after_poll();
        polled
    })
    .await;
    let failed = handle.is_in(Phase::Starting);
    if matches!(end, Ok(End::Trapped(_))) {
        shop.row.traps.fetch_add(1, Relaxed);
    }
    let start_error = report(&handle, end, failed, told.is_some());
    if let (Some(told), Some(error)) = (told, start_error) {
        let _ = told.send(Err(error));
    }
    lane.ended(&handle, failed);
}

/// Processor time of this thread so far.
fn thread_cpu_time() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
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

/// Time limits of the phases in which no request's deadline applies.
struct Limits {
    startup: Duration,
    shutdown: Duration,
    phase: Option<Phase>,
    timer: std::pin::Pin<Box<tokio::time::Sleep>>,
}

impl Limits {
    fn new(startup: Duration, shutdown: Duration) -> Self {
        Self { startup, shutdown, phase: Some(Phase::Starting), timer: Box::pin(tokio::time::sleep(startup)) }
    }

    fn poll(&mut self, cx: &mut Context<'_>, handle: &Handle) {
        if self.phase == Some(Phase::Starting) && !handle.is_in(Phase::Starting) {
            self.phase = None;
        }
        if self.phase.is_none() && handle.is_in(Phase::Stopping) {
            self.phase = Some(Phase::Stopping);
            self.timer.as_mut().reset((Instant::now() + self.shutdown).into());
        }
        let (name, limit, option) = match self.phase {
            Some(Phase::Starting) => ("startup", self.startup, "--timeout-startup"),
            Some(Phase::Stopping) => ("shutdown", self.shutdown, "--timeout-graceful-shutdown"),
            _ => return,
        };
        if self.timer.as_mut().poll(cx).is_ready() {
            handle.slice.kill(Why::Limit(format!("{name} took longer than {} s ({option})", limit.as_secs_f64())));
        }
    }
}

/// Logs how an instance ended, unless somebody is told, and answers what it leaves unanswered. Some(error) if
/// it never started up.
fn report(handle: &Handle, end: std::result::Result<End, Ended>, failed: bool, told: bool) -> Option<StartError> {
    let Place { app, worker, instance, .. } = &handle.place;
    let served = handle.served.load(Relaxed);
    let unusable = matches!(end, Ok(End::Unusable(_)));
    let (why, detail) = match end {
        Ok(End::Retired) => {
            tracing::debug!(
                event = "instance-ended",
                app = &**app,
                worker,
                instance,
                served,
                "instance {instance} was shut down after {served} requests"
            );
            return None;
        }
        Ok(End::StartupFailed(message)) => ("its startup failed", message),
        Ok(End::Trapped(_)) | Err(Ended::Killed) if handle.slice.killed() == Some(&Why::Abandoned) => {
            tracing::debug!(
                event = "instance-ended",
                app = &**app,
                worker,
                instance,
                "instance {instance} was dropped: its client has left"
            );
            return None;
        }
        Ok(End::Trapped(_)) | Err(Ended::Killed) if handle.slice.killed().is_some() => {
            ("it was ended", handle.slice.killed().map(Why::to_string).unwrap_or_default())
        }
        Ok(End::Trapped(error)) if handle.told.load(Relaxed) => ("it trapped", cause(&error)),
        Ok(End::Trapped(error)) => ("it trapped", describe(&error)),
        Ok(End::Unusable(error)) => ("it could not be instantiated", describe(&error)),
        Err(Ended::Killed) => ("it was ended", String::new()),
        Err(Ended::Panicked(text)) => ("the host's code panicked", text),
    };
    handle.abort_all(&Refusal::Died(detail.clone().into()));
    let text = &detail[..log::fitting(&detail, log::MAX_TEXT - 200)];
    let shutdown = if failed { "" } else { "; shutdown was not called" };
    if !told {
        tracing::error!(
            event = "instance-died",
            app = &**app,
            worker,
            instance,
            served,
            "instance {instance} of worker {worker} is gone after {served} requests: {why}{shutdown}: {text}"
        );
    }
    match (failed, unusable) {
        (true, true) => Some(StartError::Instance(detail)),
        (true, false) => Some(StartError::Startup(detail)),
        (false, _) => None,
    }
}

/// An error with its causes and the guest's backtrace.
fn describe(error: &wasmtime::Error) -> String {
    format!("{error:?}")
}

fn cause(error: &wasmtime::Error) -> String {
    error.root_cause().to_string()
}

/// The actor itself. Its future may be polled on the loop and on threads of the pool in turn.
async fn run(lane: Lane, handle: Arc<Handle>) -> End {
    let shop = lane.shop().clone();
    if shop.template.is_large() {
        move_to_pool(&handle.slice).await;
    }
    let instance = match shop.template.instantiate(&handle.place, handle.slice.clone()).await {
        Ok(instance) => instance,
        Err(error) => return End::Unusable(error),
    };
    let Instance { mut store, handle: function, lifespan } = instance;
    let end = live_through(&mut store, &lane, &handle, function, lifespan).await.unwrap_or_else(End::Trapped);
    if let End::Trapped(error) = &end {
        // Before the store goes, and with it the bodies: one that just stops would look complete.
        handle.abort_all(&Refusal::Died(describe(error).into()));
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
    let watch = |cx: &Context<'_>| {
        handle.with_in_flight(|list| list.iter().for_each(|exchange| exchange.watcher.register(cx.waker())));
    };
    // Those that are finished go from the list; whether as many are left as there may be.
    let is_full = || {
        handle.with_in_flight(|list| {
            list.retain(|exchange| !exchange.is_finished());
            list.len() >= concurrency
        })
    };
    let mut calls = FuturesUnordered::new();
    poll_fn(|cx| {
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
                watch(cx);
                let done = calls.is_empty() && handle.with_in_flight(|list| list.iter().all(|one| one.is_finished()));
                return if done && accessor.poll_no_interesting_tasks(cx).is_ready() {
                    Poll::Ready(Ok(()))
                } else {
                    Poll::Pending
                };
            }
            if is_full() {
                watch(cx);
                // One may have finished before it was watched.
                if is_full() {
                    return Poll::Pending;
                }
            }
            // Without others beside it, a request ends with the guest's work after the response.
            let alone = concurrency == 1 && handle.served.load(Relaxed) > 0;
            if alone && accessor.poll_no_interesting_tasks(cx).is_pending() {
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

fn is_to_retire(lane: &Lane, handle: &Handle) -> bool {
    let most = if lane.shop().plan.fresh { 1 } else { u64::MAX };
    handle.served.load(Relaxed) >= most || (lane.is_empty() && lane.is_draining())
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
    if on_loop {
        handle.slice.begin_next();
    }
    handle.served.fetch_add(1, Relaxed);
    job.exchange.taken_by(handle.place.instance, lane.shop().plan.fresh.then(|| handle.clone()));
    handle.with_in_flight(|list| list.push(job.exchange.clone()));
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
