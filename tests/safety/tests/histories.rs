//! Two calm histories and one with kills, at each change; `cargo xtask safety` records a hundred.

use anyhow::Result;
use safety_test::histories;

#[tokio::test(flavor = "multi_thread")]
async fn calls_to_a_workflow_happen_as_if_one_after_the_other() -> Result<()> {
    let report = histories::runs(3, 1_500, 1).await?;
    print!("{}", report.text());
    report.must_be_right()
}
