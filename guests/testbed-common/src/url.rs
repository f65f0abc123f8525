//! As much of a URL as an outgoing request needs.

#[derive(Clone)]
pub struct Url {
    pub scheme: String,
    pub authority: String,
    pub path_with_query: String,
}

impl Url {
    pub fn parse(text: &str) -> Option<Url> {
        let (scheme, rest) = text.split_once("://")?;
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let slash = if path.starts_with('/') { "" } else { "/" };
        Some(Url {
            scheme: scheme.into(),
            authority: authority.into(),
            path_with_query: format!("{slash}{path}"),
        })
    }
}
