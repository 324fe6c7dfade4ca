//! The money transfer example as processes: real binaries on free ports and on files in a folder of their own, seen from outside
//! through their APIs. Shared by the tests of this package.

mod build;
mod page;
mod town;
mod wait;

pub use build::{ExerciseSource, example_binary};
pub use test_process::{Process, built_server, free_port, root};
pub use town::{Town, TownOptions};
pub use wait::wait_until;
