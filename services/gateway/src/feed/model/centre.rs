//! The processes: cores with a writer, gateways with a hub and conversations. A process is what reaches the store, the bus
//! and its connections: killed, it reaches nothing any more, in the middle of whatever it did.

use std::sync::{Arc, Mutex, OnceLock};

use dispatch::{Writer, WriterOptions};
use ledger::{
    Store,
    testing::memory::{MemoryDisk, MemoryStore, Weather},
};
use runtime::{Clock, Tasks};
use tokio::{sync::Semaphore, task::AbortHandle};
use tokio_util::sync::CancellationToken;

use super::{
    bus::{Net, NetBus},
    chance::Jumping,
    pipe::{Line, pipe},
};
use crate::{
    Config,
    accounts::Verifier,
    feed::{
        Hub,
        form::Form,
        io::Io,
        socket::{Room, converse},
    },
    mirror::Mirror,
    session::Sessions,
};

/// What processes stand on.
#[derive(Clone)]
pub(super) struct Ground {
    pub(super) disk: MemoryDisk,
    pub(super) sky: Arc<dyn Weather>,
    pub(super) net: Net,
    pub(super) clock: Jumping,
}

/// A process with the writer.
pub(super) struct Core {
    pub(super) writer: Writer,
    pub(super) dead: CancellationToken,
    pub(super) tasks: Tasks,
    store: MemoryStore,
    bus: NetBus,
}

impl Core {
    pub(super) fn start(ground: &Ground) -> Self {
        let (store, bus, tasks) = (ground.disk.open_in(ground.sky.clone()), ground.net.open(), Tasks::default());
        // Small, so that its bounds are met.
        let options = WriterOptions { queue: 16, batch: 6, ..WriterOptions::default() };
        let (on, clock) = (Arc::new(bus.clone()), Arc::new(ground.clock.clone()));
        let writer = dispatch::start("test".into(), Arc::new(store.clone()), on, clock, options, &tasks);
        Self { writer, dead: CancellationToken::new(), tasks, store, bus }
    }

    pub(super) fn kill(&self) {
        self.dead.cancel();
        self.store.kill();
        self.bus.kill();
        let tasks = self.tasks.clone();
        tokio::spawn(async move { tasks.drain(std::time::Duration::from_millis(1)).await });
    }
}

/// A process with the feed.
pub(super) struct Gate {
    room: Room,
    pub(super) dead: CancellationToken,
    store: MemoryStore,
    /// The hub and its porters.
    hub: Tasks,
    conversations: Mutex<Vec<AbortHandle>>,
}

fn config() -> Config {
    // Small rings, so that clients fall off; sessions that outlive every jump of the clock.
    Config { ring_frames: 12, idle_hours: 100_000, ..Config::default() }
}

fn verifier() -> Verifier {
    static MADE: OnceLock<Verifier> = OnceLock::new();
    MADE.get_or_init(|| Verifier::new().unwrap()).clone()
}

impl Gate {
    pub(super) fn start(ground: &Ground) -> Self {
        let (store, bus) = (ground.disk.open_in(ground.sky.clone()), ground.net.open());
        let (clock, dead) = (Arc::new(ground.clock.clone()) as Arc<dyn Clock>, CancellationToken::new());
        let (shared, stop) = (Arc::new(store.clone()) as Arc<dyn Store>, CancellationToken::new());
        let mirror = Arc::new(Mirror::new(shared.clone()));
        let sessions = Sessions::with(verifier(), &config(), shared.clone(), clock.clone(), mirror.clone());
        let sessions = Arc::new(sessions);
        let hub = Arc::new(Hub::new(&config(), shared, clock.clone(), mirror.clone(), sessions.clone()));
        let tasks = Tasks::default();
        hub.start(Arc::new(bus), CancellationToken::new(), &tasks);
        let most = config().feed_clients;
        let room = Room { hub, mirror, sessions, clock, places: Arc::new(Semaphore::new(most)), most, stop };
        Self { room, dead, store, hub: tasks, conversations: Mutex::default() }
    }

    /// A connection with the session's token; `None` when it is refused.
    pub(super) async fn connect(&self, token: [u8; 32], room: usize) -> Option<Line> {
        let caller = tokio::select! {
            () = self.dead.cancelled() => return None,
            caller = self.room.sessions.check(&token) => caller.ok()?,
        };
        let (end, line) = pipe(room);
        let talk = converse(self.room.clone(), caller, Form::Protobuf, Io::Pipe(end), &[]);
        let task = tokio::spawn(talk).abort_handle();
        let mut tasks = self.conversations.lock().unwrap();
        tasks.retain(|t| !t.is_finished());
        tasks.push(task);
        Some(line)
    }

    /// Tells its clients to leave.
    pub(super) fn drain(&self) {
        self.room.stop.cancel();
    }

    pub(super) fn kill(&self) {
        self.dead.cancel();
        self.store.kill();
        self.conversations.lock().unwrap().iter().for_each(AbortHandle::abort);
        let tasks = self.hub.clone();
        tokio::spawn(async move { tasks.drain(std::time::Duration::from_millis(1)).await });
    }
}
