//! Limits handshakes: few at a time with one server, a bound overall. Waiting is fair; permits free themselves.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The right to shake hands; dropped when done.
#[derive(Debug)]
pub(crate) struct Permit {
    _server: OwnedSemaphorePermit,
    _overall: OwnedSemaphorePermit,
}

#[derive(Debug)]
pub(crate) struct Gate {
    overall: Arc<Semaphore>,
    servers: Mutex<HashMap<String, Arc<Semaphore>>>,
    a_server: usize,
}

impl Gate {
    pub(crate) fn new(overall: usize, a_server: usize) -> Self {
        Self { overall: Arc::new(Semaphore::new(overall.max(1))), servers: Mutex::default(), a_server: a_server.max(1) }
    }

    /// Waits for its turn; `None` never happens while the gate lives.
    pub(crate) async fn enter(&self, server: &str) -> Option<Permit> {
        let of_server = {
            let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
            servers.entry(server.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.a_server))).clone()
        };
        // The server first: whoever waits for a crowded server must not hold a place that others could use.
        let server = of_server.acquire_owned().await.ok()?;
        let overall = self.overall.clone().acquire_owned().await.ok()?;
        Some(Permit { _server: server, _overall: overall })
    }
}
