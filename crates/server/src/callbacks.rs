//! Completion callbacks at the rim: which addresses may be called ([`address`]), what they are told ([`completion`]), and
//! the call itself ([`client`]).

pub mod address;
mod client;
mod completion;

pub use client::HttpCourier;
