//! One timer for all cameras: each frame time is cut into slots, each camera has its slot. No timer a camera, none a
//! packet. Late slots are made up for, up to a bound; what is beyond it is skipped and counted.

use std::{sync::Arc, time::Duration};

use runtime::Clock;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    camera::{Camera, Counters, Scratch},
    encode::FPS,
};

/// Slots of a frame time.
pub(crate) const SLOTS: u64 = 8;
const CATCH_UP: u64 = 2 * SLOTS;

/// When slot `slot` is due after the start.
pub(crate) fn due(slot: u64) -> Duration {
    Duration::from_nanos(slot * 1_000_000_000 / (u64::from(FPS) * SLOTS))
}

/// Sends the frames of all cameras from `start` until `stop`.
pub(crate) async fn pace(
    cameras: Vec<Arc<Camera>>,
    counters: Arc<Counters>,
    clock: Arc<dyn Clock>,
    start: Instant,
    stop: CancellationToken,
) {
    let mut scratch = Scratch::default();
    let mut next = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep_until(start + due(next)) => {}
        }
        let elapsed = start.elapsed();
        let mut last = next;
        while due(last + 1) <= elapsed {
            last += 1;
        }
        if last - next > CATCH_UP {
            Counters::add(&counters.late_slots, last - next - CATCH_UP);
            next = last - CATCH_UP;
        }
        let now = clock.now_ms();
        for slot in next..=last {
            let here = (slot % SLOTS) as usize;
            for camera in cameras.iter().skip(here).step_by(SLOTS as usize) {
                camera.tick(slot / SLOTS, now, &mut scratch);
            }
        }
        next = last + 1;
    }
}
