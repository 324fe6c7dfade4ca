//! A disk that is full three times, at each change.

use anyhow::Result;
use safety_test::full;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_passes_and_loses_nothing() -> Result<()> {
    let report = full::rounds(3, 1).await?;
    print!("{}", report.text());
    report.must_be_right()
}
