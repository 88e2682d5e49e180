//! The web console of `live` and `watch`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use gradcast::monitor::config::{Changes, Config, ConfigError};
use gradcast::monitor::web::{Bound, Channel, Console, Reload, Web, WebError, WebOptions};
use gradcast::monitor::{Missing, Monitor, systemd};
use gradcast::video::Description;

use super::failure::{Code, Failure};

/// What the console shows, and how the configuration is read again. Clones are the same.
#[derive(Clone)]
pub struct Board {
    monitor: Arc<Monitor>,
    configuration: Option<Arc<Configuration>>,
    /// The configuration is being read.
    reading: Arc<AtomicBool>,
}

/// Where streams come from that were not given on the command line.
pub struct Configuration {
    pub file: PathBuf,
    pub description: Description,
}

impl Configuration {
    /// # Errors
    /// See [`Config::load`].
    pub fn read(&self) -> Result<Config, ConfigError> {
        Config::load_for(&self.description, &self.file)
    }
}

/// The one who may read the configuration, until it is dropped.
pub struct Turn(Arc<AtomicBool>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.store(false, SeqCst);
    }
}

/// How long somebody at the page waits for a reload.
const PATIENCE: Duration = Duration::from_secs(10);

impl Board {
    pub fn new(monitor: &Arc<Monitor>, configuration: Option<Configuration>) -> Self {
        let configuration = configuration.map(Arc::new);
        Self { monitor: Arc::clone(monitor), configuration, reading: Arc::default() }
    }

    /// One reads at a time; `None` where somebody does.
    pub fn turn(&self) -> Option<Turn> {
        let taken = self.reading.swap(true, SeqCst);
        (!taken).then(|| Turn(Arc::clone(&self.reading)))
    }

    /// Reads the configuration again, in a thread of its own: a mistake in it changes nothing. The outcome is logged, and
    /// comes on the channel.
    pub fn read_again(&self, turn: Turn) -> Receiver<Reload> {
        let (tell, told) = bounded(1);
        let board = self.clone();
        let work = move || {
            let outcome = board.read();
            match &outcome {
                Reload::Refused(said) => tracing::error!("{said}"),
                Reload::Done(said) | Reload::GoesOn(said) => tracing::info!("{said}"),
                Reload::UnderWay => {}
            }
            drop(turn);
            let _ = tell.send(outcome);
        };
        if let Err(e) = thread::Builder::new().name("reload".into()).spawn(work) {
            tracing::error!("no thread for the reload can be started: {e}");
        }
        told
    }

    fn read(&self) -> Reload {
        let Some(configuration) = &self.configuration else {
            let said = "there is no configuration file to read again: the streams were given as addresses";
            return Reload::Refused(said.into());
        };
        systemd::reloading();
        let outcome = match configuration.read() {
            Ok(config) => {
                let changes = self.monitor.apply(config);
                let starting = self.monitor.starting();
                let said = said(&changes, &self.monitor.missing(), &starting);
                if starting.is_empty() { Reload::Done(said) } else { Reload::GoesOn(said) }
            }
            Err(e) => Reload::Refused(format!("the configuration stays as it was: {e} ({})", e.hint())),
        };
        systemd::ready(&format!("{} streams", self.monitor.streams().len()));
        outcome
    }
}

fn said(changes: &Changes, missing: &BTreeMap<String, Missing>, starting: &BTreeMap<String, Instant>) -> String {
    if changes.is_empty() && missing.is_empty() && starting.is_empty() {
        return "the configuration has not changed".into();
    }
    let rows = [("added", &changes.added), ("changed", &changes.changed), ("removed", &changes.removed)];
    let streams =
        rows.iter().filter(|(_, names)| !names.is_empty()).map(|(what, n)| format!("{what}: {}", n.join(", ")));
    let later = changes.after_restart.iter().map(|section| format!("[{section}] changed, which shows after a restart"));
    let missing = missing.iter().map(|(name, missing)| format!("{name} did not start: {}", missing.why));
    let starting = starting.keys().map(|name| format!("{name} is still being started: the log and /readyz tell of it"));
    streams.chain(later).chain(missing).chain(starting).collect::<Vec<_>>().join("; ")
}

impl Console for Board {
    fn streams(&self) -> Vec<Arc<dyn Channel>> {
        self.monitor.streams().into_iter().map(|stream| Arc::new(stream) as Arc<dyn Channel>).collect()
    }

    fn missing(&self) -> BTreeMap<String, Missing> {
        self.monitor.missing()
    }

    fn starting(&self) -> BTreeMap<String, Instant> {
        self.monitor.starting()
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
        self.configuration.is_some()
    }

    fn reload(&self) -> Reload {
        let Some(turn) = self.turn() else { return Reload::UnderWay };
        match self.read_again(turn).recv_timeout(PATIENCE) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => Reload::GoesOn("it goes on: the log tells what comes of it".into()),
            Err(RecvTimeoutError::Disconnected) => Reload::Refused("the reload died: the log tells why".into()),
        }
    }
}

/// The console of a configuration, before anything that it shows is started.
///
/// # Errors
/// Where it cannot be served there.
pub fn bind(config: &Config) -> Result<Option<Bound>, Failure> {
    let Some(http) = &config.http else { return Ok(None) };
    let options = WebOptions::new(http.listen, http.token.as_ref().map(|token| token.expose().to_owned()))?;
    Ok(Some(Web::bind(options).map_err(not_served)?))
}

/// Serves the console, and tells by which address; the token is not in it.
///
/// # Errors
/// Where the system has no thread for it.
pub fn serve(bound: Option<Bound>, config: &Config, board: &Board) -> Result<Option<(Web, String)>, Failure> {
    let Some(bound) = bound else { return Ok(None) };
    let web = bound.serve(Arc::new(board.clone())).map_err(not_served)?;
    let token = config.http.as_ref().is_some_and(|http| http.token.is_some());
    let token = if token { "?token=… (with the token in place of …)" } else { "" };
    let address = format!("http://{}/{token}", web.reachable());
    Ok(Some((web, address)))
}

fn not_served(e: WebError) -> Failure {
    let (code, hint) = (if e.is_usage() { Code::Usage } else { Code::Running }, e.hint());
    Failure::new(code, e, hint)
}
