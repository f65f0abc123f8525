//! Guests that print without an end.

use std::time::{Duration, Instant};

use crate::support::{HOSTILES, Record, eventually};

use super::Target;

const RATE: usize = 64 << 10;
const OPTIONS: [&str; 2] = ["--limit-guest-log", "64KiB"];

fn bytes_logged(records: &[Record]) -> usize {
    records.iter().filter(|r| r.is_guest()).map(|r| r.message().len()).sum()
}

fn tells_of_the_limit(record: &Record) -> bool {
    !record.is_guest() && record.message().contains("--limit-guest-log")
}

#[test]
fn a_flood_is_cut_to_so_many_bytes_a_second() {
    for guest in HOSTILES {
        let server = Target::start(guest, &OPTIONS);
        let began = Instant::now();
        let mark = server.len();
        assert_eq!(server.get("/print?bytes=4000000").text(), "printed", "{guest}");
        server.wait_from(mark, "what was dropped", tells_of_the_limit);
        let seconds = began.elapsed().as_secs() as usize + 2;
        let records = &server.records()[mark..];
        let logged = bytes_logged(records);
        assert!(logged <= RATE * seconds, "{guest}: {logged} bytes in {seconds} s");
        // A pipe that is full loses some as well.
        assert!(logged >= RATE / 8, "{guest}: {logged} bytes");
        let told = records.iter().filter(|r| tells_of_the_limit(r)).count();
        assert!(told <= seconds, "{guest}: told {told} times in {seconds} s");
        server.assert_stands();
    }
}

#[test]
fn after_a_flood_a_guest_is_heard_again() {
    for guest in HOSTILES {
        let server = Target::start(guest, &OPTIONS);
        server.get("/print?bytes=1000000");
        server.wait_for("what was dropped", tells_of_the_limit);
        eventually("it is heard", || {
            let mark = server.len();
            server.get("/print?bytes=100");
            crate::support::for_a_while(Duration::from_millis(50), || {});
            (bytes_logged(&server.records()[mark..]) >= 99).then_some(())
        });
    }
}

#[test]
fn what_stays_below_the_limit_is_logged_to_the_last_line() {
    for guest in HOSTILES {
        let server = Target::start(guest, &OPTIONS);
        server.get("/print?bytes=30000");
        server.wait_for_count(300, "lines", Record::is_guest);
        assert_eq!(server.count(tells_of_the_limit), 0, "{guest}");
    }
}

#[test]
fn others_are_served_and_memory_stays_flat_during_floods() {
    for guest in HOSTILES {
        let server = Target::start(guest, &OPTIONS);
        let floods: Vec<_> = (0..2).map(|_| server.begin("/print?bytes=4000000")).collect();
        server.assert_others_are_served("floods");
        for mut flood in floods {
            assert_eq!(flood.receive().text(), "printed", "{guest}");
        }
        server.assert_stays_flat(2, 6, || assert_eq!(server.get("/print?bytes=1000000").status, 200));
        server.assert_stands();
    }
}
