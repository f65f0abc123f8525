//! Every refusal and every finding of `inspect`, on components small enough to be written here.

use super::*;

const SYNC: &str = r#"(export "wasi:http/incoming-handler@0.2.3" (instance $i))"#;
const ASYNC: &str = r#"(export "wasi:http/handler@0.3.0" (instance $i))"#;

/// A component with these imports or nested modules, and these exports of the empty instance `$i`.
fn component(imports: &str, exports: &[&str]) -> Vec<u8> {
    let text = format!("(component {imports} (instance $i) {})", exports.join(" "));
    to_binary(text.into_bytes()).unwrap()
}

fn report(imports: &str, exports: &[&str]) -> Report {
    inspect(&component(imports, exports)).unwrap()
}

fn refusal(imports: &str, exports: &[&str]) -> String {
    inspect(&component(imports, exports)).unwrap_err().to_string()
}

/// What a file with these bytes gets, whichever of the two steps refuses it.
fn error(bytes: &[u8]) -> InspectError {
    to_binary(bytes.to_vec()).and_then(|binary| inspect(&binary)).unwrap_err()
}

fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{message:?} should say {part:?}");
    }
}

#[test]
fn a_sync_handler_is_found() {
    let handler = report("", &[SYNC]).handler;
    assert_eq!(handler.kind, HandlerKind::Sync);
    assert_eq!(handler.interface, "wasi:http/incoming-handler@0.2.3");
}

#[test]
fn an_async_handler_of_a_later_patch_version_is_found() {
    let handler = report("", &[r#"(export "wasi:http/handler@0.3.2" (instance $i))"#]).handler;
    assert_eq!(handler.kind, HandlerKind::Async);
    assert_eq!(handler.interface, "wasi:http/handler@0.3.2");
}

#[test]
fn of_both_generations_the_newer_wins() {
    for exports in [[SYNC, ASYNC], [ASYNC, SYNC]] {
        let report = report("", &exports);
        assert_eq!(report.handler.kind, HandlerKind::Async);
        assert_eq!(report.exports.len(), 2);
    }
}

#[test]
fn lifespan_interfaces_are_found() {
    let sync = r#"(export "wasmserve:lifespan/lifespan@0.1.0" (instance $i))"#;
    let concurrent = r#"(export "wasmserve:lifespan/lifespan-async@0.1.4" (instance $i))"#;
    let later = r#"(export "wasmserve:lifespan/lifespan@0.2.0" (instance $i))"#;
    assert_eq!(report("", &[SYNC]).lifespan, None);
    assert_eq!(report("", &[SYNC, later]).lifespan, None);
    assert_eq!(report("", &[SYNC, sync]).lifespan, Some(Lifespan::Sync));
    assert_eq!(report("", &[ASYNC, concurrent]).lifespan, Some(Lifespan::Async));
    assert_eq!(report("", &[ASYNC, sync, concurrent]).lifespan, Some(Lifespan::Async));
    assert_eq!(report("", &[SYNC, sync, concurrent]).lifespan, Some(Lifespan::Sync));
}

#[test]
fn imports_come_with_capability_and_functions() {
    let imports = r#"
        (import "wasi:http/types@0.2.3" (instance
            (export "fields" (type $f (sub resource)))
            (export "[constructor]fields" (func (result (own $f))))))
        (import "wasi:http/outgoing-handler@0.2.3" (instance (export "handle" (func))))
        (import "wasi:cli/stdout@0.3.9" (instance))"#;
    let found = report(imports, &[SYNC]).imports;
    let capabilities: Vec<Capability> = found.iter().map(|import| import.capability).collect();
    assert_eq!(capabilities, [Capability::Http, Capability::OutboundHttp, Capability::Stdio]);
    assert_eq!(found[0].functions, ["[constructor]fields"]);
    assert_eq!(found[1].functions, ["handle"]);
}

#[test]
fn interfaces_of_plain_types_need_no_provider() {
    let imports = r#"
        (import "acme:app/types@1.0.0" (instance $t
            (type $e' (enum "a" "b")) (export "e" (type $e (eq $e')))))
        (alias export $t "e" (type $e))
        (import "e" (type $named (eq $e)))
        (import "wasi:cli/types@0.3.0" (instance))"#;
    let found = report(imports, &[ASYNC]).imports;
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].capability, Capability::Unknown);
    assert_eq!(found[1].capability, Capability::Cli);
}

