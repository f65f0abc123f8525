//! What guests print: log records that name who printed them, whole, bounded, and never in the way.

use crate::support::{MemoryWatch, Record, Server, TESTBEDS, Wasmserve, eventually, parallel};

/// A record is one write of at most so many bytes.
const MAX_RECORD: usize = 4096;

fn printed(server: &Server, is_meant: impl Fn(&Record) -> bool) -> Vec<Record> {
    server.all(|r| r.is_guest() && is_meant(r))
}

#[test]
fn lines_are_records_with_app_worker_instance_and_stream() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--workers", "2", "--identify"]);
        for (err, stream) in [("0", "stdout"), ("1", "stderr")] {
            let response = server.get(&format!("/print?text=a%20line&err={err}"));
            let (worker, instance, _) = response.place();
            let record = server.wait_for("the line", |r| r.is_guest_line("a line") && r.text("stream") == stream);
            assert_eq!(record.text("app"), guest);
            assert_eq!(record.number("worker"), worker, "{guest}");
            assert_eq!(record.number("instance"), instance, "{guest}");
        }
    }
}

#[test]
fn in_text_a_line_is_marked_too() {
    for guest in TESTBEDS {
        let server = Wasmserve::serving(guest, &[]).start_with_text();
        server.get("/print?text=a%20line");
        let line = server.wait_for("the line", |r| r.line.contains("a line") && !r.line.contains("GET"));
        assert!(line.line.contains(guest) && line.line.contains("0/1"), "{}", line.line);
    }
}

#[test]
fn what_is_printed_cannot_pass_for_a_record() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        server.get("/print?text=%22,%22event%22:%22ready%22%7D%0A%7B%22event%22:%22forged%22%7D%0A%1B[31mred%00");
        server.wait_for("the first line", |r| r.is_guest_line(r#"","event":"ready"}"#));
        server.wait_for("the second line", |r| r.is_guest_line(r#"{"event":"forged"}"#));
        server.wait_for("the third line", |r| r.is_guest_line("\u{1b}[31mred\0"));
        assert_eq!(server.count(|r| r.is_event("forged")), 0, "{guest}");
        assert_eq!(server.count(|r| r.is_event("ready")), 1, "{guest}");
        assert!(server.records().iter().all(Record::is_json));
    }
}

#[test]
fn a_long_line_is_split_into_marked_records() {
    for guest in TESTBEDS {
        // Both requests to the same instance.
        let server = Server::start(guest, &["--instances", "1"]);
        let line: String = ('a'..='z').cycle().take(700).collect();
        // Twenty times without a newline, and then the end of the line.
        server.get(&format!("/print?text={line}&count=20&nl=0"));
        server.get("/print?text=end");
        server.wait_for("the end", |r| r.is_guest() && r.message().ends_with("end"));

        let records = printed(&server, |r| r.message() != "testbed: startup");
        let whole: String = records.iter().map(|r| r.message()).collect();
        assert_eq!(whole, line.repeat(20) + "end", "{guest}");
        assert!(records.len() > 1);
        let (last, others) = records.split_last().unwrap();
        assert!(others.iter().all(|r| r.field("continued") == true), "{guest}: {others:#?}");
        assert_ne!(last.field("continued"), true, "{guest}");
        assert!(records.iter().all(|r| r.line.len() < MAX_RECORD), "{guest}");
    }
}

#[test]
fn no_record_is_longer_than_a_pipe_takes_whole() {
    // Characters that are longer once they are escaped, and some that are no text at all.
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        for text in ["%01%02%03", "%22%5C", "%F0%9F%A6%80", "%FF%FE"] {
            server.get(&format!("/print?text={}&count=4", text.repeat(300)));
        }
        server.get("/print?text=done");
        server.wait_for("the end", |r| r.is_guest_line("done"));
        for record in server.records() {
            assert!(record.is_json(), "{guest}: torn: {}", record.line);
            assert!(record.line.len() < MAX_RECORD, "{guest}: {} bytes", record.line.len());
        }
    }
}

#[test]
fn output_without_newlines_costs_bounded_memory() {
    for guest in TESTBEDS {
        let server = Server::start_inspectable(guest, &["--no-access-log"]);
        server.get("/print?bytes=1000000");
        let watch = MemoryWatch::begin(server.worker(0));
        server.get("/print?bytes=40000000");
        let rise = watch.peak_rise();
        assert!(rise <= 16 << 20, "{guest}: memory rose by {rise} bytes");
        assert_eq!(server.get("/hello").status, 200, "{guest}");
    }
}

#[test]
fn a_line_that_was_not_finished_is_printed_when_its_instance_ends() {
    for guest in TESTBEDS {
        let mut server = Server::start(guest, &[]);
        server.get("/print?text=unfinished&nl=0");
        server.stop();
        assert_eq!(server.count(|r| r.is_guest() && r.message().starts_with("unfinished")), 1, "{guest}");
    }
}

#[test]
fn lines_of_several_workers_never_tear() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--workers", "4", "--no-access-log"]);
        let text = "0123456789".repeat(60);
        parallel(8, |_| {
            for _ in 0..5 {
                server.get(&format!("/print?text={text}&count=50"));
            }
        });
        // What a pipe has no room for at the moment is dropped and counted.
        let dropped = || -> u64 {
            let records = server.all(|r| r.is_event("records-dropped"));
            records.iter().map(|r| r.number("dropped")).sum()
        };
        eventually("the lines", || {
            server.get("/print?text=more");
            let received = server.count(|r| r.is_guest_line(&text)) as u64;
            (received + dropped() >= 2000).then_some(())
        });
        assert!(server.records().iter().all(Record::is_json), "{guest}");
    }
}

#[test]
fn a_reader_of_stderr_that_stalls_blocks_nobody_and_is_told_what_it_missed() {
    for guest in TESTBEDS {
        let mut server = Server::start(guest, &["--workers", "2", "--limit-guest-log", "1GB"]);
        server.pause();
        // Far more than a pipe holds.
        for _ in 0..20 {
            assert_eq!(server.get("/print?text=0123456789&count=1000").text(), "printed", "{guest}");
        }
        parallel(4, |_| assert_eq!(server.get("/hello").text(), "Hello, world!", "{guest}"));
        server.resume();
        // Each process tells its own when it has something to say again.
        let dropped = eventually("the number of dropped records", || {
            server.get("/hello");
            server.all(|r| r.is_event("records-dropped")).pop()
        });
        assert!(dropped.number("dropped") > 0, "{guest}");
        server.stop();
        let received = server.count(|r| r.is_guest_line("0123456789")) as u64;
        let told: u64 = server.all(|r| r.is_event("records-dropped")).iter().map(|r| r.number("dropped")).sum();
        assert!(received + told >= 20_000, "{guest}: {received} received, {told} dropped");
        assert!(server.records().iter().all(Record::is_json), "{guest}: none is torn");
    }
}

#[test]
fn a_stalled_reader_does_not_hold_up_the_end() {
    let mut server = Server::start("testbed-sync", &["--workers", "2"]);
    server.pause();
    for _ in 0..10 {
        server.get("/print?text=0123456789&count=1000");
    }
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(server.wait_exit().code(), Some(0));
}

#[test]
fn without_a_reader_of_stderr_it_serves_on() {
    let mut server = Server::start("testbed-sync", &[]);
    server.abandon();
    for _ in 0..5 {
        assert_eq!(server.get("/print?text=nobody&count=1000").text(), "printed");
    }
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(server.wait_exit().code(), Some(0));
}
