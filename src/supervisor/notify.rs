//! What systemd is told (sd_notify(3)), where it started us.

use sd_notify::NotifyState;
use std::time::{Duration, Instant};

pub struct Notify {
    /// How often a sign of life is due, and when the last one was given.
    watchdog: Option<Duration>,
    alive: Instant,
    /// Told since it last changed.
    status: String,
}

impl Notify {
    pub fn new() -> Self {
        let watchdog = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        Self { watchdog, alive: Instant::now(), status: String::new() }
    }

    fn tell(&self, states: &[NotifyState]) {
        // Nobody to tell is no error.
        let _ = sd_notify::notify(states);
    }

    /// Also that this is the process to watch from now on, which an upgrade changes.
    pub fn ready(&self) {
        self.tell(&[NotifyState::Ready, NotifyState::MainPid(std::process::id())]);
    }

    pub fn reloading(&self) {
        // Both in one message (sd_notify(3), RELOADING=1).
        if let Ok(since) = NotifyState::monotonic_usec_now() {
            self.tell(&[NotifyState::Reloading, since]);
        }
    }

    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }

    /// A line for `systemctl status`.
    pub fn status(&mut self, status: String) {
        if status != self.status {
            self.tell(&[NotifyState::Status(&status)]);
            self.status = status;
        }
    }

    /// A sign of life, if one is due.
    pub fn alive(&mut self) {
        if self.watchdog.is_some_and(|every| self.alive.elapsed() >= every) {
            self.tell(&[NotifyState::Watchdog]);
            self.alive = Instant::now();
        }
    }

    /// When the next sign of life is due.
    pub fn due(&self) -> Option<Instant> {
        self.watchdog.map(|every| self.alive + every)
    }
}
