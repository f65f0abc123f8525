//! The load: `wrk` or `oha`, whichever is installed, against one address for some seconds.

use crate::programs::{on_path, version};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::Command;
use tokio::time::sleep;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub path: &'static str,
    pub connections: usize,
    /// A new connection for each request.
    pub close: bool,
    /// Bytes of the body of a POST; a GET if none.
    pub post: usize,
    /// Bytes of the body of the right answer.
    pub answer: u64,
}

impl Target {
    pub const fn get(path: &'static str, connections: usize, answer: u64) -> Self {
        Self { path, connections, close: false, post: 0, answer }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    pub requests: f64,
    /// Bytes of all answers, those that had not ended included if the tool tells.
    pub bytes: f64,
    pub seconds: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub errors: f64,
}

impl Outcome {
    /// Requests that were served. Of large answers so many are under way at the end that bytes tell it better.
    pub fn served(&self, target: &Target) -> f64 {
        if target.answer >= 1 << 20 { self.bytes / target.answer as f64 } else { self.requests }
    }
}

/// A virtual machine may be stopped for seconds: what was measured meanwhile says nothing of any server.
#[derive(Debug)]
pub struct Stalled(Duration);

impl std::error::Error for Stalled {}

impl std::fmt::Display for Stalled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the machine stood still for {:.1} s", self.0.as_secs_f64())
    }
}

/// How late a timer may be before that counts.
const STALL: Duration = Duration::from_secs(1);

async fn watched<T>(work: impl Future<Output = T>) -> Result<T, Stalled> {
    let mut work = pin!(work);
    let mut longest = Duration::ZERO;
    loop {
        let began = Instant::now();
        tokio::select! {
            result = &mut work => return if longest < STALL { Ok(result) } else { Err(Stalled(longest)) },
            () = sleep(STALL / 10) => longest = longest.max(began.elapsed()),
        }
    }
}

enum Kind {
    Wrk,
    Oha,
}

pub struct Generator {
    kind: Kind,
    program: PathBuf,
    folder: PathBuf,
}

impl Generator {
    pub fn find(folder: &Path) -> Result<Self> {
        let wrk = || Some((Kind::Wrk, on_path("wrk")?));
        let oha = || Some((Kind::Oha, on_path("oha")?));
        let (kind, program) = wrk()
            .or_else(oha)
            .context("neither `wrk` nor `oha` is on the PATH: install one (Debian: apt-get install wrk)")?;
        Ok(Self { kind, program, folder: folder.to_owned() })
    }

    /// What it says of itself.
    pub fn name(&self) -> String {
        let option = if matches!(self.kind, Kind::Wrk) { "-v" } else { "--version" };
        let said = version(&self.program, option).unwrap_or_else(|_| self.program.display().to_string());
        said.split(" [").next().unwrap_or_default().to_owned()
    }

