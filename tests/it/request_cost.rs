//! What a small request costs in system calls: counted, since a count is the same on a busy machine.

use nix::libc::{
    SYS_futex, SYS_read, SYS_readv, SYS_recvfrom, SYS_recvmsg, SYS_sendmsg, SYS_sendto, SYS_write, SYS_writev,
};

use crate::support::{Server, parallel, syscalls_during};

const REQUESTS: usize = 10_000;

/// What a request costs with so many kept-alive connections: calls that write, that read, that wait for threads.
fn costs(guest: &str, connections: usize) -> [f64; 3] {
    let server = Server::start_inspectable(guest, &["--no-access-log"]);
    server.get("/");
    let calls = syscalls_during(server.worker(0), || {
        parallel(connections, |_| {
            let mut connection = server.connect();
            for _ in 0..REQUESTS / connections {
                assert_eq!(connection.get("/").text(), "Hello, world!");
            }
        });
    });
    let each = |numbers: &[i64]| {
        let count: u64 = numbers.iter().filter_map(|number| calls.get(number)).sum();
        count as f64 / REQUESTS as f64
    };
    [
        each(&[SYS_write, SYS_writev, SYS_sendto, SYS_sendmsg]),
        each(&[SYS_read, SYS_readv, SYS_recvfrom, SYS_recvmsg]),
        each(&[SYS_futex]),
    ]
}

/// One write, one read, and no thread is woken or waited for. A little more for what else the worker does meanwhile,
/// and a tenth for what a busy machine interrupts: a guest that loses its core is taken for a slow one.
fn assert_one_write_and_one_read(guest: &str, connections: usize) {
    let [writes, reads, waits] = costs(guest, connections);
    let seen = format!("{guest}, {connections} connections: {writes} writes, {reads} reads, {waits} futex calls");
    assert!((1.0..1.1).contains(&writes) && (1.0..1.1).contains(&reads) && waits < 0.1, "{seen}");
}

#[test]
fn a_request_on_a_kept_alive_connection_is_one_read_and_one_write() {
    for guest in ["hello-sync", "hello-async"] {
        assert_one_write_and_one_read(guest, 1);
    }
}

#[test]
fn so_it_is_beside_others_in_the_same_instance() {
    for guest in ["hello-sync", "hello-async"] {
        assert_one_write_and_one_read(guest, 8);
    }
}
