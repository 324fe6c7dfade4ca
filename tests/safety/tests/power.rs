//! A few power cuts, at each change; `cargo xtask safety` does hundreds.

use anyhow::Result;
use safety_test::power;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_by_power_cuts() -> Result<()> {
    let report = power::rounds(20, 1).await?;
    print!("{}", report.text());
    report.must_be_right()
}
