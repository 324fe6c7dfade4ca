//! The number of syncs, which no file in /proc tells: read from the server's own metrics, where it offers them.

use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The counter of the store's syncs in the Prometheus text that `steadfast server start-dev --metrics-port` serves.
const SYNCS: &str = "steadfast_store_syncs_total";
const PATIENCE: Duration = Duration::from_secs(2);

/// Syncs since the server started, summed over all label sets; none if there is no such endpoint or counter.
pub async fn syncs(port: Option<u16>) -> Option<u64> {
    let port = port?;
    let page = timeout(PATIENCE, fetch(port)).await.ok()?.ok()?;
    total(&page)
}

async fn fetch(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").await?;
    let mut page = String::new();
    stream.read_to_string(&mut page).await?;
    Ok(page)
}

fn total(page: &str) -> Option<u64> {
    let values = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(SYNCS)?;
        if !rest.starts_with([' ', '{']) {
            return None;
        }
        rest.rsplit(' ').next()?.trim().parse::<f64>().ok()
    });
    values.fold(None, |sum, value| Some(sum.unwrap_or(0) + value as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_over_labels_and_skips_other_counters() {
        let page = "# TYPE steadfast_store_syncs_total counter\n\
                    steadfast_store_syncs_total{kind=\"commit\"} 40\n\
                    steadfast_store_syncs_total{kind=\"checkpoint\"} 2\n\
                    steadfast_store_syncs_total_other 7\n";
        assert_eq!(total(page), Some(42));
        assert_eq!(total("up 1\n"), None);
    }
}
