//! What stands between a server of the tests and its clients: bytes are carried, held back, and cut at any place.

use std::future::pending;
use std::sync::{Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::io::{self, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::runtime::{self, Handle};
use tokio::sync::{Notify, oneshot, watch};
use tokio_rustls::server::TlsStream;

use super::Random;

/// A thread with a runtime, on which a server runs beside the test; it ends with the value.
pub struct Background {
    /// Where the server's tasks are spawned.
    pub runtime: Handle,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    pub fn start() -> Background {
        let (end, ended) = oneshot::channel::<()>();
        let (tell_runtime, runtime) = mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
            let _ = tell_runtime.send(runtime.handle().clone());
            let _ = runtime.block_on(ended);
        });
        let runtime = runtime.recv().expect("the thread tells before anything else");
        Background { runtime, end: Some(end), thread: Some(thread) }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

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

/// Cuts that come by chance: each connection is cut once, after a random number of bytes.
struct Chance {
    random: Random,
    bytes_mean: usize,
}

impl Chance {
    fn draw(&mut self) -> (usize, Close) {
        let bytes = 1 + self.random.below(2 * self.bytes_mean.max(1));
        (bytes, [Close::Notified, Close::Unnotified, Close::Reset][self.random.below(3)])
    }
}

/// The faults that all connections of a server share.
pub struct Faults {
    silent: watch::Sender<bool>,
    chance: Mutex<Option<Chance>>,
}

impl Faults {
    /// None.
    pub fn new() -> Faults {
        Faults { silent: watch::Sender::new(false), chance: Mutex::new(None) }
    }

    /// Connections are accepted and held, but not a byte is answered, or they are answered again.
    pub fn be_silent(&self, silent: bool) {
        self.silent.send_replace(silent);
    }

    /// From now on each connection is cut, anyhow, after a random number of bytes: so many in the mean, headers and
    /// frames included. Without a seed new connections hold again.
    pub fn cut_at_random(&self, seed: Option<u64>, bytes_mean: usize) {
        let chance = seed.map(|seed| Chance { random: Random(seed), bytes_mean });
        *self.chance.lock().expect("no thread panics while it holds this") = chance;
    }

    fn draw(&self) -> Option<(usize, Close)> {
        self.chance.lock().expect("no thread panics while it holds this").as_mut().map(Chance::draw)
    }

    /// Waits while the server is silent.
    pub async fn speaking(&self) {
        if self.silent.subscribe().wait_for(|silent| !silent).await.is_err() {
            pending::<()>().await;
        }
    }
}

/// The end of one connection, ordered from outside.
pub struct Cut {
    close: Mutex<Close>,
    cut: Notify,
}

impl Cut {
    /// None yet.
    pub fn new() -> Cut {
        Cut { close: Mutex::new(Close::Notified), cut: Notify::new() }
    }

    /// When the connection ends, it ends like this.
    pub fn will_close(&self, close: Close) {
        *self.close.lock().expect("no thread panics while it holds this") = close;
    }

    /// Ends it now.
    pub fn cut(&self, close: Close) {
        self.will_close(close);
        self.cut.notify_one();
    }

    /// Waits until it is cut.
    pub async fn ordered(&self) {
        self.cut.notified().await;
    }
}

/// A connection as its server accepted it.
pub trait Socket: AsyncRead + AsyncWrite + Unpin {
    /// What carries it.
    fn tcp(&self) -> &TcpStream;
}

impl Socket for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Socket for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Carries bytes both ways between a client and what serves it, until one side ends or the connection is cut, then
/// closes it. So a connection can be cut at any byte, whatever is spoken in it.
pub async fn carry<S: Socket>(client: S, server: DuplexStream, faults: &Faults, cut: &Cut) {
    let (mut from_client, mut to_client) = io::split(client);
    let (mut from_server, mut to_server) = io::split(server);
    let up = async {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            faults.speaking().await;
            if to_server.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
        let _ = to_server.shutdown().await;
        // What is still to be answered ends the connection.
        pending::<()>().await
    };
    let down = async {
        let mut buffer = vec![0; 16 << 10];
        let mut chance = None;
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
            faults.speaking().await;
            chance = chance.or_else(|| faults.draw());
            let allowed = chance.map_or(length, |(bytes, _)| bytes.min(length));
            if to_client.write_all(&buffer[..allowed]).await.is_err() || to_client.flush().await.is_err() {
                return;
            }
            if let Some((bytes, close)) = &mut chance {
                *bytes -= allowed;
                if *bytes == 0 {
                    return cut.will_close(*close);
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = cut.ordered() => {}
        () = down => {}
        () = up => {}
    }
    let mut client = from_client.unsplit(to_client);
    let close = *cut.close.lock().expect("no thread panics while it holds this");
    match close {
        Close::Notified => {
            // A client that reads no more is not waited for.
            let _ = tokio::time::timeout(Duration::from_secs(1), client.shutdown()).await;
        }
        Close::Unnotified => {}
        Close::Reset => {
            let _ = client.tcp().set_zero_linger();
        }
    }
}
