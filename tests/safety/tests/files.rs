//! Files that must be refused, and a few flipped bits, at each change; `cargo xtask safety` flips a thousand.

use anyhow::Result;
use safety_test::{flip, refuse};

#[tokio::test(flavor = "multi_thread")]
async fn wrong_files_are_refused_and_not_written_to() -> Result<()> {
    let report = refuse::cases().await?;
    print!("{}", report.text());
    report.must_be_right()
}

#[tokio::test(flavor = "multi_thread")]
async fn flipped_bits_are_noticed_or_harmless() -> Result<()> {
    let report = flip::bits(50, 1).await?;
    print!("{}", report.text());
    report.must_be_right()
}
