//! Guests that take all the handles that they can get.

use tempfile::TempDir;

use crate::support::{HOSTILES, Server};

use super::Target;

/// What there is to take, for each generation.
fn kinds(guest: &str) -> &'static [&'static str] {
    match guest {
        "hostile-sync" => &["fields", "requests", "folders", "streams", "pollables"],
        _ => &["fields", "requests", "folders", "streams", "waits"],
    }
}

#[test]
fn an_instance_gets_no_more_handles_than_it_may() {
    for guest in HOSTILES {
        let folder = TempDir::new().unwrap();
        let dir = format!("{}::/data", folder.path().display());
        let server = Target::start(guest, &["--max-resources", "1000", "--dir", &dir]);
        for kind in kinds(guest) {
            let few = server.get(&format!("/take?what={kind}&count=100"));
            assert_eq!((few.status, few.text().as_str()), (200, "100"), "{guest} {kind}");
            let target = format!("/take?what={kind}&count=20000");
            server.assert_stays_flat(2, 5, || {
                let many = server.get(&target);
                assert_ne!((many.status, many.text().as_str()), (200, "20000"), "{guest} {kind}");
            });
        }
        server.assert_stands();
    }
}

#[test]
fn there_are_enough_handles_unless_told_otherwise() {
    for guest in HOSTILES {
        let server = Target::start(guest, &[]);
        let response = server.get("/take?what=fields&count=9000");
        assert_eq!((response.status, response.text().as_str()), (200, "9000"), "{guest}");
        let response = server.get("/take?what=fields&count=11000");
        assert_eq!(response.status, 500, "{guest}: {}", response.text());
        server.assert_stands();
    }
}

#[test]
fn a_guest_that_leaks_handles_is_replaced_when_it_has_too_many() {
    for guest in HOSTILES {
        let options = ["--instances", "1", "--max-resources", "1000", "--identify", "--no-access-log"];
        let server = Server::start(guest, &options);
        let worker = server.worker(0);
        let (mut served, mut before) = (0, 0);
        for round in 0..300 {
            let response = server.get("/take?what=fields&count=100&keep=1");
            match response.status {
                200 => served += 1,
                status => assert_eq!(status, 500, "{guest}: {}", response.text()),
            }
            if round == 100 {
                before = worker.status("RssAnon");
            }
        }
        // Nine of ten, or eight where the host itself needs some.
        assert!((210..=275).contains(&served), "{guest}: {served} of 300");
        let after = worker.status("RssAnon");
        assert!(after <= before + super::FLAT_KIB, "{guest}: {before} to {after} KiB");
        assert_eq!(server.get("/hello").text(), "Hello, world!", "{guest}");
        assert_eq!(server.worker(0), worker);
    }
}

#[test]
fn others_are_served_while_handles_are_taken() {
    for guest in HOSTILES {
        let server = Target::start(guest, &[]);
        let attacks: Vec<_> = (0..2).map(|_| server.begin("/take?what=fields&count=9999")).collect();
        server.assert_others_are_served("/take");
        for mut attack in attacks {
            attack.receive();
        }
        server.assert_stands();
    }
}
