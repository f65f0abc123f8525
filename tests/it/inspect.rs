//! `wasmserve inspect`: what a component is, for people and for programs.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Wasmserve, app_of_both, guest, sync_app, with, write_component};

#[track_caller]
fn text(path: impl AsRef<Path>) -> String {
    let finished = Wasmserve::new(&["inspect", path.as_ref().to_str().unwrap()]).run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    finished.stdout
}

#[track_caller]
fn json(path: impl AsRef<Path>) -> Value {
    let finished = Wasmserve::new(&["inspect", path.as_ref().to_str().unwrap(), "--json"]).run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    serde_json::from_str(&finished.stdout).unwrap()
}

/// The app with a core module of a fetch-event component as ComponentizeJS makes it; with
/// `release`, as it makes one that exports the handler itself.
pub fn componentize_js_app(release: bool) -> String {
    let release = match release {
        true => r#"(func (export "cabi_post_wasi:http/incoming-handler@0.2.0#handle"))"#,
        false => "",
    };
    let module = format!(
        r#"(core module {release} (@producers (processed-by "ComponentizeJS" "0.23.0")))
        (@producers (processed-by "ComponentizeJS" "0.23.0"))"#
    );
    with(&sync_app(), &module)
}

#[test]
fn the_handler_and_its_kind() {
    for (name, kind, interface) in
        [("hello-sync", "sync", "wasi:http/incoming-handler@0.2."), ("hello-async", "async", "wasi:http/handler@0.3.")]
    {
        let report = json(guest(name));
        assert_eq!(report["handler"]["kind"], kind);
        assert!(report["handler"]["interface"].as_str().unwrap().starts_with(interface));
        let text = text(guest(name));
        assert!(text.contains(kind) && text.contains(interface), "{text}");
    }
    let folder = TempDir::new().unwrap();
    let both = write_component(folder.path(), "both.wat", app_of_both());
    assert_eq!(json(both)["handler"]["kind"], "async");
}

#[test]
fn the_lifespan() {
    assert_eq!(json(guest("hello-sync"))["lifespan"], Value::Null);
    assert_eq!(json(guest("counter-sync"))["lifespan"], "sync");
    assert_eq!(json(guest("counter-async"))["lifespan"], "async");
    assert!(text(guest("counter-sync")).contains("startup and shutdown"));
}

#[test]
fn imports_are_grouped_by_capability() {
    for name in ["testbed-sync", "testbed-async"] {
        let report = json(guest(name));
        let imports = report["imports"].as_array().unwrap();
        let capability = |interface: &str| {
            let import = imports.iter().find(|i| i["name"].as_str().unwrap().starts_with(interface));
            import.map(|import| import["capability"].as_str().unwrap().to_owned())
        };
        assert_eq!(capability("wasi:http/types").as_deref(), Some("http"), "{name}");
        assert_eq!(capability("wasi:filesystem/types").as_deref(), Some("files"), "{name}");

        let text = text(guest(name));
        let files = text.find("\n  files\n").expect("a group for files");
        let sockets = text.find("\n  sockets\n").expect("a group for sockets");
        let import = text.find("wasi:filesystem/types@").unwrap();
        assert!(files < import && import < sockets, "{text}");
    }
}

#[test]
fn sizes() {
    let report = json(guest("hello-sync"));
    let total = std::fs::metadata(guest("hello-sync")).unwrap().len();
    assert_eq!(report["file-size"], total);
    let code = report["sizes"]["code"].as_u64().unwrap();
    assert!(code > 0 && code < total, "{report}");
    assert!(text(guest("hello-sync")).contains("KB"));
}

#[test]
fn why_instances_are_kept_or_not() {
    let folder = TempDir::new().unwrap();
    let once = write_component(folder.path(), "once.wat", componentize_js_app(false));
    let report = json(&once);
    assert_eq!(report["isolation"]["auto"], "request");
    assert!(report["isolation"]["reason"].as_str().unwrap().contains("ComponentizeJS"), "{report}");
    assert!(text(&once).contains("ComponentizeJS"));

    let often = write_component(folder.path(), "often.wat", componentize_js_app(true));
    assert_eq!(json(&often)["isolation"]["auto"], "worker");
    assert_eq!(json(guest("hello-sync"))["isolation"]["auto"], "worker");
}

#[test]
fn what_cannot_be_served_is_refused_as_at_a_start() {
    for arguments in [&["inspect", "/no/such/app.wasm"][..], &["inspect", "/", "--json"]] {
        let finished = Wasmserve::new(arguments).run();
        assert_eq!(finished.code, Some(4), "{finished:?}");
        assert_eq!(finished.stdout, "");
        assert!(finished.stderr.contains(arguments[1]), "{finished:?}");
    }
}
