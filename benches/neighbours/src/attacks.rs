//! The attacks: by whom, on which route, and what is to be expected of the neighbour.

pub struct Attack {
    pub name: &'static str,
    pub means: Means,
    /// Takes all the processor time that it gets, so the attacked server is given little weight.
    pub burns: bool,
}

#[derive(Clone, Copy)]
pub enum Means {
    /// Nothing happens: a control, which measures the noise.
    None,
    /// A guest of the other app that does harm when this route is asked for; whether its answers are read.
    Guest { guest: &'static str, path: &'static str, reads: bool },
    /// Clients of the neighbour's own server.
    Clients(Clients),
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Clients {
    /// Send a request's head a byte at a time.
    SlowHeads,
    /// Take an answer over HTTP/2 a byte at a time.
    SlowReaders,
    /// Send PING frames as fast as they can.
    Pings,
    /// Send SETTINGS frames as fast as they can.
    Settings,
}

impl Attack {
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|attack| attack.name == name)
    }

    /// The neighbour's p99 over its quiet one, at most.
    pub fn goal(&self) -> f64 {
        if self.burns || matches!(self.means, Means::Clients(_)) { 2.0 } else { 1.2 }
    }

    /// What the other app serves; something harmless if it is not the one that attacks.
    pub fn guest(&self) -> &'static str {
        if let Means::Guest { guest, .. } = self.means { guest } else { SYNC }
    }
}

const fn burns(name: &'static str, guest: &'static str, path: &'static str) -> Attack {
    Attack { name, means: Means::Guest { guest, path, reads: true }, burns: true }
}

const fn waits(name: &'static str, guest: &'static str, path: &'static str, reads: bool) -> Attack {
    Attack { name, means: Means::Guest { guest, path, reads }, burns: false }
}

const fn by(name: &'static str, clients: Clients) -> Attack {
    Attack { name, means: Means::Clients(clients), burns: false }
}

const SYNC: &str = "hostile-sync";
const ASYNC: &str = "hostile-async";

pub const ALL: &[Attack] = &[
    Attack { name: "none", means: Means::None, burns: false },
    waits("silent", SYNC, "/silent", true),
    waits("silent-async", ASYNC, "/silent", true),
    waits("stall", SYNC, "/stall", true),
    waits("drip", ASYNC, "/endless?bytes=1&ms=100", true),
    waits("endless-unread", SYNC, "/endless", false),
    burns("loop", SYNC, "/loop"),
    burns("loop-async", ASYNC, "/loop"),
    burns("loop-clock", SYNC, "/loop-clock"),
    burns("loop-random", SYNC, "/loop-random"),
    burns("loop-poll", SYNC, "/loop-poll"),
    burns("loop-poll-async", ASYNC, "/loop-poll"),
    burns("grow", SYNC, "/grow?mb=400"),
    burns("fill", SYNC, "/fill?mb=64&times=100000"),
    burns("recurse", SYNC, "/recurse"),
    burns("overflow", ASYNC, "/overflow"),
    burns("panic", SYNC, "/panic?ms=5"),
    burns("endless", SYNC, "/endless"),
    burns("endless-async", ASYNC, "/endless"),
    burns("headers", SYNC, "/headers?count=200&bytes=1000"),
    burns("trailers", ASYNC, "/trailers?count=200&bytes=1000"),
    burns("handles", SYNC, "/take?what=fields"),
    burns("leak", ASYNC, "/take?what=fields&count=100&keep=1"),
    burns("print", SYNC, "/print?bytes=10000000"),
    burns("escape", SYNC, "/escape?outside=/etc&file=passwd"),
    by("slow-heads", Clients::SlowHeads),
    by("slow-readers", Clients::SlowReaders),
    by("pings", Clients::Pings),
    by("settings", Clients::Settings),
];
