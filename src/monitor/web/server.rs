//! Connections: so many at once, none of them slow for ever.

use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};

/// The address of ours that a client has found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reached(pub IpAddr);

/// Connections at once; others wait at the door.
const CONNECTIONS: usize = 256;
/// How long a request's head may take, and how long a connection may idle.
const HEAD: Duration = Duration::from_secs(15);
/// How long sent bytes may stay unread: then the client is gone, or as good as gone.
const UNREAD: Duration = Duration::from_secs(20);
/// Bytes that wait for a slow reader, so that what he gets is new.
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
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
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
    let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(UNREAD));
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
