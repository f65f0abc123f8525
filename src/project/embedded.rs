//! The folders `templates` and `wit` of the repository, in the executable. `build.rs` writes the tables.

/// A file of such a folder.
pub struct File {
    /// Relative to the folder.
    pub path: &'static str,
    pub content: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
