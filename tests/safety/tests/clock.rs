//! The clock set a few times, at each change.

use anyhow::Result;
use safety_test::clock;

#[tokio::test(flavor = "multi_thread")]
async fn timers_fire_once_when_the_clock_jumps() -> Result<()> {
    let report = clock::jumps(4, 1).await?;
    print!("{}", report.text());
    report.must_be_right()
}
