//! The one way to wait for something.

use std::time::{Duration, Instant};

/// Asks again and again until the answer is good: `Ok` is the answer, `Err` says what is missing.
///
/// # Panics
/// With what was missing last, when `limit` has passed.
pub async fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut ask: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let began = Instant::now();
    loop {
        let missing = match ask().await {
            Ok(answer) => return answer,
            Err(missing) => missing,
        };
        assert!(began.elapsed() < limit, "waited {limit:?} until {what}: {missing}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
