//! Apps come, go and change without the others noticing.

use super::*;
use crate::support::Connection;

#[test]
fn an_app_is_added_and_removed() {
    let hello = app("hello", "hello-sync", "");
    let host = Host::start(&hello);
    host.ask("hello.test", "/");
    let server = host.process("hello");
    host.write(&(hello.clone() + &app("new", "testbed-sync", "")));
    host.reload();
    assert_eq!(host.ask("new.test", "/hello").text(), "Hello, world!");
    host.write(&hello);
    host.reload();
    assert_eq!(host.ask("new.test", "/hello").status, 404);
    host.until("new", "gone");
    assert_eq!(host.process("hello"), server, "nothing has changed for it");
}

#[test]
fn an_app_gets_new_options_and_loses_no_request() {
    let with = |value: &str| app("tb", "testbed-async", &format!("env = {{ KEY = \"{value}\" }}"));
    let host = Host::start(&with("old"));
    assert_eq!(host.ask("tb.test", "/env").json()["KEY"], "old");
    let mut slow = host.connect();
    slow.write(b"GET /stream?chunks=10&bytes=10&ms=100 HTTP/1.1\r\nHost: tb.test\r\n\r\n");
    let head = slow.receive_head();
    host.write(&with("new"));
    host.reload();
    eventually("the new options", || (host.ask("tb.test", "/env").json()["KEY"] == "new").then_some(()));
    assert_eq!(slow.body(&head).exactly(100).len(), 100, "the old server finishes what it has");
}

#[test]
fn a_change_that_does_not_work_is_given_up() {
    let with = |step: &str| app("tb", "testbed-sync", &format!("env = {{ TESTBED_STARTUP = \"{step}\" }}"));
    let host = Host::start(&(with("sleep:1")));
    host.ask("tb.test", "/hello");
    let server = host.process("tb");
    host.write(&with("fail:not like this"));
    host.reload();
    host.wait_for("the record", |r| r.is_event("app-failed") && r.message().contains("not like this"));
    assert_eq!(host.ask("tb.test", "/hello").text(), "Hello, world!");
    assert_eq!(host.process("tb"), server);
    assert!(host.app("tb")["why"].as_str().unwrap().contains("not like this"));
}

#[test]
fn a_new_component_is_taken_over_by_its_app_alone() {
    let folder = TempDir::new().unwrap();
    let component: PathBuf = folder.path().join("app.wasm");
    fs::copy(guest("hello-sync"), &component).unwrap();
    let hello = format!("[app.one]\ncomponent = \"{}\"\nroute = \"one.test\"\n", component.display());
    let host = Host::start(&(hello + &app("two", "hello-sync", "")));
    assert_eq!(host.ask("one.test", "/count").text(), "Hello, world!");
    host.ask("two.test", "/");
    let other = host.process("two");
    fs::copy(guest("testbed-sync"), &component).unwrap();
    host.reload();
    eventually("the new component", || (host.ask("one.test", "/count").text() == "1").then_some(()));
    assert_eq!(host.process("two"), other);
}

