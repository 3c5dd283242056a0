//! Connections: listening, TLS, and the ways in which they break.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{self, AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio_rustls::server::TlsStream;

use super::{Shared, answer, ask::Asked};
use crate::common::Random;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// TLS is closed first (`close_notify`), then TCP: a server or proxy that ends in order.
    Notified,
    /// TCP is closed with no word of TLS: a server that died.
    Unnotified,
    /// TCP is reset: a balancer or firewall that forgot the connection.
    Reset,
}

/// One connection to the server, as far as faults need to know it.
pub struct Wire {
    /// Its last request.
    asked: Mutex<Option<Asked>>,
    close: Mutex<Close>,
    cut: Notify,
}

impl Wire {
    /// Notes the request that it carries now.
    pub fn carries(&self, asked: &Asked) {
        *self.asked.lock().expect("no thread panics while it holds this") = Some(asked.clone());
    }

    /// The request that it carries or carried last.
    pub fn asked(&self) -> Option<Asked> {
        self.asked.lock().expect("no thread panics while it holds this").clone()
    }

    /// When it ends, it ends like this.
    pub fn will_close(&self, close: Close) {
        *self.close.lock().expect("no thread panics while it holds this") = close;
    }

    /// Ends it now.
    pub fn cut(&self, close: Close) {
        self.will_close(close);
        self.cut.notify_one();
    }
}

/// The connections that are open.
#[derive(Default)]
pub struct Wires {
    open: BTreeMap<u64, Arc<Wire>>,
    next: u64,
}

impl Wires {
    /// All that are open.
    pub fn open(&self) -> impl Iterator<Item = &Arc<Wire>> {
        self.open.values()
    }
}

/// Cuts that come by chance: each connection is cut once, after a random number of bytes.
pub struct Chance {
    /// Decides how many bytes and how the connection ends.
    pub random: Random,
    /// After so many bytes in the mean, headers and frames included.
    pub bytes_mean: usize,
}

impl Chance {
    fn draw(&mut self) -> (usize, Close) {
        let bytes = 1 + self.random.below(2 * self.bytes_mean.max(1));
        (bytes, [Close::Notified, Close::Unnotified, Close::Reset][self.random.below(3)])
    }
}

/// Accepts connections for as long as it is polled.
pub async fn listen(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let wire = Arc::new(Wire { asked: Mutex::new(None), close: Mutex::new(Close::Notified), cut: Notify::new() });
        let number = {
            let mut state = shared.lock();
            let number = state.wires.next;
            state.wires.next += 1;
            state.wires.open.insert(number, wire.clone());
            number
        };
        let shared = shared.clone();
        tokio::spawn(async move {
            serve(&shared, stream, &wire).await;
            shared.lock().wires.open.remove(&number);
        });
    }
}

async fn serve(shared: &Arc<Shared>, stream: TcpStream, wire: &Arc<Wire>) {
    let _ = stream.set_nodelay(true);
    let handshake = async {
        speaking(&mut shared.silent.subscribe()).await;
        shared.tls.accept(stream).await
    };
    let tls = tokio::select! {
        () = wire.cut.notified() => return,
        tls = handshake => tls,
    };
    // A client that does not trust us is its own business.
    let Ok(tls) = tls else { return };
    // HTTP is spoken into a pipe of our own. So what stands between it and the client can be cut at any byte, whoever
    // speaks: HTTP, or WebSocket after it.
    let (inner, outer) = io::duplex(64 << 10);
    let answers = service_fn(|request| answer::answer(shared.clone(), wire.clone(), request));
    // Its end closes the pipe, and what is in it by then is still carried.
    let http = async move {
        let _ = http1::Builder::new().serve_connection(TokioIo::new(inner), answers).with_upgrades().await;
        pending().await
    };
    tokio::select! {
        () = http => {}
        () = carry(shared, tls, outer, wire) => {}
    }
}

/// Carries bytes both ways until one side ends or the connection is cut, then closes it.
async fn carry(shared: &Shared, tls: TlsStream<TcpStream>, http: DuplexStream, wire: &Wire) {
    let (mut from_client, mut to_client) = io::split(tls);
    let (mut from_http, mut to_http) = io::split(http);
    let mut silent = (shared.silent.subscribe(), shared.silent.subscribe());
    let up = async {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            speaking(&mut silent.0).await;
            if to_http.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
        let _ = to_http.shutdown().await;
        // What is still to be answered ends the connection.
        pending::<()>().await
    };
    let down = async {
        let mut buffer = vec![0; 16 << 10];
        let mut chance = None;
        while let Ok(length @ 1..) = from_http.read(&mut buffer).await {
            speaking(&mut silent.1).await;
            chance = chance.or_else(|| shared.lock().chance.as_mut().map(Chance::draw));
            let allowed = chance.map_or(length, |(bytes, _)| bytes.min(length));
            if to_client.write_all(&buffer[..allowed]).await.is_err() || to_client.flush().await.is_err() {
                return;
            }
            if let Some((bytes, close)) = &mut chance {
                *bytes -= allowed;
                if *bytes == 0 {
                    return wire.will_close(*close);
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = wire.cut.notified() => {}
        () = down => {}
        () = up => {}
    }
    let mut tls = from_client.unsplit(to_client);
    let close = *wire.close.lock().expect("no thread panics while it holds this");
    match close {
        Close::Notified => {
            // A client that reads no more is not waited for.
            let _ = tokio::time::timeout(Duration::from_secs(1), tls.shutdown()).await;
        }
        Close::Unnotified => {}
        Close::Reset => {
            let _ = tls.get_ref().0.set_zero_linger();
        }
    }
}

/// Waits while the server is silent.
async fn speaking(silent: &mut watch::Receiver<bool>) {
    if silent.wait_for(|silent| !silent).await.is_err() {
        pending::<()>().await;
    }
}
