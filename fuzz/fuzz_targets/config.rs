//! A configuration file: understood, or refused with the place of what is wrong. What is understood can be given to the
//! servers of its apps, and requests find their way.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::Path;
use wasmserve::config::file::{self, Action, Routes};

/// There is no such file, but its folder has components. What it includes is not read.
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../guests/prebuilt/wasmserve.toml");

fuzz_target!(|text: &str| {
    // A name would have to be looked up, on the network; and a key may be written with such characters, too.
    if ["bind", "admin", "\\u", "\\U", "\\x"].iter().any(|part| text.contains(part)) {
        return;
    }
    let config = match file::read_text(Path::new(PATH), text.to_owned()) {
        Ok(config) => config,
        Err(failure) => return assert!(failure.message.starts_with(&format!("{PATH}:")), "{}", failure.message),
    };
    for app in config.apps.values() {
        file::options(&app.arguments).expect("its server understands them");
    }
    let table = Routes::new(config.routes.clone());
    for route in &config.routes {
        if let Action::App { name, .. } = &route.action {
            assert!(config.apps.contains_key(name), "{name}");
        }
        let host = route.matches.to_string().replace('*', "x");
        let host = host.split('/').next().unwrap_or_default();
        let path = format!("{}/", route.matches.prefix);
        assert!(table.find(host, &path).is_some(), "{}", route.matches);
    }
});
