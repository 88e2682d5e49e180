//! Is anybody there? GStreamer would not say why a connection failed.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use url::Url;

use super::reason::{self, Failure, Reason};

/// How long a host that is there takes to accept a connection. A knock is a first packet and, should
/// it be lost, the one sent again after a second.
const REACH: Duration = Duration::from_secs(2);

/// Connects to an address and lets go again.
///
/// # Errors
/// Why nobody can be reached there.
pub(super) fn knock(url: &Url) -> Result<(), Failure> {
    let (host, port) = (url.host_str().unwrap_or_default(), port_of(url));
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found = (bare, port)
        .to_socket_addrs()
        .map_err(|_| Failure::new(Reason::Network, format!("the name {host} cannot be resolved")))?;
    let mut failed = None;
    for at in found.take(4) {
        match TcpStream::connect_timeout(&at, REACH) {
            Ok(_) => return Ok(()),
            Err(e) => failed = Some(e),
        }
    }
    let (reason, said) = match failed {
        Some(e) => (reason::of_system(&e), format!("{host}:{port}: {e}")),
        None => (Reason::Network, format!("{host} has no address")),
    };
    Err(Failure::new(reason, said))
}

fn port_of(url: &Url) -> u16 {
    const PORTS: [(&str, u16); 4] = [("rtsp", 554), ("rtsps", 322), ("http", 80), ("https", 443)];
    let usual = PORTS.iter().find(|(scheme, _)| *scheme == url.scheme()).map(|(_, port)| *port);
    url.port().or(usual).unwrap_or(554)
}
