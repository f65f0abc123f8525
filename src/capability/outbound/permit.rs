//! How many outbound requests there are at a time, in all workers together. Each worker counts its own in its row of
//! the scoreboard; a process that is gone has none.

use crate::scoreboard::{Board, Row};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::{Mutex, Notify};

/// How often it is looked whether another worker has become done with one.
const LOOK: Duration = Duration::from_millis(5);

pub struct Permits {
    most: u64,
    row: &'static Row,
    board: Board,
    /// Held by the one that waits for a permit; the others wait for it, in their order.
    turn: Mutex<()>,
    returned: Notify,
}

/// Held while a request is under way.
pub struct Permit(Arc<Permits>);

impl Permits {
    pub fn new(most: u64, row: &'static Row, board: Board) -> Self {
        Self { most, row, board, turn: Mutex::new(()), returned: Notify::new() }
    }

    /// Waits for a permit: a burst is to be slowed down, and not to fail. None if there is none for so long.
    pub async fn take(self: &Arc<Self>, patience: Duration) -> Option<Permit> {
        let wait = async {
            let _turn = self.turn.lock().await;
            loop {
                if let Some(permit) = self.try_take() {
                    return permit;
                }
                let _ = tokio::time::timeout(LOOK, self.returned.notified()).await;
            }
        };
        tokio::time::timeout(patience, wait).await.ok()
    }

    fn try_take(self: &Arc<Self>) -> Option<Permit> {
        if self.board.outbound() >= self.most {
            return None;
        }
        self.row.outbound.fetch_add(1, Relaxed);
        let permit = Permit(self.clone());
        // Another worker may have taken the last one at the same time; then it is nobody's for the moment.
        if self.board.outbound() > self.most {
            return None;
        }
        self.row.outbound_requests.fetch_add(1, Relaxed);
        Some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.row.outbound.fetch_sub(1, Relaxed);
        self.0.returned.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn all_workers_have_them_together() {
        let board = Board::new(3).unwrap();
        let one = Arc::new(Permits::new(3, board.begin(0), board));
        let other = Arc::new(Permits::new(3, board.begin(1), board));
        let held = [one.take(LONG).await.unwrap(), one.take(LONG).await.unwrap(), other.take(LONG).await.unwrap()];
        assert_eq!(board.outbound(), 3);
        assert!(one.take(SHORT).await.is_none() && other.take(SHORT).await.is_none());
        assert_eq!((board.outbound(), board[0].outbound_requests.load(Relaxed)), (3, 2));
        drop(held);
        assert_eq!(board.outbound(), 0);
    }

    #[tokio::test]
    async fn who_waits_gets_what_is_given_back_here_or_elsewhere() {
        let board = Board::new(2).unwrap();
        let one = Arc::new(Permits::new(1, board.begin(0), board));
        let other = Arc::new(Permits::new(1, board.begin(1), board));
        for holder in [&one, &other] {
            let held = holder.take(LONG).await.unwrap();
            let (taken, ()) = tokio::join!(one.take(LONG), async { drop(held) });
            assert!(taken.is_some());
        }
    }

    #[tokio::test]
    async fn a_process_that_is_gone_holds_none() {
        let board = Board::new(2).unwrap();
        let gone = Arc::new(Permits::new(1, board.begin(0), board));
        let alive = Arc::new(Permits::new(1, board.begin(1), board));
        std::mem::forget(gone.take(LONG).await.unwrap());
        assert!(alive.take(SHORT).await.is_none());
        board[0].outbound.store(0, Relaxed);
        assert!(alive.take(SHORT).await.is_some());
    }

    #[tokio::test]
    async fn numbers_of_a_hostile_worker_only_deny() {
        let board = Board::new(2).unwrap();
        let permits = Arc::new(Permits::new(u64::MAX, board.begin(0), board));
        board.begin(1).outbound.store(u64::MAX, Relaxed);
        assert!(permits.take(SHORT).await.is_none());
    }
}
