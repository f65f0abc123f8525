//! The attackers: a process of their own, of little weight. They would be on other machines, and what is measured is what
//! they make the server do.

use crate::args::Args;
use crate::attacks::{Attack, Clients, Means};
use crate::{floods, slow};
use load::client::Target;
use load::weight::Low;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// How often the process says how far it is.
const NEWS: Duration = Duration::from_millis(50);
/// By when all attackers have to be there.
const START_LIMIT: Duration = Duration::from_secs(20);

/// What the attackers have done so far.
#[derive(Default)]
pub struct Counts {
    /// Requests, bytes or frames that were sent, as the attack has it.
    pub sent: AtomicU64,
    /// Connections that there are at the moment, of those that stay.
    pub open: AtomicU64,
}

/// Goes on until this process is killed, or nobody listens any more to what it says.
pub fn carry_out(attack: &Attack, target: &Target, args: &Args) {
    let slow = args.slow;
    let counts = Arc::new(Counts::default());
    for n in 0..args.attackers {
        let (means, target, counts) = (attack.means, target.clone(), counts.clone());
        thread::spawn(move || match means {
            Means::None => {}
            Means::Guest { path, reads, .. } => again_and_again(|| ask(&target, path, reads, &counts)),
            Means::Clients(clients @ (Clients::Pings | Clients::Settings)) => {
                again_and_again(|| floods::flood(clients, &target, &counts));
            }
            // One thread for all of them.
            Means::Clients(clients) if n == 0 => slow::keep(clients, &target, slow, &counts),
            Means::Clients(_) => {}
        });
    }
    while writeln!(io::stdout(), "{} {}", counts.open.load(Relaxed), counts.sent.load(Relaxed)).is_ok() {
        thread::sleep(NEWS);
    }
}

/// Refused or cut off: once more, but no storm of connections.
fn again_and_again(mut attempt: impl FnMut() -> io::Result<()>) {
    loop {
        if attempt().is_err() {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn ask(target: &Target, path: &str, reads: bool, counts: &Counts) -> io::Result<()> {
    let mut connection = TcpStream::connect_timeout(&target.address, Duration::from_secs(1))?;
    let host = &target.host;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\nte: trailers\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    counts.sent.fetch_add(1, Relaxed);
    if !reads {
        // Until this process is killed.
        thread::sleep(Duration::MAX);
    }
    let mut buffer = vec![0; 1 << 16];
    while connection.read(&mut buffer)? > 0 {}
    Ok(())
}

/// That process, as the one that measures sees it. It ends when this is dropped.
pub struct Attackers {
    child: Child,
    counts: Arc<Counts>,
}

impl Attackers {
    /// Returns once the attack has begun.
    pub fn begin(args: &Args, attack: &Attack, target: &Target, low: &Low) -> io::Result<Self> {
        let mut command = Command::new("sh");
        // Each connection is a descriptor.
        command.args(["-c", "ulimit -n \"$(ulimit -Hn)\"; exec \"$0\" \"$@\""]).arg(std::env::current_exe()?);
        command.args(["--attack", attack.name, &target.address.to_string(), &target.host]);
        command.args(["--attackers", &args.attackers.to_string(), "--slow", &args.slow.to_string()]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let counts = Arc::new(Counts::default());
        let (news, seen) = (child.stdout.take(), counts.clone());
        thread::spawn(move || {
            for line in news.into_iter().flat_map(|news| BufReader::new(news).lines()).map_while(Result::ok) {
                let mut numbers = line.split(' ').filter_map(|number| number.parse().ok());
                seen.open.store(numbers.next().unwrap_or(0), Relaxed);
                seen.sent.store(numbers.next().unwrap_or(0), Relaxed);
            }
        });
        let attackers = Self { child, counts };
        attackers.wait(attack, args.slow as u64)?;
        // Only now: where others are at work too it may get no time at all.
        low.add(attackers.child.id())?;
        Ok(attackers)
    }

    /// Until the attack has begun.
    fn wait(&self, attack: &Attack, slow: u64) -> io::Result<()> {
        let (count, enough) = match attack.means {
            Means::Clients(Clients::SlowHeads | Clients::SlowReaders) => (&self.counts.open, slow),
            _ => (&self.counts.sent, 1),
        };
        let began = Instant::now();
        while count.load(Relaxed) < enough {
            if began.elapsed() > START_LIMIT {
                return Err(io::Error::other(format!("only {} attackers could connect", count.load(Relaxed))));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// What they have sent so far.
    pub fn sent(&self) -> u64 {
        self.counts.sent.load(Relaxed)
    }
}

impl Drop for Attackers {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
