//! Safety, shown on the real server process: it is killed, cut off from its power, left without space or with a wrong
//! clock, and given damaged files, while clients and workers on the raw API keep a ledger of what it acknowledged. Then
//! the ledger is compared with the histories.

pub mod callbacks;
pub mod check;
pub mod client;
pub mod clock;
pub mod disk;
pub mod flip;
pub mod full;
pub mod histories;
pub mod kill;
pub mod listener;
pub mod load;
pub mod mount;
pub mod overload;
pub mod plan;
pub mod power;
pub mod refuse;
pub mod report;
pub mod requests;
pub mod server;
pub mod worker;
