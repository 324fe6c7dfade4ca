//! What runs a scenario: a small world in memory that stores what the machine decides, and text in and out.

pub mod check;
pub mod commands;
pub mod input;
pub mod line;
pub mod operate;
pub mod operation;
pub mod show;
pub mod world;
