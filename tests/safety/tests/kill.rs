//! A few kills, at each change; `cargo xtask safety` does hundreds.

use anyhow::Result;
use safety_test::kill;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_or_doubled_by_kill_9() -> Result<()> {
    let report = kill::rounds(15, 1).await?;
    print!("{}", report.text());
    report.must_be_right()
}
