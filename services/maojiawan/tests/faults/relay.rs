//! A wire that is late: bytes are passed on after a delay, each way, in their order. What is under way is bounded, so that a
//! sender is held up as by a real wire.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// Pieces under way …
const PIECES: usize = 256;
/// … of so many bytes at most.
const PIECE: usize = 16 << 10;

pub(crate) struct Relay {
    to: SocketAddr,
    listener: TcpListener,
    delay_ms: AtomicU64,
    /// Bytes that were late.
    late: AtomicU64,
}

impl Relay {
    pub(crate) async fn between(at: SocketAddr, to: SocketAddr) -> Arc<Self> {
        let listener = TcpListener::bind(at).await.unwrap();
        Arc::new(Self { to, listener, delay_ms: AtomicU64::new(0), late: AtomicU64::new(0) })
    }

    /// Each way, from now on.
    pub(crate) fn delay(&self, delay: Duration) {
        self.delay_ms.store(delay.as_millis().try_into().unwrap(), Ordering::SeqCst);
    }

    /// Bytes that were passed on late.
    pub(crate) fn late(&self) -> u64 {
        self.late.load(Ordering::SeqCst)
    }

    /// Passes on until it is dropped.
    pub(crate) async fn pass(self: Arc<Self>) {
        let mut lines = JoinSet::new();
        loop {
            let (near, _) = self.listener.accept().await.unwrap();
            lines.spawn(self.clone().line(near));
            while let Some(ended) = lines.try_join_next() {
                ended.unwrap();
            }
        }
    }

    /// One connection; it ends for both when it ends for one.
    async fn line(self: Arc<Self>, near: TcpStream) {
        let Ok(far) = TcpStream::connect(self.to).await else { return };
        for stream in [&near, &far] {
            stream.set_nodelay(true).unwrap();
        }
        let (from_near, to_near) = near.into_split();
        let (from_far, to_far) = far.into_split();
        tokio::select! {
            () = self.carry(from_near, to_far) => {}
            () = self.carry(from_far, to_near) => {}
        }
    }

    async fn carry(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let (put, mut take) = mpsc::channel::<(Instant, Bytes)>(PIECES);
        let reading = async move {
            let mut piece = vec![0; PIECE];
            while let Ok(length @ 1..) = from.read(&mut piece).await {
                let delay = self.delay_ms.load(Ordering::SeqCst);
                if delay > 0 {
                    self.late.fetch_add(length as u64, Ordering::SeqCst);
                }
                let due = Instant::now() + Duration::from_millis(delay);
                if put.send((due, Bytes::copy_from_slice(&piece[..length]))).await.is_err() {
                    return;
                }
            }
        };
        let writing = async {
            while let Some((due, piece)) = take.recv().await {
                sleep_until(due).await;
                if to.write_all(&piece).await.is_err() {
                    return;
                }
            }
        };
        // The end of what comes ends the writing too, once all is written.
        tokio::join!(reading, writing);
    }
}
