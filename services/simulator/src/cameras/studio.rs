//! Paints and encodes the films that are wanted and not yet kept, and hands out those that are.
//!
//! A film's file is named by a hash of its shape and of the painters' own source text, so a change of a scene makes new
//! films. `produce` and `Films::get` block; two films are made at a time.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::{
    Codec, Error, Progress,
    encode::{Encoder, FPS, Rate},
    film::{Film, Size, Strips, Take},
    paint::{self, Canvas, Reel, Scene},
};

/// Whether a film is as the camera should see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Look {
    Clear,
    Blurred,
}

/// One film.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FilmKey {
    pub(crate) scene: Scene,
    pub(crate) night: bool,
    /// With the position in the loop written into the corner.
    pub(crate) marked: bool,
    pub(crate) look: Look,
    pub(crate) size: Size,
    pub(crate) codec: Codec,
    pub(crate) frames: u16,
}

const SOURCES: [&str; 10] = [
    include_str!("paint/mod.rs"),
    include_str!("paint/grounds.rs"),
    include_str!("paint/mark.rs"),
    include_str!("paint/motion.rs"),
    include_str!("paint/scenes.rs"),
    include_str!("paint/things.rs"),
    include_str!("paint/view.rs"),
    include_str!("encode.rs"),
    include_str!("film.rs"),
    include_str!("studio.rs"),
];

fn fingerprint(shape: &str) -> String {
    let mut hash = Sha256::new();
    for part in SOURCES.iter().copied().chain([shape]) {
        hash.update(Sha256::digest(part.as_bytes()));
    }
    hex::encode(&hash.finalize()[..8])
}

impl FilmKey {
    fn path(&self, cache: &Path) -> PathBuf {
        let night = if self.night { "night" } else { "day" };
        let name = format!("{}-{night}-{:?}-{:?}-{:?}", self.scene.id(), self.look, self.size, self.codec);
        cache.join(format!("{}-{}.film", name.to_lowercase(), fingerprint(&format!("{self:?}"))))
    }
    fn kept(&self, cache: &Path) -> bool {
        Take::read(&self.path(cache), self.codec, self.size).is_some_and(|t| t.frames.len() == usize::from(self.frames))
    }
}

/// Makes the films of `keys` that are not kept in `cache`. Blocks for a long time.
pub(crate) fn produce(
    cache: &Path,
    keys: &BTreeSet<FilmKey>,
    progress: &(dyn Fn(Progress) + Sync),
    stop: &CancellationToken,
) -> Result<(), Error> {
    std::fs::create_dir_all(cache).map_err(Error::Cache)?;
    let mut jobs: BTreeMap<(Scene, bool), Vec<FilmKey>> = BTreeMap::new();
    for key in keys {
        jobs.entry((key.scene, key.night)).or_default().push(*key);
    }
    let total = jobs.len();
    let queue = Mutex::new(jobs.into_iter().collect::<Vec<_>>());
    let done = AtomicUsize::new(0);
    let work = || -> Result<(), Error> {
        loop {
            let job = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(((scene, night), keys)) = job else { return Ok(()) };
            persistent(|| {
                let missing: Vec<_> = keys.iter().copied().filter(|k| !k.kept(cache)).collect();
                if missing.is_empty() { Ok(()) } else { shoot(cache, scene, night, &missing, stop) }
            })?;
            progress(Progress { done: done.fetch_add(1, Ordering::SeqCst) + 1, total, scene });
        }
    };
    std::thread::scope(|scope| {
        let second = scope.spawn(work);
        let first = work();
        second.join().map_err(|_| Error::Encode("a painter stopped".to_owned()))?.and(first)
    })
}

/// Tries again what an encoder wrote wrongly. Seen once in some thousand encodings, on a busy virtual machine: a picture
/// of two slices from an encoder that was told to write one; the same pictures came out right the next time.
fn persistent(mut make: impl FnMut() -> Result<(), Error>) -> Result<(), Error> {
    const TRIES: usize = 3;
    for _ in 1..TRIES {
        match make() {
            Err(Error::Stream(what)) => tracing::warn!(error = %what, "an encoding came out wrong and is made again"),
            other => return other,
        }
    }
    make()
}