    pub async fn run(&self, address: SocketAddr, target: &Target, seconds: u64) -> Result<Outcome> {
        let url = format!("http://{address}{}", target.path);
        let mut command = Command::new(&self.program);
        match self.kind {
            Kind::Wrk => self.wrk(&mut command, target, seconds)?,
            Kind::Oha => self.oha(&mut command, target, seconds)?,
        };
        command.arg(url).stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let output = watched(command.output()).await??;
        if !output.status.success() {
            bail!("the load generator failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        match self.kind {
            Kind::Wrk => wrk_outcome(&output.stdout),
            Kind::Oha => oha_outcome(&output.stdout),
        }
    }

    fn wrk(&self, command: &mut Command, target: &Target, seconds: u64) -> Result<()> {
        let mut script = include_str!("../apps/wrk.lua").to_owned();
        if target.post > 0 {
            script += &format!("wrk.method = 'POST'\nwrk.body = string.rep('x', {})\n", target.post);
        }
        let file = self.folder.join(format!("wrk-{}.lua", target.post));
        write_once(&file, &script)?;
        command.args(["-t1", "--latency", "--timeout", "30s", &format!("-c{}", target.connections)]);
        command.arg(format!("-d{seconds}s")).arg("-s").arg(file);
        if target.close {
            command.args(["-H", "Connection: close"]);
        }
        Ok(())
    }

    fn oha(&self, command: &mut Command, target: &Target, seconds: u64) -> Result<()> {
        // One thread, as for wrk.
        command.env("TOKIO_WORKER_THREADS", "1");
        command.args(["--no-tui", "--output-format", "json", "-c", &target.connections.to_string()]);
        command.args(["-z", &format!("{seconds}s")]);
        if target.post > 0 {
            let file = self.folder.join(format!("body-{}", target.post));
            write_once(&file, &"x".repeat(target.post))?;
            command.args(["-m", "POST", "-D"]).arg(file);
        }
        if target.close {
            command.arg("--disable-keepalive");
        }
        Ok(())
    }
}

/// Two generators at once may need the same file: neither is to read what the other is about to write.
fn write_once(file: &Path, content: &str) -> Result<()> {
    if !file.exists() {
        fs::write(file, content)?;
    }
    Ok(())
}

fn wrk_outcome(output: &[u8]) -> Result<Outcome> {
    let text = String::from_utf8_lossy(output);
    let result = text.lines().find_map(|line| line.strip_prefix("RESULT ")).context("wrk gave no result")?;
    let result: Value = serde_json::from_str(result)?;
    let number = |name: &str| result[name].as_f64().with_context(|| format!("wrk did not tell {name}"));
    Ok(Outcome {
        requests: number("requests")?,
        bytes: number("bytes")?,
        seconds: number("us")? / 1e6,
        p50_us: number("p50")?,
        p99_us: number("p99")?,
        errors: number("errors")?,
    })
}

fn oha_outcome(output: &[u8]) -> Result<Outcome> {
    let result: Value = serde_json::from_slice(output).context("oha gave no JSON")?;
    let count = |value: &Value, counts: fn(&str) -> bool| -> f64 {
        let pairs = value.as_object().into_iter().flatten().filter(|(name, _)| counts(name));
        pairs.filter_map(|(_, value)| value.as_f64()).sum()
    };
    let number = |value: &Value| value.as_f64().context("oha's result is incomplete");
    let statuses = &result["statusCodeDistribution"];
    // What the end of the time cuts short is no error.
    let failed = count(&result["errorDistribution"], |name| !name.contains("deadline"));
    Ok(Outcome {
        requests: count(statuses, |_| true),
        bytes: number(&result["summary"]["totalData"])?,
        seconds: number(&result["summary"]["total"])?,
        p50_us: number(&result["latencyPercentiles"]["p50"])? * 1e6,
        p99_us: number(&result["latencyPercentiles"]["p99"])? * 1e6,
        errors: failed + count(statuses, |status| !status.starts_with('2')),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_our_script_is_read_among_what_wrk_prints() {
        let output = b"Running 2s test\nRESULT {\"requests\":10,\"bytes\":130,\"us\":2000000,\"p50\":5,\"p99\":9,\"errors\":1}\n";
        let expected = Outcome { requests: 10.0, bytes: 130.0, seconds: 2.0, p50_us: 5.0, p99_us: 9.0, errors: 1.0 };
        assert_eq!(wrk_outcome(output).unwrap(), expected);
    }

    #[test]
    fn what_the_deadline_cut_short_is_no_error_of_oha() {
        let output = br#"{
            "summary": { "total": 2.0, "totalData": 130 },
            "latencyPercentiles": { "p50": 0.000005, "p99": 0.000009 },
            "statusCodeDistribution": { "200": 9, "503": 1 },
            "errorDistribution": { "aborted due to deadline": 32, "connection refused": 2 }
        }"#;
        let outcome = oha_outcome(output).unwrap();
        assert_eq!((outcome.requests, outcome.errors, outcome.bytes), (10.0, 3.0, 130.0));
        assert!((outcome.p99_us - 9.0).abs() < 1e-6);
    }

    #[test]
    fn large_answers_are_counted_by_their_bytes() {
        let outcome = Outcome { requests: 3.0, bytes: 5e6, seconds: 1.0, p50_us: 1.0, p99_us: 1.0, errors: 0.0 };
        assert_eq!(outcome.served(&Target::get("/", 1, 13)), 3.0);
        assert!((outcome.served(&Target::get("/", 1, 1 << 20)) - 4.768).abs() < 0.001);
    }
}
