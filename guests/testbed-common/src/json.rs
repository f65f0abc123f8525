//! JSON by hand: two routes are not worth a library.

use std::fmt::Write as _;

pub fn string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c < ' ' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

pub fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", Vec::from_iter(items).join(","))
}

pub fn object(members: impl IntoIterator<Item = (String, String)>) -> String {
    let members = members
        .into_iter()
        .map(|(name, value)| format!("{}:{value}", string(&name)));
    format!("{{{}}}", Vec::from_iter(members).join(","))
}

/// What `/request` answers: the request as the guest received it.
pub fn request(
    method: &str,
    scheme: Option<String>,
    authority: Option<String>,
    path_with_query: Option<String>,
    headers: Vec<(String, Vec<u8>)>,
) -> String {
    let optional = |text: Option<String>| text.map_or("null".into(), |text| string(&text));
    let headers = headers
        .iter()
        .map(|(name, value)| list([string(name), string(&String::from_utf8_lossy(value))]));
    object([
        ("method".into(), string(method)),
        ("scheme".into(), optional(scheme)),
        ("authority".into(), optional(authority)),
        ("path_with_query".into(), optional(path_with_query)),
        ("headers".into(), list(headers)),
    ])
}
