//! What the kernel says of processes that it ended because memory had run out (memory.events).

use std::fs;
use std::path::PathBuf;

/// How often that has happened in our control group.
pub struct OomKills {
    file: Option<PathBuf>,
    seen: u64,
}

impl OomKills {
    pub fn watch() -> Self {
        let mut this = Self { file: super::own().map(|own| own.join("memory.events")), seen: 0 };
        this.seen = this.count();
        this
    }

    fn count(&self) -> u64 {
        let text = self.file.as_ref().and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        let value = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    }

    /// Whether it has happened since this was last asked.
    pub fn has_grown(&mut self) -> bool {
        let now = self.count();
        let grown = now > self.seen;
        self.seen = now;
        grown
    }
}
