//! The machine that the figures are of.

use std::fs;

pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub kernel: String,
    /// Of the last minute.
    pub load: f64,
}

impl Machine {
    pub fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(':'));
        let load = read("/proc/loadavg");
        Self {
            processor: model.map_or("unknown processor", |(_, model)| model.trim()).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
        }
    }

    pub fn is_busy(&self) -> bool {
        self.load > 0.5
    }
}
