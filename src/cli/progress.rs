//! The progress bar: frame, fps and time left; quiet where standard error is no terminal.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar for `total` frames, or one without an end where the number is not known.
pub fn bar(total: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match total {
        Some(total) => {
            (ProgressBar::new(total), "{bar:32} {percent:>3}%  frame {pos}/{len}  {per_sec}  {eta_precise} left  {msg}")
        }
        None => (ProgressBar::no_length(), "{spinner} frame {pos}  {per_sec}  {elapsed_precise}  {msg}"),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(8));
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.with_key("per_sec", |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
        // A write to a string cannot fail.
        let _ = write!(out, "{:.1} fps", state.per_sec());
    }));
    bar
}
