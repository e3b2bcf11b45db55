//! Takt's own processes: servers and clients that are started, watched and ended.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tonic::transport::{Channel, Endpoint};

use crate::Place;

/// How long a server may take to become ready, or to stop.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Memory now, in MiB.
    pub(crate) rss: u64,
    /// Memory at its most, in MiB.
    pub(crate) peak: u64,
    /// Processor time.
    pub(crate) cpu: Duration,
}

/// A server of its own process; killed when it goes out of scope.
pub(crate) struct Server {
    child: Child,
    address: String,
    /// Ends with the server.
    _listener: JoinSet<()>,
    /// From before the process was made until `/readyz` answered.
    pub(crate) ready_after: Duration,
}

impl Server {
    /// Starts `takt serve` or `takt dev` on a free port and waits until it is ready.
    pub(crate) async fn start(place: &Place, verb: &str, data: &Path) -> anyhow::Result<Self> {
        Self::start_with(place, verb, data, &[]).await
    }

    /// The same, told more.
    pub(crate) async fn start_with(
        place: &Place,
        verb: &str,
        data: &Path,
        more: &[&str],
    ) -> anyhow::Result<Self> {
        let started = Instant::now();
        let mut child = Command::new(&place.takt)
            .args([verb, "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("could not start `{}`", place.takt.display()))?;
        let errors = child.stderr.take().context("the server has no stderr")?;
        let mut lines = BufReader::new(errors).lines();
        let mut said = Vec::new();
        let address = loop {
            let Some(line) = timeout(PATIENCE, lines.next_line()).await?? else {
                bail!("the server ended before it was ready: {}", said.join("; "));
            };
            if let Some(address) = address_in(&line) {
                break address;
            }
            said.push(line);
        };
        // What it says later is nobody's concern, but the pipe must not fill up.
        let mut listener = JoinSet::new();
        listener.spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let ready = async {
            while !is_ready(&address).await {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, ready).await.context("the server did not become ready")?;
        let ready_after = started.elapsed();
        Ok(Self { child, address, _listener: listener, ready_after })
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A connection to it.
    pub(crate) async fn channel(&self) -> anyhow::Result<Channel> {
        Ok(Endpoint::from_shared(self.url())?.connect().await?)
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        usage(self.child.id().context("the server has ended")?)
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.child.id().context("the server has ended")?;
        // Tokio can only kill; the shell's own `kill` is everywhere.
        let asked = Command::new("sh").args(["-c", &format!("kill -TERM {pid}")]).status().await?;
        anyhow::ensure!(asked.success(), "the server could not be asked to stop");
        timeout(PATIENCE, self.child.wait()).await.context("the server did not stop")??;
        Ok(())
    }

    /// Kills it with -9, as a crash would.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

/// A client that has ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) took: Duration,
    /// As of at most 20 ms before its end.
    pub(crate) usage: Usage,
}

/// Runs a client command to its end.
pub(crate) async fn run(place: &Place, url: &str, args: &[&str]) -> anyhow::Result<Ended> {
    let started = Instant::now();
    let mut child = Command::new(&place.takt)
        .args(args)
        .env("TAKT_SERVER", url)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("could not start `{}`", place.takt.display()))?;
    let pid = child.id().context("the client has ended")?;
    let mut output = child.stdout.take().context("the client has no stdout")?;
    let mut last = Usage::default();
    let status = loop {
        last = usage(pid).unwrap_or(last);
        tokio::select! {
            status = child.wait() => break status?,
            () = sleep(Duration::from_millis(20)) => {}
        }
    };
    let took = started.elapsed();
    let mut stdout = String::new();
    output.read_to_string(&mut stdout).await?;
    Ok(Ended { status, stdout, took, usage: last })
}

/// What this process itself has used.
pub(crate) fn own_usage() -> anyhow::Result<Usage> {
    usage(std::process::id())
}

/// Forgets this process's peak of memory, so that the next phase has its own.
pub(crate) fn forget_own_peak() {
    // Where the kernel refuses, the peak is of all phases so far, which is no less true.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn usage(pid: u32) -> anyhow::Result<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_usage(&status, &stat).context("the kernel tells nothing of the process's memory")
}

fn parse_usage(status: &str, stat: &str) -> Option<Usage> {
    let mebibytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kilobytes.div_ceil(1024))
    };
    // The name in brackets may hold blanks; user and system time are fields 14 and 15.
    let (_, after) = stat.rsplit_once(')')?;
    let ticks = after.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
    // Linux counts in hundredths of a second on every platform that Rust knows.
    let cpu = Duration::from_millis(ticks * 10);
    Some(Usage { rss: mebibytes("VmRSS:")?, peak: mebibytes("VmHWM:")?, cpu })
}

fn address_in(line: &str) -> Option<String> {
    let url = line.split_whitespace().find_map(|word| word.strip_prefix("http://"))?;
    Some(url.trim_end_matches(|it: char| !it.is_ascii_digit()).to_owned())
}

async fn is_ready(address: &str) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer.starts_with("HTTP/1.1 200"))
    };
    asked.await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_what_a_server_says() {
        let line = "takt is ready at http://127.0.0.1:40123 with its data in `x`";
        assert_eq!(address_in(line).unwrap(), "127.0.0.1:40123");
        assert_eq!(address_in("open http://127.0.0.1:7420/.").unwrap(), "127.0.0.1:7420");
        assert_eq!(address_in("a warning"), None);
    }

    #[test]
    fn memory_and_processor_time_are_read_as_the_kernel_writes_them() {
        let status = "Name:\ttakt\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\n";
        let stat = "7 (a b) S 1 7 7 0 -1 4194560 500 0 0 0 150 50 0 0 20 0 5 0 100 1 1";
        let usage = parse_usage(status, stat).unwrap();
        assert_eq!((usage.rss, usage.peak, usage.cpu), (10, 20, Duration::from_secs(2)));
    }
}
