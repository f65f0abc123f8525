//! Responses, of either version of HTTP.

use std::ops::Deref;

use serde_json::Value;

pub type Headers = Vec<(String, String)>;

/// A response's status line and headers.
#[derive(Clone, Debug)]
pub struct Head {
    pub version: String,
    pub status: u16,
    pub headers: Headers,
}

impl Head {
    /// The first header of this name, which is lower-case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

#[derive(Clone, Debug)]
pub struct Response {
    pub head: Head,
    pub body: Vec<u8>,
    pub trailers: Headers,
}

impl Deref for Response {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.head
    }
}

impl Response {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    pub fn trailer(&self, name: &str) -> Option<&str> {
        find(&self.trailers, name)
    }

    /// What `--identify` adds: worker, instance and generation.
    #[track_caller]
    pub fn place(&self) -> (u64, u64, u64) {
        let header = self.header("x-wasmserve-instance").expect("started with --identify");
        let parts: Vec<u64> = header.split('/').map(|part| part.parse().unwrap()).collect();
        let [worker, instance, generation] = parts[..] else { panic!("three parts: {header}") };
        (worker, instance, generation)
    }

    #[track_caller]
    pub fn instance(&self) -> u64 {
        self.place().1
    }
}

fn find<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}
