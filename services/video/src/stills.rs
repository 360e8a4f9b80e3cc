//! Stills of all cameras, the sheet and the picture diagnosis, from key frames that decode children look at in rounds.
//!
//! A round looks at each camera once in `refresh`; only key frames that are new cost anything. A picture that killed a
//! child is left out and its camera waits longer each time. Locks are held for a moment only; nothing blocks.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use domain::time::{Millis, Timestamp};
use link::media::{CameraState, MediaError, Sheet, Still};
use runtime::{Clock, telemetry::names};
use tokio::{
    sync::Semaphore,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    camera::{Camera, KeyFrame},
    config::StillsConfig,
    decode::{
        Picture, TILE, TILE_BYTES,
        pool::{Failure, Pool},
    },
    diagnose::{Detector, Look},
};

/// First wait of a camera whose picture killed a child; doubles up to [`POISON_CAP`].
const POISON_FIRST: Millis = Millis::seconds(5);
/// Longest wait of such a camera.
const POISON_CAP: Millis = Millis::minutes(5);
/// A camera whose picture could not be decoded waits this long for its next turn.
const UNDECODABLE_REST: Millis = Millis::seconds(10);
/// Grey of a tile without a picture.
const EMPTY_LUMA: u8 = 40;

#[derive(Debug, Default)]
struct Slot {
    /// Arrival of the newest key frame that was tried.
    tried: Option<Timestamp>,
    tile: Option<(Timestamp, Bytes)>,
    still: Option<Still>,
    detector: Detector,
    poison: u32,
    rest_until: Option<Timestamp>,
}

struct LastSheet {
    at: Instant,
    sheet: Sheet,
}

