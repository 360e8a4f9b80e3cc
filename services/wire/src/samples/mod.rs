//! Values to test with. A [`Dice`] makes one of any type: `Dice::full()` always the same one with every optional part
//! there (golden bytes are made of these: do not reorder the calls of a sample), `Dice::seeded` a random one.

mod bodies;
mod inputs;
mod state;

use domain::{
    account::Account, alarm::*, event::By, ids::*, incident::*, message::Message, patrol::*, site::*, task::*,
    text::Subject, time::*,
};

pub(crate) use state::{place, site};

/// All variants of a plain enum.
pub(crate) trait Listed: Copy + 'static {
    const LIST: &'static [Self];
}

pub(crate) struct Dice {
    state: u64,
    full: bool,
    /// With what came after the golden files were written.
    later: bool,
}

impl Dice {
    pub(crate) fn full() -> Self {
        Self { state: 0, full: true, later: false }
    }

    /// As full, with the parts that came later.
    pub(crate) fn fuller() -> Self {
        Self { later: true, ..Self::full() }
    }

    pub(crate) fn seeded(seed: u64) -> Self {
        Self { state: seed, full: false, later: true }
    }

    /// Full: 1, 2, 3 …; else any number, and often zero.
    pub(crate) fn roll(&mut self) -> u64 {
        if self.full {
            self.state += 1;
            return self.state;
        }
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        if z.is_multiple_of(8) { 0 } else { z }
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.roll() % n as u64).unwrap()
    }

    pub(crate) fn opt<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.full || self.roll() % 2 == 1).then(|| make(self))
    }

    pub(crate) fn list<T>(&mut self, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let n = if self.full { 2 } else { self.below(4) };
        (0..n).map(|_| make(self)).collect()
    }

    /// A list that came after the golden files were written: the full sample has none, as those files do, and the fuller
    /// one has it in files of its own.
    fn later<T>(&mut self, make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        if self.later { self.list(make) } else { Vec::new() }
    }

    pub(crate) fn pick<T: Listed>(&mut self) -> T {
        T::LIST[self.below(T::LIST.len())]
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.full || self.roll() % 2 == 1
    }

    pub(crate) fn text(&mut self) -> String {
        let n = self.roll();
        match n % 4 {
            _ if self.full => format!("t{n}"),
            0 => String::new(),
            1 => format!("字{n}/\u{0}\u{1F525}"),
            _ => format!("t{n}"),
        }
    }

    pub(crate) fn id<T: From<String>>(&mut self) -> T {
        self.text().into()
    }

    pub(crate) fn vault(&mut self) -> VaultId {
        VaultId(self.roll())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        (self.roll() & 0xFFFF_FFFF).try_into().unwrap()
    }

    fn u16(&mut self) -> u16 {
        (self.roll() & 0xFFFF).try_into().unwrap()
    }

    fn u8(&mut self) -> u8 {
        (self.roll() & 0xFF).try_into().unwrap()
    }

    fn i8(&mut self) -> i8 {
        i8::from_le_bytes([self.u8()])
    }

    fn i64(&mut self) -> i64 {
        i64::from_le_bytes(self.roll().to_le_bytes())
    }

    fn float(&mut self) -> f64 {
        f64::from(self.u32()) / 8.0 - 1000.0
    }

    pub(crate) fn at(&mut self) -> Timestamp {
        Timestamp(self.i64())
    }

    fn span(&mut self) -> Millis {
        Millis(self.i64())
    }

    pub(crate) fn by(&mut self) -> By {
        match self.below(5) {
            0 => By::Resident,
            1 => By::System,
            2 => By::Unit(self.id()),
            3 => By::Rule(self.id()),
            _ => By::Account(self.id()),
        }
    }

    pub(crate) fn source(&mut self) -> Source {
        match self.below(5) {
            0 => Source::Sensor { sensor: self.id(), rule: self.id() },
            1 => Source::Camera(self.id()),
            2 => Source::Rule { rule: self.id(), key: self.text() },
            3 => Source::Message(MessageId(self.roll())),
            _ => Source::Unit { unit: self.id(), external: self.text() },
        }
    }

    pub(crate) fn subject(&mut self) -> Subject {
        // The full sample is older than devices are.
        match self.below(if self.full { 5 } else { 6 }) {
            0 => Subject::Person(self.text()),
            1 => Subject::Alarm(AlarmId(self.roll())),
            2 => Subject::Incident(IncidentId(self.roll())),
            3 => Subject::Account(self.id()),
            4 => Subject::Message(MessageId(self.roll())),
            _ => Subject::Device(self.id()),
        }
    }

    pub(crate) fn place(&mut self) -> Place {
        Place {
            grid: self.id(),
            building: self.opt(Self::id),
            landmark: self.opt(Self::id),
            unit: self.opt(Self::u8),
            floor: self.opt(Self::i8),
            flat: self.opt(Self::u8),
            point: self.point(),
            precision: self.pick(),
        }
    }

    fn point(&mut self) -> Point {
        Point { x: self.float(), y: self.float() }
    }

    fn name(&mut self) -> Name {
        Name { zh: self.text(), en: self.text() }
    }

    pub(crate) fn evidence(&mut self) -> Evidence {
        Evidence {
            source: self.source(),
            kind: self.id(),
            at: self.at(),
            value: self.opt(Self::float),
            text: self.opt(Self::vault),
        }
    }

    pub(crate) fn exhibit(&mut self) -> Exhibit {
        Exhibit { blob: self.id(), kind: self.pick(), camera: self.opt(Self::id), from: self.at(), to: self.at() }
    }

    pub(crate) fn reporter(&mut self) -> Reporter {
        Reporter {
            kind: self.pick(),
            person: self.opt(Self::text),
            name: self.opt(Self::vault),
            phone: self.opt(Self::vault),
        }
    }

    pub(crate) fn terms(&mut self) -> TaskTerms {
        TaskTerms {
            lead: self.flag(),
            mandatory: self.flag(),
            acknowledge: self.span(),
            arrive: self.span(),
            handle: self.span(),
            decline: self.span(),
        }
    }

    pub(crate) fn finding(&mut self) -> Finding {
        Finding { at: self.at(), source: self.source(), what: self.text(), alarm: self.opt(|d| AlarmId(d.roll())) }
    }

    pub(crate) fn account(&mut self) -> Account {
        Account {
            id: self.id(),
            role: self.pick(),
            unit: self.opt(Self::id),
            grid: self.opt(Self::id),
            name: self.vault(),
            active: self.flag(),
        }
    }

    pub(crate) fn message(&mut self) -> Message {
        Message {
            id: MessageId(self.roll()),
            inbound: self.flag(),
            at: self.at(),
            phone: self.vault(),
            person: self.opt(Self::text),
            text: self.vault(),
            place: self.opt(Self::place),
            alarm: self.opt(|d| AlarmId(d.roll())),
            reply_to: self.opt(|d| MessageId(d.roll())),
            sent: self.opt(Self::flag),
        }
    }
}
