//! Guests that take all the memory that they can get.

use tempfile::TempDir;

use crate::support::{HOSTILES, MemoryWatch, Wasmserve, eventually, parallel, sync_app, with, write_component};

use super::Target;

/// What an instance may have, and what the process has besides while it runs.
const LIMIT: u64 = 64 << 20;
const OPTIONS: [&str; 2] = ["--max-memory", "64MiB"];
const SLACK: u64 = 32 << 20;

/// More than the limit, and little enough to do no harm where there is none.
const BOMB: &str = "/grow?mb=200";

#[test]
fn an_instance_that_grows_beyond_its_memory_dies() {
    for guest in HOSTILES {
        let server = Target::start(guest, &OPTIONS);
        let watch = MemoryWatch::begin(server.worker);
        let response = server.get(BOMB);
        assert_eq!(response.status, 500, "{guest}: {}", response.text());
        let record = server.death_from(0, "memory-limit");
        assert!(record.message().contains("--max-memory"), "{}", record.line);
        let rise = watch.peak_rise();
        assert!(rise <= LIMIT + SLACK, "{guest}: rose by {rise} bytes");
        assert_ne!(server.get("/hello").instance(), response.instance(), "{guest}: a fresh one serves");
        server.assert_stays_flat(2, 8, || assert_eq!(server.get(BOMB).status, 500, "{guest}"));
        server.assert_stands();
    }
}

#[test]
fn memory_up_to_the_limit_is_a_guests_own() {
    for guest in HOSTILES {
        let server = Target::start(guest, &OPTIONS);
        let response = server.get("/grow?mb=48");
        assert_eq!(response.status, 200, "{guest}: {}", response.text());
        assert!(response.text().parse::<u64>().unwrap() >= 48, "{guest}");
        server.assert_stands();
    }
}

#[test]
fn bombs_at_the_same_time_are_bounded_each() {
    for guest in HOSTILES {
        let server = Target::start(guest, &OPTIONS);
        let watch = MemoryWatch::begin(server.worker);
        for response in parallel(4, |_| server.get(BOMB)) {
            // One instance of an async guest may have several of them.
            assert_eq!(response.status, 500, "{guest}: {}", response.text());
        }
        let rise = watch.peak_rise();
        assert!(rise <= 4 * LIMIT + SLACK, "{guest}: rose by {rise} bytes");
        server.assert_stands();
    }
}

#[test]
fn one_large_instruction_is_bounded_too() {
    for guest in HOSTILES {
        let server = Target::start(guest, &OPTIONS);
        assert_eq!(server.get("/fill?mb=100").status, 500, "{guest}");
        server.death_from(0, "memory-limit");
        server.assert_stands();
    }
}

#[test]
fn others_are_served_while_bombs_go_off() {
    for guest in HOSTILES {
        let server = Target::start(guest, &OPTIONS);
        let bombs: Vec<_> = (0..2).map(|_| server.begin(BOMB)).collect();
        server.assert_others_are_served("memory bombs");
        for mut bomb in bombs {
            assert_eq!(bomb.receive().status, 500, "{guest}");
        }
        server.assert_stands();
    }
}

/// An app whose handler does this first.
fn table_bomb() -> String {
    let handle = "(func (export \"handle\")";
    let app = sync_app().replace(handle, &format!("{}\n{handle}", include_str!("../components/table-bomb.wat")));
    app.replace("(call $set-response\n", "(call $bomb)\n(call $set-response\n")
}

#[test]
fn an_instance_whose_tables_grow_too_large_dies() {
    let folder = TempDir::new().unwrap();
    let app = write_component(folder.path(), "tables.wat", table_bomb());
    // As elements, and as a part of the instance's memory.
    let limits = [
        ("--max-table-elements", "table-limit", ["--max-table-elements", "1000000", "--max-memory", "64MiB"]),
        ("--max-memory", "memory-limit", ["--max-table-elements", "100000000", "--max-memory", "4MiB"]),
    ];
    for (named, kind, options) in limits {
        let server = Wasmserve::serving(&app, &options).args(&["--no-access-log"]).start();
        let worker = server.worker(0);
        let attack = || assert_eq!(server.get("/").status, 500, "{options:?}");
        attack();
        let record = server.wait_for("the death report", |r| r.is_event("instance-died"));
        assert_eq!(record.text("kind"), kind, "{}", record.line);
        assert!(record.message().contains(named), "{}", record.line);
        // The allocator keeps some of what the first ones had.
        (0..10).for_each(|_| attack());
        let before = worker.status("RssAnon");
        (0..20).for_each(|_| attack());
        eventually("memory is flat", || (worker.status("RssAnon") <= before + super::FLAT_KIB).then_some(()));
        assert_eq!(server.worker(0), worker);
    }
}

#[track_caller]
fn assert_is_refused(definitions: &str, options: &[&str], named: &str) {
    let folder = TempDir::new().unwrap();
    let app = write_component(folder.path(), "large.wat", with(&sync_app(), definitions));
    let finished = Wasmserve::serving(&app, options).args(&["--port", "0"]).run();
    assert_eq!(finished.code, Some(4), "{finished:?}");
    assert!(finished.stderr.contains(named), "{}", finished.stderr);
}

#[test]
fn a_component_that_begins_with_more_memory_than_it_may_have_is_refused() {
    let module = "(core module $m (memory 800)) (core instance (instantiate $m))";
    assert_is_refused(module, &["--max-memory", "32MiB"], "--max-memory");
    // Together they are more than any of them.
    let module = format!("(core module $m (memory 100)){}", "(core instance (instantiate $m))".repeat(8));
    assert_is_refused(&module, &["--max-memory", "32MiB"], "--max-memory");
}

#[test]
fn a_component_of_more_core_instances_than_it_may_have_is_refused() {
    let module = format!("(core module $m){}", "(core instance (instantiate $m))".repeat(40));
    assert_is_refused(&module, &["--max-core-instances", "20"], "--max-core-instances");
}

#[test]
fn a_component_with_a_larger_table_than_it_may_have_is_refused() {
    let module = "(core module $m (table 5000 funcref)) (core instance (instantiate $m))";
    assert_is_refused(module, &["--max-table-elements", "1000"], "--max-table-elements");
}
