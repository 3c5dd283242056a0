//! Connections: listening, TLS, and which request each of them carries.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io;
use tokio::net::{TcpListener, TcpStream};

use super::{Shared, answer, ask::Asked};
use crate::common::wire::{Cut, carry};

/// One connection to the server, as far as faults need to know it.
pub struct Wire {
    /// Its last request.
    asked: Mutex<Option<Asked>>,
    /// How it ends.
    pub end: Cut,
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

/// Accepts connections for as long as it is polled.
pub async fn listen(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let wire = Arc::new(Wire { asked: Mutex::new(None), end: Cut::new() });
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
        shared.faults.speaking().await;
        shared.tls.accept(stream).await
    };
    let tls = tokio::select! {
        () = wire.end.ordered() => return,
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
        () = carry(tls, outer, &shared.faults, &wire.end) => {}
    }
}
