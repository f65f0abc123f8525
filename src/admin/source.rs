//! Where the admin process has its knowledge from: it asks the supervisor, one question at a time, and for a moment
//! gives the same answer to everybody, so that many readers cost the supervisor nothing.

use crate::control::protocol::{Answer, Command, Outcome, Request, VERSION};
use crate::exit::Failure;
use crate::status::Status;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// How long an answer is as good as a new one.
const FRESH: Duration = Duration::from_millis(100);
/// How long the supervisor may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Clone, Default)]
pub struct Source(Arc<Shared>);

#[derive(Default)]
struct Shared {
    wanted: Notify,
    latest: watch::Sender<Latest>,
}

/// The last answer and when it came.
type Latest = Option<(Instant, Arc<Status>)>;

fn is_fresh(latest: &Latest) -> bool {
    latest.as_ref().is_some_and(|(came, _)| came.elapsed() < FRESH)
}

impl Source {
    /// What the server does now; None if the supervisor does not answer.
    pub async fn status(&self) -> Option<Arc<Status>> {
        let mut latest = self.0.latest.subscribe();
        if !is_fresh(&latest.borrow()) {
            self.0.wanted.notify_one();
            timeout(PATIENCE, latest.changed()).await.ok()?.ok()?;
        }
        latest.borrow().as_ref().map(|(_, status)| status.clone())
    }

    /// Asks whenever somebody wants to know. Ends with the supervisor.
    pub async fn run(&self, channel: UnixStream) -> Result<(), Failure> {
        let mut channel = BufReader::new(channel);
        let request = Request { version: VERSION, command: Command::Status };
        let request = format!("{}\n", serde_json::to_string(&request).map_err(std::io::Error::from)?);
        let mut line = Vec::new();
        loop {
            tokio::select! {
                // Nothing is said unasked: this is the end.
                unasked = channel.fill_buf() => match unasked?.is_empty() {
                    true => return Ok(()),
                    false => return Err(Failure::internal("the supervisor said something unasked")),
                },
                () = self.0.wanted.notified() => {}
            }
            // Somebody else has asked meanwhile.
            if is_fresh(&self.0.latest.borrow()) {
                continue;
            }
            channel.write_all(request.as_bytes()).await?;
            line.clear();
            if channel.read_until(b'\n', &mut line).await? == 0 {
                return Ok(());
            }
            match serde_json::from_slice(&line) {
                Ok(Answer { result: Outcome::Status { status }, .. }) => {
                    self.0.latest.send_replace(Some((Instant::now(), Arc::from(status))));
                }
                Ok(Answer { result, .. }) => tracing::warn!("the supervisor did not tell its status: {result:?}"),
                Err(error) => tracing::warn!("the supervisor's answer is not understood: {error}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::tests::example;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    async fn answer(supervisor: &mut BufReader<UnixStream>) {
        let mut line = String::new();
        supervisor.read_line(&mut line).await.unwrap();
        assert_eq!(line, "{\"version\":1,\"command\":\"status\"}\n");
        let answer = Answer::new(Outcome::Status { status: Box::new(example()) });
        let answer = serde_json::to_string(&answer).unwrap() + "\n";
        supervisor.write_all(answer.as_bytes()).await.unwrap();
    }

    #[test]
    fn many_readers_cost_one_question() {
        runtime().block_on(async {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let source = Source::default();
            let mut supervisor = BufReader::new(theirs);
            let readers = async {
                let (one, two, three) = tokio::join!(source.status(), source.status(), source.status());
                assert!(one.is_some() && two == one && three == one);
                assert_eq!(source.status().await, one, "it is still fresh");
            };
            tokio::select! {
                _ = source.run(ours) => panic!("the channel is open"),
                () = async { tokio::join!(answer(&mut supervisor), readers); } => {}
            }
            assert!(supervisor.buffer().is_empty());
        });
    }

    #[test]
    fn a_supervisor_that_says_nothing_is_not_waited_for() {
        runtime().block_on(async {
            let (ours, _theirs) = UnixStream::pair().unwrap();
            let source = Source::default();
            tokio::select! {
                _ = source.run(ours) => panic!("the channel is open"),
                status = source.status() => assert!(status.is_none()),
            }
        });
    }

    #[test]
    fn it_ends_with_the_supervisor() {
        runtime().block_on(async {
            let (ours, theirs) = UnixStream::pair().unwrap();
            drop(theirs);
            Source::default().run(ours).await.unwrap();
        });
    }
}