/// See the module.
pub(crate) struct Stills {
    config: StillsConfig,
    clock: Arc<dyn Clock>,
    pool: Pool,
    cameras: Vec<Arc<Camera>>,
    slots: Vec<Mutex<Slot>>,
    requests: Semaphore,
    sheet: Mutex<Option<LastSheet>>,
    sheet_maker: Semaphore,
    version: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stills {
    pub(crate) fn new(config: StillsConfig, clock: Arc<dyn Clock>, pool: Pool, cameras: Vec<Arc<Camera>>) -> Self {
        Self {
            slots: cameras.iter().map(|_| Mutex::default()).collect(),
            requests: Semaphore::new(config.requests.max(1)),
            sheet: Mutex::new(None),
            sheet_maker: Semaphore::new(1),
            version: AtomicU64::new(0),
            config,
            clock,
            pool,
            cameras,
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.clock.now_ms())
    }

    /// Rounds over every `of`-th camera from `part` on, until the stop.
    pub(crate) async fn rounds(self: Arc<Self>, part: usize, of: usize, stop: CancellationToken) {
        let mine: Vec<_> = self.cameras.iter().skip(part).step_by(of.max(1)).cloned().collect();
        if mine.is_empty() {
            return;
        }
        // Twice as often as needed, for cameras that have to be looked at again.
        let pace = (self.config.refresh / 2 / mine.len() as u32).max(Duration::from_millis(1));
        let mut ticks = interval(pace);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for camera in mine.iter().cycle() {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = self.look(camera) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Looks at a camera's newest key frame if it is new.
    async fn look(&self, camera: &Camera) {
        let Some(slot) = self.slots.get(camera.index) else { return };
        if camera.state() != CameraState::Online {
            // What comes back is judged afresh.
            lock(slot).detector = Detector::default();
            return;
        }
        let now = self.now();
        let Some(key) = camera.key_frame() else { return };
        {
            let slot = lock(slot);
            let wait = if slot.detector.suspects() { 0 } else { self.config.refresh.as_millis() as i64 * 3 / 4 };
            if slot.tried.is_some_and(|t| (key.captured - t).0 <= wait) || slot.rest_until.is_some_and(|t| now < t) {
                return;
            }
        }
        if let Ok(picture) = self.decode(camera, slot, &key, false).await {
            let fault = lock(slot).detector.look(
                Look { luma: &picture.luma, print: picture.print },
                key.captured,
                &self.config.diagnosis,
            );
            camera.set_fault(fault);
        }
    }

    /// Decodes and keeps what came of it.
    async fn decode(
        &self,
        camera: &Camera,
        slot: &Mutex<Slot>,
        key: &KeyFrame,
        still: bool,
    ) -> Result<Picture, Failure> {
        let result = self.pool.picture(key, still).await;
        let outcome = match &result {
            Ok(_) => "ok",
            Err(Failure::Undecodable) => "undecodable",
            Err(Failure::Killed) => "killed",
            Err(Failure::Unavailable) => "unavailable",
        };
        metrics::counter!(names::DECODED, "outcome" => outcome).increment(1);
        let mut slot = lock(slot);
        if !matches!(result, Err(Failure::Unavailable)) {
            slot.tried = slot.tried.max(Some(key.captured));
        }
        match &result {
            Ok(picture) => {
                slot.poison = 0;
                if slot.tile.as_ref().is_none_or(|(t, _)| *t <= key.captured) {
                    slot.tile = Some((key.captured, picture.tile.clone().into()));
                }
            }
            Err(Failure::Killed) => {
                let wait = Millis((POISON_FIRST.0 << slot.poison.min(10)).min(POISON_CAP.0));
                slot.poison += 1;
                slot.rest_until = Some(self.now() + wait);
                tracing::info!(camera.id = %camera.config.id, count = slot.poison, "picture killed a decode child");
            }
            // Waiting for what never comes out holds up a child: not at every turn.
            Err(Failure::Undecodable) => slot.rest_until = Some(self.now() + UNDECODABLE_REST),
            Err(Failure::Unavailable) => {}
        }
        result
    }

    /// The newest still, decoded now if the ring has a newer key frame.
    pub(crate) async fn still(&self, camera: &Camera) -> Result<Still, MediaError> {
        let slot = self.slots.get(camera.index).ok_or(MediaError::UnknownCamera)?;
        let _permit = self.requests.acquire().await.map_err(|_| MediaError::Unavailable)?;
        let now = self.now();
        let key = camera.key_frame();
        let (cached, resting) = {
            let slot = lock(slot);
            (slot.still.clone(), slot.rest_until.is_some_and(|t| now < t))
        };
        let newer = key.filter(|k| cached.as_ref().is_none_or(|s| s.captured < k.captured) && !resting);
        let Some(key) = newer else {
            return cached.ok_or(MediaError::NoPicture);
        };
        match self.decode(camera, slot, &key, true).await {
            Ok(picture) if !picture.still.is_empty() => {
                let still =
                    Still { camera: camera.config.id.clone(), captured: key.captured, jpeg: picture.still.into() };
                lock(slot).still = Some(still.clone());
                Ok(still)
            }
            Err(Failure::Unavailable) => cached.ok_or(MediaError::Unavailable),
            _ => cached.ok_or(MediaError::NoPicture),
        }
    }

    /// The newest sheet, put together at most once in the interval.
    pub(crate) async fn sheet(&self) -> Result<Sheet, MediaError> {
        if let Some(sheet) = self.fresh_sheet() {
            return Ok(sheet);
        }
        let _permit = self.sheet_maker.acquire().await.map_err(|_| MediaError::Unavailable)?;
        if let Some(sheet) = self.fresh_sheet() {
            return Ok(sheet);
        }
        let (tiles, planes, columns, rows) = self.compose();
        let old = lock(&self.sheet).as_ref().map(|l| l.sheet.clone());
        if let Some(old) = old.as_ref().filter(|s| s.tiles == tiles) {
            self.keep(old.clone());
            return Ok(old.clone());
        }
        let (width, height) = (columns * TILE.0, rows * TILE.1);
        match self.pool.sheet(width as u16, height as u16, planes).await {
            Ok(jpeg) => {
                let sheet = Sheet {
                    version: self.version.fetch_add(1, Ordering::Relaxed) + 1,
                    made: self.now(),
                    tile: (TILE.0 as u16, TILE.1 as u16),
                    columns: columns as u16,
                    tiles,
                    jpeg: jpeg.into(),
                };
                self.keep(sheet.clone());
                Ok(sheet)
            }
            Err(_) => old.ok_or(MediaError::Unavailable),
        }
    }

    fn fresh_sheet(&self) -> Option<Sheet> {
        let last = lock(&self.sheet);
        last.as_ref().filter(|l| l.at.elapsed() < self.config.sheet_interval).map(|l| l.sheet.clone())
    }

    fn keep(&self, sheet: Sheet) {
        *lock(&self.sheet) = Some(LastSheet { at: Instant::now(), sheet });
    }

    #[allow(clippy::type_complexity, reason = "used once, above")]
    fn compose(&self) -> (Vec<(domain::ids::CameraId, Option<Timestamp>)>, Vec<u8>, usize, usize) {
        let columns = usize::from(self.config.sheet_columns).clamp(1, self.cameras.len().max(1));
        let rows = self.cameras.len().div_ceil(columns).max(1);
        let mut planes = vec![128; columns * rows * TILE_BYTES];
        let luma = columns * rows * TILE.0 * TILE.1;
        if let Some(plane) = planes.get_mut(..luma) {
            plane.fill(EMPTY_LUMA);
        }
        let mut tiles = Vec::with_capacity(self.cameras.len());
        for (camera, slot) in self.cameras.iter().zip(&self.slots) {
            let tile = lock(slot).tile.clone();
            if let Some((_, tile)) = &tile {
                place(&mut planes, tile, camera.index % columns, camera.index / columns, columns, rows);
            }
            tiles.push((camera.config.id.clone(), tile.map(|(t, _)| t)));
        }
        (tiles, planes, columns, rows)
    }
}

/// Copies a tile into the planes of a sheet of `columns` × `rows`.
fn place(planes: &mut [u8], tile: &[u8], column: usize, row: usize, columns: usize, rows: usize) {
    let (width, height) = TILE;
    let whole = width * height;
    // Each plane: where it starts in the sheet and in the tile, and its tile's size.
    let quarter = whole / 4;
    let parts = [
        (0, 0, width, height),
        (columns * rows * whole, whole, width / 2, height / 2),
        (columns * rows * (whole + quarter), whole + quarter, width / 2, height / 2),
    ];
    for (sheet_at, tile_at, w, h) in parts {
        for y in 0..h {
            let to = sheet_at + ((row * h + y) * columns + column) * w;
            let from = tile_at + y * w;
            if let (Some(to), Some(from)) = (planes.get_mut(to..to + w), tile.get(from..from + w)) {
                to.copy_from_slice(from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_land_in_their_place_in_every_plane() {
        let (columns, rows) = (3, 2);
        let mut planes = vec![0u8; columns * rows * TILE_BYTES];
        let whole = TILE.0 * TILE.1;
        let mut tile = vec![1u8; TILE_BYTES];
        tile[whole..whole + whole / 4].fill(2);
        tile[whole + whole / 4..].fill(3);
        place(&mut planes, &tile, 2, 1, columns, rows);
        let count = |v: u8| planes.iter().filter(|p| **p == v).count();
        assert_eq!((count(1), count(2), count(3)), (whole, whole / 4, whole / 4));
        // First and last pixel of each plane's lower right tile.
        assert_eq!(planes[TILE.1 * columns * TILE.0 + 2 * TILE.0], 1);
        assert_eq!(planes[columns * rows * whole - 1], 1);
        assert_eq!(planes[columns * rows * whole * 5 / 4 - 1], 2);
        assert_eq!(planes[columns * rows * TILE_BYTES - 1], 3);
    }
}
