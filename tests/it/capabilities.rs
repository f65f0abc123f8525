//! What a guest may reach: the variables and folders that it was given, and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use tempfile::TempDir;

use crate::support::{Server, TESTBEDS, Wasmserve};

fn folder_with_a_file() -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("greeting"), "hello from outside").unwrap();
    let path = folder.path().to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn the_environment_holds_what_was_given_and_where_the_instance_stands() {
    for guest in TESTBEDS {
        let options = ["--env", "A=1", "--env", "B=with=sign and space", "--env", "C=", "--env", "D"];
        let command = Wasmserve::serving(guest, &options);
        let server = command.env("D", "passed on").env("SECRET", "not for the guest").start();
        let environment = server.get_json("/env");
        assert_eq!(environment["A"], "1");
        assert_eq!(environment["B"], "with=sign and space");
        assert_eq!(environment["C"], "");
        assert_eq!(environment["D"], "passed on");
        let names: BTreeSet<_> = environment.as_object().unwrap().keys().map(String::as_str).collect();
        let expected =
            ["A", "B", "C", "D", "WASMSERVE_APP", "WASMSERVE_GENERATION", "WASMSERVE_INSTANCE", "WASMSERVE_WORKER"];
        assert_eq!(names, BTreeSet::from(expected), "{guest}");
    }
}

#[test]
fn the_arguments_are_not_the_servers() {
    for guest in TESTBEDS {
        let arguments = Server::start(guest, &[]).get_json("/args").to_string();
        assert!(!arguments.contains("--port"), "{guest}: {arguments}");
    }
}

#[test]
fn there_are_no_files_unless_given() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        for path in ["/etc/passwd", "/proc/self/environ", "etc/passwd", "../../etc/passwd", "."] {
            assert_ne!(server.get(&format!("/read?path={path}")).status, 200, "{guest} {path}");
        }
        assert_ne!(server.get("/list?path=/").status, 200, "{guest}");
        assert_ne!(server.send("POST", "/write?path=/tmp/x", &[], b"x").status, 200, "{guest}");
    }
}

