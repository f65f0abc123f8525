//! Stacks that overflow, and panics.

use crate::support::HOSTILES;

use super::Target;

/// So many instances of it die; the log, which would be long, is not read meanwhile.
#[track_caller]
fn overflow(guest: &str, target: &str, times: usize) {
    let server = Target::start(guest, &[]);
    let mut connection = server.connect();
    let warm_up = times / 10;
    assert_eq!(connection.get(target).status, 500);
    server.death_from(0, "trap");
    server.pause();
    server.assert_stays_flat(warm_up, times - warm_up - 1, || {
        assert_eq!(connection.get(target).status, 500, "{guest} {target}");
    });
    server.resume();
    server.assert_stands();
}

#[test]
fn the_stack_overflows_10_000_times_in_a_sync_guest() {
    overflow("hostile-sync", "/recurse", 10_000);
}

#[test]
fn the_stack_overflows_10_000_times_in_an_async_guest() {
    overflow("hostile-async", "/recurse", 10_000);
}

#[test]
fn large_frames_overflow_the_stack_in_linear_memory() {
    for guest in HOSTILES {
        overflow(guest, "/overflow", 200);
    }
}

#[test]
fn the_stack_is_as_large_as_was_said() {
    for guest in HOSTILES {
        for stack in ["64KiB", "8MiB"] {
            let server = Target::start(guest, &["--max-stack", stack]);
            assert_eq!(server.get("/recurse").status, 500, "{guest}");
            assert_eq!(server.death_from(0, "trap").text("trap"), "stack-overflow", "{guest}");
            server.assert_stands();
        }
    }
}

#[test]
fn a_guest_panics_while_it_computes() {
    for guest in HOSTILES {
        let server = Target::start(guest, &[]);
        // Long enough to be on a thread of the pool by then.
        server.assert_stays_flat(2, 8, || assert_eq!(server.get("/panic?ms=20").status, 500, "{guest}"));
        server.death_from(0, "trap");
        server.assert_stands();
    }
}

#[test]
fn others_are_served_while_stacks_overflow() {
    for guest in HOSTILES {
        let server = Target::start(guest, &[]);
        let storm: Vec<_> = (0..3).map(|_| server.begin("/recurse")).collect();
        server.assert_others_are_served("/recurse");
        for mut connection in storm {
            assert_eq!(connection.receive().status, 500, "{guest}");
        }
        server.assert_stands();
    }
}
