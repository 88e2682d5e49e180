//! A live stream: the video never waits for the model.
//!
//! ```text
//! LiveSource ──newest frame──► loop ──┬─ every frame, painted with the newest map, on time ──► outputs
//!                              ▲      └─ the newest frame, when its turn has come ──► engine ─┐
//!                              └──────────────────── maps, when they come ◄──────────────────┘
//! ```

mod controls;
mod event_feed;
mod explainer;
mod handle;
mod meters;
mod models;
mod newest;
mod run;

pub use controls::{Control, HELP, KeyAction, Wishes, key};
pub use handle::{HUNG, LiveHandle, Moment, State, Status};
pub use meters::Meters;
pub use models::{ModelError, Models, Running};
pub use run::{Live, LiveSettings, OpenOutputs, Output, Pace};
