//! Many streams: their configuration, their supervision, their numbers, and the service manager that watches
//! over them.
//!
//! ```text
//! Config ──► Monitor ──► Station per stream: LiveSource ► Live (loop) ► encoder ► published, pushed, recorded
//!               └─ Models, one per model of the configuration, shared by the streams that name it
//! ```

pub mod config;
mod encoded;
pub mod metrics;
mod station;
mod supervisor;
pub mod systemd;
pub mod web;

pub use station::{OpenExtra, StartError, Workshop};
pub use supervisor::{Missing, Monitor};