#[test]
fn a_file_with_mistakes_changes_nothing() {
    let hello = app("hello", "hello-sync", "");
    let host = Host::start(&hello);
    host.ask("hello.test", "/");
    let server = host.process("hello");
    host.write(&(hello + "[app.broken]\ncolour = 3\n"));
    let refused = host.control(&["reload"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("app.broken.colour: there is no such key"), "{}", refused.stderr);
    assert_eq!(host.ask("hello.test", "/").text(), "Hello, world!");
    assert_eq!(host.process("hello"), server);
    assert_eq!(host.state("broken"), "gone");
}

#[test]
fn a_reload_that_is_refused_loads_no_component_anew() {
    let folder = TempDir::new().unwrap();
    let component = folder.path().join("app.wasm");
    fs::copy(guest("hello-sync"), &component).unwrap();
    let one = format!("[app.one]\ncomponent = \"{}\"\nroute = \"one.test\"\n", component.display());
    let host = Host::start(&one);
    host.ask("one.test", "/");
    fs::copy(guest("testbed-sync"), &component).unwrap();
    host.write(&(one.clone() + "[app.broken]\ncolour = 3\n"));
    assert_eq!(host.control(&["reload"]).code, Some(2));
    host.write(&one);
    let mark = host.len();
    host.reload();
    host.wait_from(mark, "the app's own reload", |r| r.text("app") == "one" && r.is_event("reload-finished"));
    eventually("the new component", || (host.ask("one.test", "/count").text() == "1").then_some(()));
}

#[test]
fn gateways_and_their_connections_go_on_when_apps_change() {
    let hello = app("hello", "hello-sync", "");
    let host = Host::with("gateways = 2", &hello);
    let gateways = host.gateways();
    let mut kept = host.connect();
    let ask = |connection: &mut Connection, name: &str| {
        connection.write(format!("GET /hello HTTP/1.1\r\nHost: {name}.test\r\n\r\n"));
        connection.receive().status
    };
    assert_eq!(ask(&mut kept, "hello"), 200);
    host.write_with("gateways = 2", &(hello.clone() + &app("new", "testbed-sync", "")));
    host.reload();
    // At once, in every gateway, and on the connection that was there.
    assert_eq!(ask(&mut kept, "new"), 200);
    for _ in 0..8 {
        assert_eq!(host.ask("new.test", "/hello").status, 200);
    }
    host.do_control(&["rollback"]);
    assert_eq!(ask(&mut kept, "new"), 404);
    assert_eq!(ask(&mut kept, "hello"), 200);
    assert_eq!(host.gateways(), gateways);

    // One that comes later knows what the others do.
    host.reload();
    let mark = host.len();
    gateways[0].signal(SIGKILL);
    host.wait_from(mark, "another", |r| r.is_event("worker-ready") && r.field("app").is_null());
    for _ in 0..8 {
        assert_eq!(host.ask("new.test", "/hello").status, 200);
    }
}

#[test]
fn gateways_are_replaced_for_folders_that_they_cannot_open() {
    let hello = app("hello", "hello-sync", "");
    let host = Host::start(&hello);
    let gateways = host.gateways();
    fs::create_dir(host.folder.path().join("public")).unwrap();
    fs::write(host.folder.path().join("public/page.txt"), "a page").unwrap();
    fs::write(host.folder.path().join("down.html"), "back soon").unwrap();
    let down = "[maintenance]\n\"down.test\" = \"down.html\"\n";
    host.write(&(hello.clone() + down));
    host.reload();
    assert_eq!(host.ask("down.test", "/").text(), "back soon");
    assert_eq!(host.gateways(), gateways);
    host.write(&(hello + down + "[static]\n\"files.test\" = \"public\"\n"));
    host.reload();
    eventually("files are served", || (host.ask("files.test", "/page.txt").text() == "a page").then_some(()));
    assert_ne!(host.gateways(), gateways);
}

#[test]
fn of_included_files_those_that_have_changed_are_read_anew() {
    let hello = app("hello", "hello-sync", "");
    let include = "include = [\"apps.d/*.toml\"]";
    let host = Host::with(include, &hello);
    let apps = host.folder.path().join("apps.d");
    fs::create_dir(&apps).unwrap();
    let component = apps.join("b.wasm");
    fs::copy(guest("testbed-sync"), &component).unwrap();
    let b = "[app.b]\ncomponent = \"b.wasm\"\nroute = \"b.test\"\n";
    fs::write(apps.join("a.toml"), app("a", "testbed-sync", "env = { KEY = \"old\" }")).unwrap();
    fs::write(apps.join("b.toml"), b).unwrap();
    host.reload();
    assert_eq!(host.ask("a.test", "/env").json()["KEY"], "old");
    assert_eq!(host.ask("b.test", "/hello").text(), "Hello, world!");
    let (hello_server, b_server) = (host.process("hello"), host.process("b"));

    fs::write(apps.join("a.toml"), app("a", "testbed-sync", "env = { KEY = \"new\" }")).unwrap();
    host.reload();
    eventually("a's new options", || (host.ask("a.test", "/env").json()["KEY"] == "new").then_some(()));
    assert_eq!(host.process("hello"), hello_server, "others go on");
    assert_eq!(host.process("b"), b_server, "others go on");

    // What they have from the server counts too: with it they are other servers.
    host.write_with(&format!("{include}\n[server.limits]\nrequest-line = 2000\n"), &hello);
    host.reload();
    eventually("another server for b", || host.process("b").filter(|server| Some(server) != b_server.as_ref()));

    let refused = |what: &str| {
        let refused = host.control(&["reload"]);
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(refused.stderr.contains(what), "{}", refused.stderr);
        assert_eq!(host.ask("b.test", "/hello").text(), "Hello, world!");
    };
    fs::copy(apps.join("b.toml"), apps.join("c.toml")).unwrap();
    refused("app.b: there is one already");
    fs::remove_file(apps.join("c.toml")).unwrap();
    fs::rename(&component, apps.join("b.old")).unwrap();
    refused("b.wasm: there is no such file");
    fs::rename(apps.join("b.old"), &component).unwrap();

    fs::remove_file(apps.join("b.toml")).unwrap();
    host.reload();
    assert_eq!(host.ask("b.test", "/hello").status, 404);
    assert_eq!(host.ask("a.test", "/env").json()["KEY"], "new");
}
