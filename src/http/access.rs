//! The access log: one record per request, written when the response is over.

use super::connection::Peer;
use crate::log;
use http::{Method, Uri, Version};
use std::time::Instant;

/// What a request's record tells; `log` writes it.
pub struct Entry {
    pub client: Peer,
    pub method: Method,
    pub target: Uri,
    pub version: Version,
    pub status: u16,
    pub bytes: u64,
    pub began: Instant,
    pub worker: usize,
    /// 0 if no instance took the request.
    pub instance: u64,
}

/// Longest part of a request's target in a record, in bytes.
const MAX_TARGET: usize = 2048;

impl Entry {
    pub fn log(self) {
        let Self { client, method, target, version, status, bytes, began, worker, instance } = self;
        let ms = (began.elapsed().as_micros() as f64) / 1000.0;
        let path = target.path_and_query().map_or("*", |path| path.as_str());
        let path = &path[..log::fitting(path, MAX_TARGET)];
        if log::is_text() {
            let path = path.replace('"', "%22");
            tracing::info!(target: "access", "{client} \"{method} {path} {version:?}\" {status} {bytes} {ms:.1}ms {worker}/{instance}");
        } else {
            tracing::info!(
                target: "access",
                client = %client, method = %method, path, version = ?version, status, bytes, ms, worker, instance,
                "{status}"
            );
        }
    }
}
