//! Bodies stream both ways, with backpressure: a worker's memory does not grow with what passes through.

use std::io::{Read, Write};
use std::thread;

use crate::support::{MemoryWatch, Server, TESTBEDS, request};

/// How far a worker's memory may rise while a body passes through.
const FLAT: u64 = 16 << 20;

/// Sends `total` bytes to /echo and reads them back, both at once.
#[track_caller]
fn echo(server: &Server, total: usize) {
    let block: Vec<u8> = (0..1_048_573_u32).map(|n| (n % 251) as u8).collect();
    let mut connection = server.connect();
    let length = total.to_string();
    connection.write(request("POST", "/echo", &[("Content-Length", &length)], b""));
    let mut writer = connection.writer();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut left = total;
            while left > 0 {
                let size = left.min(block.len());
                writer.write_all(&block[..size]).unwrap();
                left -= size;
            }
        });
        let head = connection.receive_head();
        assert_eq!(head.status, 200);
        let mut body = connection.body(&head);
        let mut buffer = vec![0; 1 << 16];
        let mut received = 0;
        loop {
            let at = received % block.len();
            let wanted = buffer.len().min(block.len() - at);
            let read = body.read(&mut buffer[..wanted]).unwrap();
            if read == 0 {
                break;
            }
            assert!(buffer[..read] == block[at..at + read], "another body came back");
            received += read;
        }
        assert_eq!(received, total);
    });
}

#[track_caller]
fn assert_an_upload_of_1_gib_leaves_memory_flat(guest: &str) {
    let server = Server::start_inspectable(guest, &[]);
    echo(&server, 16 << 20);
    let watch = MemoryWatch::begin(server.worker(0));
    echo(&server, 1 << 30);
    let rise = watch.peak_rise();
    assert!(rise <= FLAT, "memory rose by {rise} bytes");
}

#[test]
fn memory_stays_flat_while_1_gib_is_echoed_by_a_sync_guest() {
    assert_an_upload_of_1_gib_leaves_memory_flat("testbed-sync");
}

#[test]
fn memory_stays_flat_while_1_gib_is_echoed_by_an_async_guest() {
    assert_an_upload_of_1_gib_leaves_memory_flat("testbed-async");
}

#[test]
fn memory_stays_flat_while_an_endless_response_is_read_slowly() {
    for guest in TESTBEDS {
        let server = Server::start_inspectable(guest, &["--instances", "5"]);
        server.get("/stream?chunks=100&bytes=65536");
        let watch = MemoryWatch::begin(server.worker(0));

        let mut readers: Vec<_> = (0..4)
            .map(|_| {
                let mut connection = server.connect();
                connection.write(request("GET", "/stream?chunks=0&bytes=65536", &[], b""));
                connection
            })
            .collect();
        for reader in &mut readers {
            let head = reader.receive_head();
            assert_eq!(head.status, 200, "{guest}");
            reader.body(&head).exactly(1000);
        }
        // The readers take a little now and then while the worker goes on for a second.
        for _ in 0..20 {
            for reader in &mut readers {
                let mut few = [0; 500];
                reader.stream().read_exact(&mut few).unwrap();
            }
            assert_eq!(server.get("/sleep?ms=50").text(), "slept");
        }
        let rise = watch.peak_rise();
        assert!(rise <= FLAT, "{guest}: memory rose by {rise} bytes");
    }
}

#[test]
fn memory_stays_flat_while_a_guest_reads_an_upload_slowly() {
    for guest in TESTBEDS {
        let server = Server::start_inspectable(guest, &[]);
        server.send("POST", "/length", &[], vec![b'x'; 1 << 20]);
        let watch = MemoryWatch::begin(server.worker(0));

        let mut connection = server.connect();
        let length = (1_u64 << 30).to_string();
        connection.write(request("POST", "/slow-read?ms=5", &[("Content-Length", &length)], b""));
        let mut writer = connection.writer();
        let block = vec![b'x'; 1 << 20];
        // As much as 16 KiB every 5 ms allow, for a good second.
        let sent = (0..4).map(|_| writer.write(&block).unwrap()).sum::<usize>();
        assert!(sent > 0);
        let rise = watch.peak_rise();
        assert!(rise <= FLAT, "{guest}: memory rose by {rise} bytes");
    }
}

#[test]
fn what_the_guest_has_sent_arrives_while_it_goes_on() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let mut connection = server.connect();
        // The second chunk would come in an hour.
        connection.write(request("GET", "/stream?chunks=2&bytes=100&ms=3600000", &[], b""));
        let head = connection.receive_head();
        assert_eq!(connection.body(&head).exactly(100).len(), 100, "{guest}");
    }
}

#[test]
fn what_the_client_has_sent_arrives_while_it_goes_on() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        // More than what is read before a request takes an instance, so that the guest runs.
        let first = vec![b'1'; 200_000];
        let mut connection = server.connect();
        let length = (first.len() + 4).to_string();
        connection.write(request("POST", "/echo", &[("Content-Length", &length)], b""));
        let mut writer = connection.writer();
        thread::scope(|scope| {
            scope.spawn(|| writer.write_all(&first).unwrap());
            let head = connection.receive_head();
            // All of it comes back before the last four bytes are sent.
            assert!(connection.body(&head).exactly(first.len()) == first, "{guest}");
        });
    }
}

#[test]
fn both_directions_stream_over_http_2() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let client = server.http2();
        let mut exchange = client.begin("POST", "/echo", &[]);
        let mut upload = exchange.take_body();
        let first = vec![b'1'; 200_000];
        thread::scope(|scope| {
            let upload = scope.spawn(|| {
                upload.send(&first);
                upload
            });
            let (head, mut reply) = exchange.receive_head();
            assert_eq!(head.status, 200, "{guest}");
            let mut received = 0;
            while received < first.len() {
                received += reply.frame().unwrap().unwrap().into_data().unwrap().len();
            }
            // The request is still open.
            let mut upload = upload.join().unwrap();
            upload.send(b"last");
            drop(upload);
            assert_eq!(reply.frame().unwrap().unwrap().into_data().unwrap(), "last", "{guest}");
        });
    }
}