/// Paints one scene once and encodes it in every wanted way.
fn shoot(cache: &Path, scene: Scene, night: bool, keys: &[FilmKey], stop: &CancellationToken) -> Result<(), Error> {
    let mut encoders = Vec::new();
    for key in keys {
        let rate = Rate::Kbps(key.size.rate(key.codec));
        encoders.push((key, Encoder::open(key.codec, key.size.width(), key.size.film(), rate)?));
    }
    let reel = Reel::new(scene, night, Size::Main.width(), Size::Main.film());
    let frames = keys.iter().map(|k| k.frames).max().unwrap_or(0);
    for position in 0..frames {
        if stop.is_cancelled() {
            return Err(Error::Stopped);
        }
        let mut looks = Looks::new(&reel, position);
        for (key, encoder) in &mut encoders {
            // A short film shows the same part of the loop as a long one, from its beginning.
            if position < key.frames {
                encoder.push(looks.picture(key, position))?;
            }
        }
    }
    for (key, encoder) in encoders {
        let path = key.path(cache);
        let take = Take::cut(key.codec, key.size, &encoder.finish()?).map_err(|error| match error {
            Error::Stream(what) => Error::Stream(format!("{what} in {}", path.display())),
            other => other,
        })?;
        take.write(&path).map_err(Error::Cache)?;
    }
    Ok(())
}

/// The pictures of one frame, each made once.
struct Looks {
    clear: Canvas,
    made: HashMap<(Look, Size), Canvas>,
}

impl Looks {
    fn new(reel: &Reel, position: u16) -> Self {
        const LOOP: f32 = 300.0;
        Self { clear: reel.frame(f32::from(position) % LOOP / LOOP), made: HashMap::new() }
    }
    fn picture(&mut self, key: &FilmKey, position: u16) -> Canvas {
        let clear = &self.clear;
        let entry = self.made.entry((key.look, key.size)).or_insert_with(|| {
            let sized = match key.size {
                Size::Main => clear.clone(),
                size => clear.shrunk(size.width(), size.film()),
            };
            let mut canvas = if key.look == Look::Blurred { sized.blurred() } else { sized };
            if key.scene != Scene::Black {
                canvas.grain(u32::from(position));
            }
            canvas.calm();
            if key.marked {
                paint::write_mark(&mut canvas, position, key.frames);
            }
            canvas
        });
        entry.clone()
    }
}

/// All films and strips that a set of cameras may need.
pub(crate) struct Films {
    cache: PathBuf,
    names: Vec<String>,
    /// Subs stay; mains are let go when nobody watches them.
    kept: Mutex<HashMap<FilmKey, Arc<Film>>>,
    passing: Mutex<HashMap<FilmKey, Weak<Film>>>,
    strips: Mutex<HashMap<(Codec, Size), Arc<Strips>>>,
    /// One load at a time, so that many clients of one film do not read it many times.
    loading: Mutex<()>,
    stop: CancellationToken,
}

impl Films {
    pub(crate) fn new(cache: PathBuf, names: Vec<String>, stop: CancellationToken) -> Self {
        let (kept, passing, strips, loading) = Default::default();
        Self { cache, names, kept, passing, strips, loading, stop }
    }

    /// A film with the strips that fit it; made now if it is not kept. Blocks.
    pub(crate) fn get(&self, key: FilmKey) -> Result<(Arc<Film>, Arc<Strips>), Error> {
        let film = self.loaded(&key).map_or_else(|| self.load(key), Ok)?;
        let strips = self.strips(&key)?;
        Ok((film, strips))
    }