#[test]
fn imports_that_nobody_provides_are_listed_together() {
    let message = refusal(
        r#"(import "wasi:cli/enviroment@0.2.0" (instance (export "f" (func))))
           (import "wasi:clocks/wall-clock@0.3.0" (instance (export "f" (func))))
           (import "wasi:http/client@0.4.0" (instance (export "f" (func))))
           (import "wasi:http/types@0.3.0-rc-2025-09-16" (instance (export "f" (func))))
           (import "wasi:http/handler@0.3.0" (instance (export "f" (func))))
           (import "acme:db/rows@1.0.0" (instance (export "row" (type (sub resource)))))
           (import "wasi:cli/stdin@0.2.0" (instance (export "f" (func))))"#,
        &[SYNC],
    );
    says(
        &message,
        &[
            "needs 6 imports",
            "wasi:cli/enviroment@0.2.0: unknown here; the nearest is wasi:cli/environment@0.3.0\n",
            "wasi:clocks/wall-clock@0.3.0: provided is wasi:clocks/wall-clock@0.2.12\n",
            "wasi:http/client@0.4.0: needs a newer WASI than this wasmserve provides (0.3.0); \
             the nearest is wasi:http/client@0.3.0\n",
            "wasi:http/types@0.3.0-rc-2025-09-16: a pre-release",
            "wasi:http/handler@0.3.0: the handler that a middleware wraps",
            "acme:db/rows@1.0.0: unknown here, and nothing provided resembles it\n",
        ],
    );
    assert!(!message.contains("stdin"), "{message}");
}

#[test]
fn imports_that_are_no_interfaces_are_refused() {
    for import in [
        r#"(import "log" (func))"#,
        r#"(import "m" (core module))"#,
        r#"(import "c" (component))"#,
        r#"(import "r" (type (sub resource)))"#,
    ] {
        says(&refusal(import, &[SYNC]), &["an import that nobody provides", "not an interface"]);
    }
}

#[test]
fn without_a_handler_the_other_exports_are_named() {
    let lists = refusal("", &[r#"(export "acme:app/admin@1.0.0" (instance $i))"#]);
    says(&lists, &["exports only acme:app/admin@1.0.0;", "wasi:http/handler@0.3", "incoming-handler@0.2"]);
    let command = refusal("", &[r#"(export "wasi:cli/run@0.2.0" (instance $i))"#]);
    says(&command, &["a command for `wasmtime run`"]);
    says(&refusal("", &[]), &["exports nothing"]);
    // Called like the handler, but no interface.
    says(&refusal("", &[r#"(export "handler" (instance $i))"#]), &["exports only handler"]);
}

#[test]
fn handlers_of_other_versions_say_which_are_served() {
    for version in ["0.3.0-rc-2025-09-16", "0.4.0", "1.0.0"] {
        let export = format!(r#"(export "wasi:http/handler@{version}" (instance $i))"#);
        says(&refusal("", &[&export]), &[version, "not served", "0.3.x (async)", "0.2.x (sync)"]);
    }
}

#[test]
fn an_empty_file_is_called_empty() {
    assert_eq!(error(b""), InspectError::Empty);
    assert_eq!(inspect(b""), Err(InspectError::Empty));
}

#[test]
fn a_file_that_is_not_wasm_is_told_what_it_is() {
    says(&error(b"PK\x03\x04").to_string(), &["not WebAssembly but a zip archive; unpack it"]);
    says(&inspect(b"<html>").unwrap_err().to_string(), &["an HTML page"]);
    says(&error(b"{\"a\":1}").to_string(), &["JSON"]);
    let tricky = error("\u{1b}]0;title\u{7} begins like this".as_bytes()).to_string();
    assert!(!tricky.contains('\u{1b}'), "{tricky:?}");
}

#[test]
fn a_core_module_is_told_how_to_become_a_component() {
    let plain = error(b"(module (func (export \"handle\")))").to_string();
    says(
        &plain,
        &["core WebAssembly module", "`wasmserve componentize FILE --wit DIR --world WORLD`", "wasm32-wasip2"],
    );
    let typed = error(br#"(module (@custom "component-type:x" ""))"#);
    assert_eq!(typed, InspectError::CoreModule { typed: true });
    says(&typed.to_string(), &["`wasmserve componentize FILE`"]);
}
