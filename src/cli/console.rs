//! The web console of `live` and `watch`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use gradcast::monitor::config::{Changes, Config};
use gradcast::monitor::web::{Channel, Console, Web, WebOptions};
use gradcast::monitor::{Missing, Monitor, systemd};

use super::failure::{Code, Failure};

/// What the console shows, and how the configuration is read again.
pub struct Board {
    pub monitor: Arc<Monitor>,
    /// The configuration; `None` where the streams were given on the command line.
    pub file: Option<PathBuf>,
}

impl Board {
    /// Reads the configuration again; a mistake in it changes nothing. Tells what changed.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn read_again(&self) -> Result<String, String> {
        let Some(path) = &self.file else {
            return Err("there is no configuration file to read again: the streams were given as addresses".into());
        };
        systemd::reloading();
        let outcome = match Config::load(path) {
            Ok(config) => {
                let changes = self.monitor.apply(config);
                Ok(said(&changes, &self.monitor.missing()))
            }
            Err(e) => Err(format!("the configuration stays as it was: {e} ({})", e.hint())),
        };
        systemd::ready(&format!("{} streams", self.monitor.streams().len()));
        outcome
    }
}

fn said(changes: &Changes, missing: &BTreeMap<String, Missing>) -> String {
    if changes.is_empty() && missing.is_empty() {
        return "the configuration has not changed".into();
    }
    let rows = [("added", &changes.added), ("changed", &changes.changed), ("removed", &changes.removed)];
    let streams =
        rows.iter().filter(|(_, names)| !names.is_empty()).map(|(what, n)| format!("{what}: {}", n.join(", ")));
    let later = changes.after_restart.iter().map(|section| format!("[{section}] changed, which shows after a restart"));
    let missing = missing.iter().map(|(name, missing)| format!("{name} did not start: {}", missing.why));
    streams.chain(later).chain(missing).collect::<Vec<_>>().join("; ")
}

impl Console for Board {
    fn streams(&self) -> Vec<Arc<dyn Channel>> {
        self.monitor.streams().into_iter().map(|stream| Arc::new(stream) as Arc<dyn Channel>).collect()
    }

    fn missing(&self) -> BTreeMap<String, Missing> {
        self.monitor.missing()
    }

    fn is_alive(&self) -> bool {
        self.monitor.is_alive()
    }

    fn not_ready(&self) -> Vec<String> {
        self.monitor.not_ready()
    }

    fn metrics(&self) -> String {
        self.monitor.metrics().text()
    }

    fn can_reload(&self) -> bool {
        self.file.is_some()
    }

    fn reload(&self) -> Result<String, String> {
        self.read_again().inspect(|said| tracing::info!("{said}"))
    }
}

/// Serves the console where the configuration asks for one.
///
/// # Errors
/// Where it cannot be served there.
pub fn start(config: &Config, board: &Arc<Board>) -> Result<Option<Web>, Failure> {
    let Some(http) = &config.http else { return Ok(None) };
    let options = WebOptions::new(http.listen, http.token.as_ref().map(|token| token.expose().to_owned()))?;
    let web = Web::start(options, Arc::clone(board) as Arc<dyn Console>).map_err(|e| {
        let (code, hint) = (if e.is_usage() { Code::Usage } else { Code::Running }, e.hint());
        Failure::new(code, e, hint)
    })?;
    Ok(Some(web))
}
