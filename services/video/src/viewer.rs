//! One subscriber: a bounded queue that loses whole groups of pictures, and says so. Never blocks.

use link::media::{CameraStatus, MediaItem, Quality};
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::{
    mp4::Init,
    ring::{Entry, Gop},
};

#[derive(Debug)]
pub(crate) struct Viewer {
    items: mpsc::Sender<MediaItem>,
    /// What was asked for.
    pub wants: Quality,
    /// What is sent.
    pub on: Quality,
    generation: u32,
    skipped: u32,
    state_due: bool,
    /// Free places that a slow viewer must have before it goes on.
    room: usize,
}

impl Viewer {
    /// A viewer with room for `queue` items beyond the `burst` of its first picture.
    pub(crate) fn new(wants: Quality, queue: usize, burst: usize) -> (Self, mpsc::Receiver<MediaItem>) {
        let (items, receiver) = mpsc::channel(queue.max(8) + burst);
        let viewer = Self {
            items,
            wants,
            on: Quality::Sub,
            generation: 0,
            skipped: 0,
            state_due: false,
            room: queue.max(8) / 2,
        };
        (viewer, receiver)
    }

    /// Still wanted?
    pub(crate) fn open(&self) -> bool {
        !self.items.is_closed()
    }

    fn init(&self, init: &Init) -> MediaItem {
        MediaItem::Init {
            generation: init.generation,
            codec: init.codec.clone(),
            size: init.size,
            bytes: init.bytes.clone(),
            fallback: self.wants == Quality::Main && self.on == Quality::Sub,
        }
    }

    /// The instant picture: the init and the newest group so far. A group that lost its middle gives its key frame; the
    /// next key frame follows.
    pub(crate) fn start(&mut self, gop: &Gop) {
        if self.items.capacity() < gop.frames.len() + 2 {
            return;
        }
        if self.skipped > 0 {
            let _ = self.items.try_send(MediaItem::Skipped { fragments: std::mem::take(&mut self.skipped) });
        }
        let _ = self.items.try_send(self.init(&gop.init));
        self.generation = gop.init.generation;
        for entry in &gop.frames {
            let _ = self.items.try_send(fragment(&gop.init, entry));
        }
        if gop.cut {
            // Waits for the next key frame as after a skip, without calling it one.
            self.generation = 0;
        }
    }

    /// One frame.
    pub(crate) fn deliver(&mut self, init: &Init, entry: &Entry, status: &CameraStatus) {
        let start = self.generation != init.generation;
        if self.skipped > 0 || start {
            let free = if self.skipped > 0 { self.room } else { 4 };
            if !entry.key || self.items.capacity() < free {
                // Waiting for the first key frame is no loss; having no room is.
                self.skipped += u32::from(self.skipped > 0 || entry.key);
                return;
            }
            if self.skipped > 0 {
                let _ = self.items.try_send(MediaItem::Skipped { fragments: std::mem::take(&mut self.skipped) });
            }
            if start && self.items.try_send(self.init(init)).is_ok() {
                self.generation = init.generation;
            }
        }
        if self.state_due {
            self.state(status);
        }
        if let Err(TrySendError::Full(_)) = self.items.try_send(fragment(init, entry)) {
            self.skipped = 1;
        }
    }

    /// The camera's state changed; a full queue gets it with the next frame that fits.
    pub(crate) fn state(&mut self, status: &CameraStatus) {
        self.state_due = matches!(self.items.try_send(MediaItem::State(status.clone())), Err(TrySendError::Full(_)));
    }
}

fn fragment(init: &Init, entry: &Entry) -> MediaItem {
    MediaItem::Fragment {
        generation: init.generation,
        key: entry.key,
        pts: entry.pts(),
        captured: entry.captured,
        bytes: entry.fragment.clone(),
    }
}
