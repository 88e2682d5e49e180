//! Connections: so many at once, none of them slow for ever.

use std::net::{IpAddr, TcpListener};
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::seats::Seats;

/// The address of ours that a client has found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reached(pub IpAddr);

/// Connections at once, and from one other machine, which cannot take all places. Those from this one may come through a
/// proxy, from many.
const CONNECTIONS: usize = 256;
const FROM_ONE: usize = 64;
/// How long a request's head may take, and how long a connection may idle.
const HEAD: Duration = Duration::from_secs(15);
/// How long sent bytes may stay unread: then the client is gone, or as good as gone.
const UNREAD: Duration = Duration::from_secs(20);
/// Bytes that wait for a slow reader, here and in the kernel, so that what he gets is new.
const BUFFER: usize = 64 << 10;
/// After an error of the system (no file descriptors) others may leave first.
const PAUSE: Duration = Duration::from_millis(200);

/// Serves until the other end of `stopped` is dropped.
pub(super) async fn serve(listener: TcpListener, router: Router, stopped: oneshot::Receiver<()>) {
    let connections = async {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(e) => return tracing::error!("the web console cannot listen: {e}"),
        };
        let places = Seats::new(FROM_ONE, CONNECTIONS);
        loop {
            match listener.accept().await {
                Ok((stream, from)) => {
                    let ip = from.ip().to_canonical();
                    // Connections from this machine count each by itself.
                    let who = if ip.is_loopback() { from.to_string() } else { ip.to_string() };
                    // Hung up on where no place is free: whoever waited at the door would find it shut as well.
                    let Some(place) = places.take(&who) else { continue };
                    let router = router.clone();
                    tokio::spawn(async move {
                        connection(stream, router).await;
                        drop(place);
                    });
                }
                Err(e) => {
                    tracing::debug!("a connection to the web console failed: {e}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = connections => {}
        _ = stopped => {}
    }
}

async fn connection(stream: TcpStream, router: Router) {
    let Ok(reached) = stream.local_addr() else { return };
    let _ = stream.set_nodelay(true);
    let socket = socket2::SockRef::from(&stream);
    let _ = socket.set_tcp_user_timeout(Some(UNREAD));
    let _ = socket.set_tcp_notsent_lowat(BUFFER as u32);
    let service = TowerToHyperService::new(router.layer(Extension(Reached(reached.ip().to_canonical()))));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(e) = served {
        tracing::trace!("a connection to the web console ended: {e}");
    }
}
