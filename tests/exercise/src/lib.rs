//! The money transfer example as processes: real binaries on free ports and on files in a folder of their own, seen from outside
//! through their APIs. Shared by the tests of this package.

mod build;
mod page;
mod process;
mod town;

pub use build::{ExerciseSource, example_binary, root, server};
pub use process::{Process, free_port, wait_until};
pub use town::{Town, TownOptions};
