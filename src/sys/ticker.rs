//! Ticks: the engine's epoch advances while guests run, so that one that computes is interrupted.
//!
//! A thread that sleeps between ticks waits for a processor at times (some kernels look after the end of a time slice 250
//! times a second only), and as long a guest would hold the worker's loop. So a timer of the kernel's interrupts
//! the loop's own thread, wherever it runs.

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize};
use std::time::{Duration, Instant};
use wasmtime::Engine;

/// How often the epoch advances while guests run: by so much a guest may overdraw its time slice.
const TICK: Duration = Duration::from_millis(1);
/// After this many ticks without a running guest the ticking stops: starting it again costs a system call.
const LINGER: u32 = 4;

pub struct Ticker {
    epoch: Instant,
    engine: Engine,
    running: AtomicUsize,
    /// How many ticks there have been since a guest ran.
    idle: AtomicU32,
    stopped: AtomicBool,
    timer: OnceLock<Timer>,
}

struct Timer(libc::timer_t);

// SAFETY: the kernel's number of a timer, which any thread may set.
unsafe impl Send for Timer {}
// SAFETY: the same.
unsafe impl Sync for Timer {}

impl Ticker {
    /// Ticks interrupt the calling thread. It lasts as long as the process, as the kernel knows where it is.
    pub fn start(engine: &Engine) -> io::Result<&'static Self> {
        let ticker: &'static Self = Box::leak(Box::new(Self {
            epoch: Instant::now(),
            engine: engine.clone(),
            running: AtomicUsize::new(0),
            idle: AtomicU32::new(0),
            stopped: AtomicBool::new(true),
            timer: OnceLock::new(),
        }));
        let timer = Timer::new(ticker).map_err(|error| {
            let counts = "it counts as a pending signal of this user's (RLIMIT_SIGPENDING, ulimit -i)";
            io::Error::other(format!("no timer for the guests' time slices: {error}; {counts}"))
        })?;
        let _ = ticker.timer.set(timer);
        Ok(ticker)
    }

    /// Microseconds, never 0.
    pub fn now(&self) -> u64 {
        self.epoch.elapsed().as_micros() as u64 + 1
    }

    /// A guest runs until the guard is dropped.
    pub fn run(&self) -> Running<'_> {
        self.running.fetch_add(1, SeqCst);
        self.go_on();
        Running(self)
    }

    fn go_on(&self) {
        if self.stopped.load(SeqCst) && self.stopped.swap(false, SeqCst) {
            self.set_timer(TICK);
        }
    }

    /// Called by the signal's handler: atomics and system calls only.
    fn tick(&self) {
        if self.running.load(SeqCst) > 0 {
            self.idle.store(0, SeqCst);
            self.engine.increment_epoch();
        } else if self.idle.fetch_add(1, SeqCst) >= LINGER {
            self.idle.store(0, SeqCst);
            self.set_timer(Duration::ZERO);
            self.stopped.store(true, SeqCst);
            // One that began to run before it could see that has not started the timer.
            if self.running.load(SeqCst) > 0 {
                self.go_on();
            }
        }
    }

    /// Zero stops it.
    fn set_timer(&self, period: Duration) {
        let Some(Timer(timer)) = self.timer.get() else { return };
        let period = libc::timespec { tv_sec: 0, tv_nsec: period.as_nanos() as libc::c_long };
        let setting = libc::itimerspec { it_interval: period, it_value: period };
        // SAFETY: sets a timer that exists as long as the process. It fails for a wrong timer or time only.
        unsafe { libc::timer_settime(*timer, 0, &raw const setting, std::ptr::null_mut()) };
    }
}

impl Timer {
    /// A timer that is not set, and interrupts the calling thread for `ticker` when it is.
    fn new(ticker: &'static Ticker) -> io::Result<Self> {
        // On the stack for signals: a guest's may be at its end. Calls that wait go on, but for those for events.
        let flags = SaFlags::SA_RESTART | SaFlags::SA_ONSTACK;
        let action = SigAction::new(SigHandler::SigAction(on_signal), flags, SigSet::empty());
        // SAFETY: the handler does what a handler may, see there; nothing else here has one for this signal. The event is
        // a structure of numbers and a pointer, for which 0 is nothing, and is only read.
        unsafe {
            sigaction(Signal::SIGALRM, &action)?;
            let mut event: libc::sigevent = std::mem::zeroed();
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_signo = libc::SIGALRM;
            event.sigev_value.sival_ptr = std::ptr::from_ref(ticker).cast_mut().cast();
            event.sigev_notify_thread_id = libc::gettid();
            let mut timer = std::ptr::null_mut();
            Errno::result(libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer))?;
            SigSet::from(Signal::SIGALRM).thread_unblock()?;
            Ok(Self(timer))
        }
    }
}

extern "C" fn on_signal(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    let before = Errno::last_raw();
    // SAFETY: the kernel gives a valid structure. Only a timer of ours has this code with this signal, and its value is the
    // ticker that it was made for, which lives as long as the process.
    let ticker = unsafe {
        match (*info).si_code {
            libc::SI_TIMER => &*(*info).si_value().sival_ptr.cast::<Ticker>(),
            _ => return,
        }
    };
    ticker.tick();
    Errno::set_raw(before);
}

pub struct Running<'a>(&'a Ticker);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Release);
    }
}
