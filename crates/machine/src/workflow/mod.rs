//! The workflow machine. One file per thing that can happen; `apply` below names them all.

pub mod input;
pub mod message;
pub mod reply;
pub mod rows;
pub mod state;
