//! What `/fetch` is asked to send.

use crate::query::Query;
use crate::{Reply, Url};

pub struct Fetch {
    pub url: Url,
    pub method: String,
    pub headers: Vec<(String, Vec<u8>)>,
    /// Requests before the one that is answered; their responses are read and forgotten.
    pub before: u64,
    /// In milliseconds.
    pub connect: Option<u64>,
    pub first_byte: Option<u64>,
    pub between_bytes: Option<u64>,
}

impl Fetch {
    pub fn parse(query: &Query) -> Result<Fetch, Reply> {
        let url = query.required("url")?;
        let no_url = || Reply::status(400, format!("{url:?} is no URL"));
        let milliseconds = |name| match query.text(name) {
            None => Ok(None),
            Some(_) => query.number(name, 0).map(Some),
        };
        let header = |header: &str| {
            let (name, value) = header.split_once(':')?;
            Some((name.into(), value.into()))
        };
        Ok(Fetch {
            url: Url::parse(url).ok_or_else(no_url)?,
            method: query.text("method").unwrap_or("GET").into(),
            headers: query.all("header").filter_map(header).collect(),
            before: query.number("before", 0)?,
            connect: milliseconds("connect_ms")?,
            first_byte: milliseconds("first_byte_ms")?,
            between_bytes: milliseconds("between_ms")?,
        })
    }

    pub fn has_body(&self) -> bool {
        self.method != "GET"
    }
}
