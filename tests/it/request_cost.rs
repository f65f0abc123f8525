//! What a small request costs in system calls: counted, since a count is the same on a busy machine.

use std::fs;

use crate::support::{Process, Server, parallel};

const CLIENTS: usize = 8;
const REQUESTS: usize = 500;

/// Calls of the write family that a process has made so far (proc(5), /proc/PID/io).
fn writes(process: Process) -> u64 {
    let io = fs::read_to_string(format!("/proc/{}/io", process.pid)).unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("syscw:")).unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn a_small_response_is_one_write_with_its_head() {
    for guest in ["hello-sync", "hello-async"] {
        let server = Server::start(guest, &["--no-access-log"]);
        let worker = server.worker(0);
        server.get("/");
        let before = writes(worker);
        parallel(CLIENTS, |_| {
            let mut connection = server.connect();
            for _ in 0..REQUESTS {
                assert_eq!(connection.get("/").text(), "Hello, world!");
            }
        });
        let requests = (CLIENTS * REQUESTS) as f64;
        let each = (writes(worker) - before) as f64 / requests;
        // A tenth more for what a busy machine interrupts: a guest that loses its core is taken for a slow one.
        assert!((1.0..1.1).contains(&each), "{guest}: {each} writes for a request");
    }
}