    fn loaded(&self, key: &FilmKey) -> Option<Arc<Film>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        kept.or_else(|| self.passing.lock().unwrap_or_else(PoisonError::into_inner).get(key)?.upgrade())
    }

    pub(crate) fn take(&self, key: &FilmKey) -> Result<Take, Error> {
        let read = || Take::read(&key.path(&self.cache), key.codec, key.size);
        if let Some(take) = read() {
            return Ok(take);
        }
        produce(&self.cache, &BTreeSet::from([*key]), &|_| {}, &self.stop)?;
        read().ok_or_else(|| Error::Stream(format!("the film of {} cannot be read back", key.scene.id())))
    }

    fn load(&self, key: FilmKey) -> Result<Arc<Film>, Error> {
        let _turn = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(film) = self.loaded(&key) {
            return Ok(film);
        }
        let film = Arc::new(Film::pack(&self.take(&key)?)?);
        if key.size == Size::Main {
            let mut passing = self.passing.lock().unwrap_or_else(PoisonError::into_inner);
            passing.retain(|_, f| f.strong_count() > 0);
            passing.insert(key, Arc::downgrade(&film));
        } else {
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(key, film.clone());
        }
        Ok(film)
    }

    fn strips(&self, key: &FilmKey) -> Result<Arc<Strips>, Error> {
        let place = (key.codec, key.size);
        if let Some(strips) = self.strips.lock().unwrap_or_else(PoisonError::into_inner).get(&place) {
            return Ok(strips.clone());
        }
        let strips = Arc::new(Strips::pack(&self.strip_take(key.codec, key.size)?, &self.take(key)?)?);
        self.strips.lock().unwrap_or_else(PoisonError::into_inner).insert(place, strips.clone());
        Ok(strips)
    }

    fn strip_take(&self, codec: Codec, size: Size) -> Result<Take, Error> {
        let shape = format!("{codec:?} {size:?} {FPS} {:?}", self.names);
        let name = format!("strips-{size:?}-{codec:?}-{}.film", fingerprint(&shape)).to_lowercase();
        let path = self.cache.join(name);
        if let Some(take) = Take::read(&path, codec, size).filter(|t| t.frames.len() == self.names.len()) {
            return Ok(take);
        }
        let height = size.coded() - size.film();
        let mut encoder = Encoder::open(codec, size.width(), height, Rate::Stills)?;
        for name in &self.names {
            encoder.push(paint::strip(name, size.width(), height, size.shown() - size.film()))?;
        }
        let take = Take::cut(codec, size, &encoder.finish()?)?;
        std::fs::create_dir_all(&self.cache).and_then(|()| take.write(&path)).map_err(Error::Cache)?;
        Ok(take)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(scene: Scene, night: bool, marked: bool) -> FilmKey {
        FilmKey { scene, night, marked, look: Look::Clear, size: Size::Sub, codec: Codec::H264, frames: 300 }
    }

    /// The picture as the diagnosis sees it, without the name strip.
    fn thumbnail(reel: &Reel, key: &FilmKey, position: u16) -> Vec<u8> {
        let picture = Looks::new(reel, position).picture(key, position);
        let small = picture.shrunk(64, 34);
        small.data[..64 * 33].to_vec()
    }

    #[test]
    fn only_a_marked_film_shows_the_pattern_and_it_is_another_file() {
        let reel = Reel::new(Scene::Corridor, false, Size::Main.width(), Size::Main.film());
        for marked in [true, false] {
            let key = key(Scene::Corridor, false, marked);
            let picture = Looks::new(&reel, 7).picture(&key, 7);
            assert_eq!(paint::read_mark(&picture.data, picture.width, picture.width), marked.then_some(7));
        }
        let path = |marked| key(Scene::Corridor, false, marked).path(Path::new("films"));
        assert_ne!(path(true), path(false));
    }

    #[test]
    fn every_scene_moves_enough_without_a_mark_so_that_none_is_taken_for_frozen() {
        const KEY_FRAMES: u16 = 30;
        // Four key frames are eight seconds; the diagnosis calls a picture frozen after seven.
        const WINDOW: usize = 4;
        let mut still = Vec::new();
        for scene in Scene::ALL.iter().copied().filter(|s| *s != Scene::Black) {
            for night in [false, true].into_iter().filter(|n| !*n || scene.outdoor()) {
                let reel = Reel::new(scene, night, Size::Main.width(), Size::Main.film());
                let key = key(scene, night, false);
                let seen: Vec<_> = (0..10).map(|i| thumbnail(&reel, &key, i * KEY_FRAMES)).collect();
                let moved = |a: &[u8], b: &[u8]| a.iter().zip(b).any(|(a, b)| a.abs_diff(*b) > 2);
                let alive = |i: usize| (1..=WINDOW).any(|n| moved(&seen[i], &seen[(i + n) % seen.len()]));
                let dead: Vec<_> = (0..seen.len()).filter(|i| !alive(*i)).collect();
                if !dead.is_empty() {
                    still.push((scene, night, dead));
                }
            }
        }
        assert!(still.is_empty(), "{still:?}");
    }

    #[test]
    fn a_wrong_encoding_is_made_again_twice_at_most_and_nothing_else_is() {
        let made = |wrong: usize, error: fn() -> Error| {
            let mut times = 0;
            let outcome = persistent(|| {
                times += 1;
                if times <= wrong { Err(error()) } else { Ok(()) }
            });
            (outcome.is_ok(), times)
        };
        let stream = || Error::Stream("2 slices".to_owned());
        assert_eq!(made(2, stream), (true, 3));
        assert_eq!(made(3, stream), (false, 3));
        assert_eq!(made(1, || Error::Stopped), (false, 1));
    }
}