#[test]
fn a_folder_can_be_given() {
    for guest in TESTBEDS {
        let (folder, path) = folder_with_a_file();
        let server = Server::start(guest, &["--dir", &format!("{path}::/data")]);
        assert_eq!(server.get("/read?path=/data/greeting").text(), "hello from outside", "{guest}");
        assert_eq!(server.get("/list?path=/data").text(), r#"["greeting"]"#, "{guest}");

        let response = server.send("POST", "/write?path=/data/new", &[], b"from the guest");
        assert_eq!(response.status, 200, "{guest}: {}", response.text());
        assert_eq!(fs::read_to_string(folder.path().join("new")).unwrap(), "from the guest");
    }
}

#[test]
fn a_folder_can_be_given_for_reading_only() {
    for guest in TESTBEDS {
        let (folder, path) = folder_with_a_file();
        let server = Server::start(guest, &["--dir", &format!("{path}::/data:ro")]);
        assert_eq!(server.get("/read?path=/data/greeting").text(), "hello from outside", "{guest}");
        for name in ["new", "greeting"] {
            let response = server.send("POST", &format!("/write?path=/data/{name}"), &[], b"x");
            assert_eq!(response.status, 500, "{guest}: {}", response.text());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{guest}");
        assert_eq!(fs::read_to_string(folder.path().join("greeting")).unwrap(), "hello from outside");
    }
}

#[test]
fn several_folders_stay_apart() {
    let (_one, one) = folder_with_a_file();
    let (two_folder, two) = folder_with_a_file();
    fs::write(two_folder.path().join("greeting"), "two").unwrap();
    let dirs = [format!("{one}::/one"), format!("{two}::/two:ro")];
    let server = Server::start("testbed-sync", &["--dir", &dirs[0], "--dir", &dirs[1]]);
    assert_eq!(server.get("/read?path=/one/greeting").text(), "hello from outside");
    assert_eq!(server.get("/read?path=/two/greeting").text(), "two");
    assert_eq!(server.send("POST", "/write?path=/one/new", &[], b"x").status, 200);
    assert_eq!(server.send("POST", "/write?path=/two/new", &[], b"x").status, 500);
}

#[test]
fn there_is_no_way_out_of_a_folder() {
    for guest in TESTBEDS {
        let (folder, path) = folder_with_a_file();
        let secret = TempDir::new().unwrap();
        fs::write(secret.path().join("secret"), "secret").unwrap();
        let target = secret.path().join("secret");
        std::os::unix::fs::symlink(&target, folder.path().join("link")).unwrap();
        std::os::unix::fs::symlink("../..", folder.path().join("up")).unwrap();
        let server = Server::start(guest, &["--dir", &format!("{path}::/data")]);
        let outside = target.to_str().unwrap().trim_start_matches('/');
        for escape in [
            "/data/link".to_owned(),
            format!("/data/../{outside}"),
            format!("/data/../../../../{outside}"),
            format!("/data/up/{outside}"),
            format!("/data//../../{outside}"),
        ] {
            let response = server.get(&format!("/read?path={escape}"));
            assert_ne!(response.text(), "secret", "{guest} {escape}");
            assert_eq!(response.status, 500, "{guest} {escape}");
        }
    }
}

#[test]
fn a_folder_that_becomes_a_link_meanwhile_leads_nowhere() {
    let (outside, inside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::write(outside.path().join("file"), "outside").unwrap();
    let path = |name| inside.path().join(name);
    fs::create_dir(path("folder")).unwrap();
    fs::write(path("folder").join("file"), "inside").unwrap();
    std::os::unix::fs::symlink(outside.path(), path("link")).unwrap();
    let server = Server::start("testbed-sync", &["--dir", &format!("{}::/data", inside.path().display())]);
    // Whoever else holds it is told by its end that this test is over, however it ends.
    let running = Arc::new(());
    let (names, over) = ([path("folder"), path("link")], Arc::downgrade(&running));
    let exchanging = thread::spawn(move || {
        while over.upgrade().is_some() {
            exchange(&names[0], &names[1]);
        }
    });
    let (mut read, mut refused) = (0, 0);
    let mut client = server.connect();
    while read < 200 || refused < 200 {
        let response = client.get("/read?path=/data/folder/file");
        match response.text().as_str() {
            "inside" => read += 1,
            text => {
                assert_ne!(text, "outside");
                refused += 1;
            }
        }
    }
    drop(running);
    exchanging.join().unwrap();
}

/// Each gets the other's name, in one step.
fn exchange(one: &Path, other: &Path) {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE).unwrap();
}

#[test]
fn outgoing_requests_are_denied() {
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    target.set_nonblocking(true).unwrap();
    let address = target.local_addr().unwrap();
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let response = server.get(&format!("/out?url=http://{address}/"));
        assert_eq!(response.status, 502, "{guest}: {}", response.text());
        let text = response.text().to_lowercase();
        assert!(text.contains("denied") || text.contains("prohibited"), "{guest}: {text}");
        let own = format!("/out?url={}/hello", server.url);
        assert_eq!(server.get(&own).status, 502, "{guest}: itself");
    }
    assert!(target.accept().is_err(), "nobody connected");
}

#[test]
fn sockets_are_denied() {
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    target.set_nonblocking(true).unwrap();
    let address = target.local_addr().unwrap();
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let response = server.get(&format!("/tcp?addr={address}"));
        assert_eq!(response.status, 502, "{guest}: {}", response.text());
    }
    assert!(target.accept().is_err(), "nobody connected");
}

#[test]
fn looking_up_names_is_denied() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        // A name that this machine knows without asking anybody.
        let response = server.get("/resolve?name=localhost");
        assert_eq!(response.status, 502, "{guest}: {}", response.text());
    }
}
