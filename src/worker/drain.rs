//! The end of a worker: no new connections, what is in flight finishes, instances are shut down.

use super::serve::Listeners;
use crate::http::connection::Front;
use crate::lane::Lane;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How often to look whether the last connection has ended.
const LOOK: Duration = Duration::from_millis(5);

pub async fn drain(front: &Arc<Front>, lane: &Lane, listeners: Listeners) {
    let deadline = Instant::now() + lane.shop().settings.timeout_graceful_shutdown;
    listeners.close().await;
    front.close();
    let drained = timeout_at(deadline, async {
        while front.crowd.open() > 0 {
            sleep(LOOK).await;
        }
        lane.drain().await;
    });
    let drained = drained.await;
    tracing::debug!(
        event = "longest-poll",
        worker = lane.shop().worker,
        nanoseconds = lane.shop().longest_poll.load(Relaxed),
        "the longest that an instance held the loop, in processor time"
    );
    if drained.is_err() {
        let shop = lane.shop();
        let (in_flight, queued) = (shop.row.in_flight.load(Relaxed), shop.row.queued.load(Relaxed));
        let connections = front.crowd.open();
        tracing::warn!(
            event = "drain-timeout",
            worker = shop.worker,
            in_flight,
            queued,
            connections,
            "worker {} did not finish within {} s: {in_flight} requests in flight, {queued} of them waiting, {connections} connections are ended",
            shop.worker,
            shop.settings.timeout_graceful_shutdown.as_secs_f64()
        );
    }
}
