//! Guests that attack the server: what each may cost, and that nobody else pays for it.
//!
//! The attacks are routes of `guests/hostile`; one file per topic runs them. Whatever they do, the worker's process
//! stays, others are served, and nothing is left behind.

mod compute;
mod deadlines;
mod environment;
mod files;
mod handles;
mod memory;
mod output;
mod responses;
mod traps;

use std::ops::Deref;
use std::time::Duration;

use crate::support::{Connection, Process, Record, Server, Wasmserve, eventually, median, request, timed};

/// What others in the worker may wait while an attack runs.
const PROMPT: Duration = Duration::from_millis(50);

/// How far a worker's own memory may grow over attacks that are over.
const FLAT_KIB: u64 = 4 << 10;

/// A server that is attacked, and the process of its one worker.
struct Target {
    server: Server,
    worker: Process,
}

impl Deref for Target {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Target {
    /// With several instances, so that an attack has neighbours in its worker, and one request at a time in each:
    /// what is in the same instance dies with it.
    #[track_caller]
    fn start(guest: &str, options: &[&str]) -> Self {
        Self::of(Wasmserve::serving(guest, options))
    }

    #[track_caller]
    fn of(command: Wasmserve) -> Self {
        let options = ["--instances", "4", "--concurrency", "1", "--identify", "--no-access-log"];
        let server = command.args(&options).inspectable().start();
        let worker = server.worker(0);
        Self { server, worker }
    }

    /// Begins an attack whose end is not waited for.
    #[track_caller]
    fn begin(&self, target: &str) -> Connection {
        let mut connection = self.connect();
        connection.write(request("GET", target, &[], b""));
        connection
    }

    /// The process is the same and serves.
    #[track_caller]
    fn assert_stands(&self) {
        // On a busy machine even this may pass a short deadline.
        eventually("hello is answered", || (self.get("/hello").text() == "Hello, world!").then_some(()));
        assert_eq!(self.server.worker(0), self.worker, "the worker's process stays");
        assert!(self.worker.runs());
        assert_eq!(self.count(|r| r.is_event("worker-exited")), 0);
    }

    /// Others are served at once: the median of nine, the best of five rounds, because whatever else the machine
    /// does at that moment can only add time.
    #[track_caller]
    fn assert_others_are_served(&self, during: &str) {
        let hello = || timed(|| assert_eq!(self.get("/hello").text(), "Hello, world!")).1;
        let mut rounds = Vec::new();
        while rounds.len() < 5 && !rounds.iter().any(|time| *time < PROMPT) {
            rounds.push(median(9, hello));
        }
        assert!(rounds.iter().any(|time| *time < PROMPT), "hello during {during}: {rounds:?}");
    }

    /// What the worker computes in 200 ms falls to nearly nothing.
    #[track_caller]
    fn assert_comes_to_rest(&self) {
        eventually("the worker computes no more", || {
            let before = self.worker.cpu().0;
            crate::support::for_a_while(Duration::from_millis(200), || {});
            (self.worker.cpu().0 - before <= Duration::from_millis(40)).then_some(())
        });
    }

    /// Attacks again and again, and the worker's memory does not follow.
    #[track_caller]
    fn assert_stays_flat(&self, warm_up: usize, repetitions: usize, mut attack: impl FnMut()) {
        (0..warm_up).for_each(|_| attack());
        let before = self.worker.status("RssAnon");
        (0..repetitions).for_each(|_| attack());
        // Stores are dropped soon after their answers, not before.
        let mut last = 0;
        eventually(&format!("memory is back at {before} KiB"), || {
            last = self.worker.status("RssAnon");
            (last <= before + FLAT_KIB).then_some(())
        });
    }

    /// The next death from this place in the log on.
    #[track_caller]
    fn death_from(&self, mark: usize, kind: &str) -> Record {
        let record = self.wait_from(mark, "the death report", |r| r.is_event("instance-died"));
        assert_eq!(record.text("kind"), kind, "{}", record.line);
        record
    }
}
