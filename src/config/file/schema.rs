//! A JSON schema of the file, for editors, from the same definition that reads it.

use super::keys::{self, Key, Scope};
use super::{apps, cgroup};
use serde_json::{Map, Value, json};

/// JSON Schema 2020-12.
pub fn schema() -> Value {
    let keys = keys::keys();
    let text = json!({ "type": "string" });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "wasmserve --config",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "server": server(&keys),
            "app": { "type": "object", "additionalProperties": app(&keys) },
            "redirect": { "type": "object", "additionalProperties": text, "description": "Match = URL" },
            "static": { "type": "object", "additionalProperties": text, "description": "Match = folder" },
            "maintenance": { "type": "object", "additionalProperties": text, "description": "Match = page" },
            "dev": { "type": "object", "description": "For wasmserve dev" },
        },
    })
}

fn server(keys: &[Key]) -> Value {
    let mut table = table(keys, Scope::Server);
    table["properties"]["include"] = list_of_text("Files with apps, such as apps.d/*.toml");
    table["properties"]["gateways"] = json!({ "type": "integer", "description": "Processes that accept for all apps" });
    let most = json!({ "type": "integer", "minimum": 1, "description": "Workers of all apps together" });
    table["properties"]["max-workers"] = most;
    table["properties"]["max-memory"] =
        json!({ "type": ["string", "integer"], "description": "Memory of all apps together, such as 8GiB" });
    table["properties"]["users"] =
        json!({ "type": "string", "description": "FIRST-LAST: user ids for apps without user, one for each" });
    table["properties"]["unknown-host"] =
        json!({ "enum": [404, 421], "description": "Status for a host without a route" });
    table
}

fn app(keys: &[Key]) -> Value {
    let number = |what: &str| json!({ "type": "integer", "description": what });
    let cgroup: Map<String, Value> = cgroup::KEYS
        .iter()
        .map(|(key, what)| (key.to_string(), json!({ "type": ["string", "number"], "description": what })))
        .collect();
    let mut table = table(keys, Scope::App);
    let own = json!({
        "component": { "type": "string", "description": "The component to serve, relative to this file" },
        "route": list_of_text("HOST, HOST/PREFIX, *.SUFFIX or *, or a table with match and strip-prefix"),
        "workers": {
            "description": "Worker processes: a number, or min and max",
            "oneOf": [
                { "type": "integer" },
                {
                    "type": "object",
                    "additionalProperties": false,
                    "properties": { "min": number("None while idle: 0"), "max": number("At most") },
                },
            ],
        },
        "env": { "type": "object", "description": "KEY = text, { file = PATH } or { env = NAME }" },
        "dirs": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": false,
                "required": ["host", "guest"],
                "properties": {
                    "host": { "type": "string" }, "guest": { "type": "string" }, "read-only": { "type": "boolean" },
                },
            },
        },
        "cgroup": { "type": "object", "additionalProperties": false, "properties": cgroup },
    });
    if let (Some(properties), Value::Object(own)) = (table["properties"].as_object_mut(), own) {
        properties.extend(own);
    }
    table["required"] = json!(["component"]);
    table
}

/// The options that a table takes, with those in the tables below it.
fn table(keys: &[Key], scope: Scope) -> Value {
    let of = |name: &str| -> Map<String, Value> {
        apps::of_table(keys, scope, name).map(|key| (key.name.clone(), value(key))).collect()
    };
    let mut properties = of("");
    for name in ["limits", "allow"] {
        let inner = of(name);
        if !inner.is_empty() {
            let inner = json!({ "type": "object", "additionalProperties": false, "properties": inner });
            properties.insert(name.to_owned(), inner);
        }
    }
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

fn value(key: &Key) -> Value {
    let description = key.arg.get_help().map(ToString::to_string).unwrap_or_default();
    if key.is_switch() {
        return json!({ "type": "boolean", "description": description });
    }
    if key.is_list() {
        return list_of_text(&description);
    }
    let choices: Vec<_> = key.arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if !choices.is_empty() {
        return json!({ "enum": choices, "description": description });
    }
    json!({ "type": ["string", "number"], "description": description })
}

fn list_of_text(description: &str) -> Value {
    json!({
        "description": description,
        "oneOf": [{ "type": "string" }, { "type": "array", "items": { "type": ["string", "object"] } }],
    })
}
