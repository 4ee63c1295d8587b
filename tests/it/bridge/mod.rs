//! The whole bridge, as a process of its own, between real Kafka and clients that speak what the stock ones speak.

mod delivery;
mod outages;
mod privacy;
mod records;
mod restart;
mod schemas;
