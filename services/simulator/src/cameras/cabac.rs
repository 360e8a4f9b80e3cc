//! The arithmetic coder of H.265 (clause 9.3), as far as skipped blocks need it. Nothing here blocks.

/// Ranges of the less probable symbol by state and quarter of the range.
const LPS: [[u16; 4]; 64] = [
    [128, 176, 208, 240],
    [128, 167, 197, 227],
    [128, 158, 187, 216],
    [123, 150, 178, 205],
    [116, 142, 169, 195],
    [111, 135, 160, 185],
    [105, 128, 152, 175],
    [100, 122, 144, 166],
    [95, 116, 137, 158],
    [90, 110, 130, 150],
    [85, 104, 123, 142],
    [81, 99, 117, 135],
    [77, 94, 111, 128],
    [73, 89, 105, 122],
    [69, 85, 100, 116],
    [66, 80, 95, 110],
    [62, 76, 90, 104],
    [59, 72, 86, 99],
    [56, 69, 81, 94],
    [53, 65, 77, 89],
    [51, 62, 73, 85],
    [48, 59, 69, 80],
    [46, 56, 66, 76],
    [43, 53, 63, 72],
    [41, 50, 59, 69],
    [39, 48, 56, 65],
    [37, 45, 54, 62],
    [35, 43, 51, 59],
    [33, 41, 48, 56],
    [32, 39, 46, 53],
    [30, 37, 43, 50],
    [29, 35, 41, 48],
    [27, 33, 39, 45],
    [26, 31, 37, 43],
    [24, 30, 35, 41],
    [23, 28, 33, 39],
    [22, 27, 32, 37],
    [21, 26, 30, 35],
    [20, 24, 29, 33],
    [19, 23, 27, 31],
    [18, 22, 26, 30],
    [17, 21, 25, 28],
    [16, 20, 23, 27],
    [15, 19, 22, 25],
    [14, 18, 21, 24],
    [14, 17, 20, 23],
    [13, 16, 19, 22],
    [12, 15, 18, 21],
    [12, 14, 17, 20],
    [11, 14, 16, 19],
    [11, 13, 15, 18],
    [10, 12, 15, 17],
    [10, 12, 14, 16],
    [9, 11, 13, 15],
    [9, 11, 12, 14],
    [8, 10, 12, 14],
    [8, 9, 11, 13],
    [7, 9, 11, 12],
    [7, 9, 10, 12],
    [7, 8, 10, 11],
    [6, 8, 9, 11],
    [6, 7, 9, 10],
    [6, 7, 8, 9],
    [2, 2, 2, 2],
];

const AFTER_LPS: [u8; 64] = [
    0, 0, 1, 2, 2, 4, 4, 5, 6, 7, 8, 9, 9, 11, 11, 12, 13, 13, 15, 15, 16, 16, 18, 18, 19, 19, 21, 21, 22, 22, 23, 24,
    24, 25, 26, 26, 27, 27, 28, 29, 29, 30, 30, 30, 31, 32, 32, 33, 33, 33, 34, 34, 35, 35, 35, 36, 36, 36, 37, 37, 37,
    38, 38, 63,
];

/// State of one context.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    state: u8,
    likely: bool,
}

impl Context {
    /// From the table value, for a slice quantiser.
    pub(crate) fn new(value: i32, qp: i32) -> Self {
        let (slope, offset) = ((value >> 4) * 5 - 45, ((value & 15) << 3) - 16);
        let place = (((slope * qp.clamp(0, 51)) >> 4) + offset).clamp(1, 126);
        let likely = place > 63;
        Self { state: (if likely { place - 64 } else { 63 - place }) as u8, likely }
    }
}

/// The coder.
#[derive(Debug)]
pub(crate) struct Cabac {
    out: super::bits::BitWriter,
    low: u32,
    range: u32,
    waiting: u32,
    started: bool,
}

impl Cabac {
    pub(crate) fn new() -> Self {
        Self { out: super::bits::BitWriter::default(), low: 0, range: 510, waiting: 0, started: false }
    }

    /// Codes one symbol in its context.
    pub(crate) fn decide(&mut self, context: &mut Context, bin: bool) {
        let less = u32::from(LPS[usize::from(context.state)][(self.range >> 6 & 3) as usize]);
        self.range -= less;
        if bin == context.likely {
            context.state = (context.state + 1).min(62);
        } else {
            self.low += self.range;
            self.range = less;
            if context.state == 0 {
                context.likely = !context.likely;
            }
            context.state = AFTER_LPS[usize::from(context.state)];
        }
        self.renormalise();
    }

    /// Codes whether the slice ends here; when it does, also its stop bit.
    pub(crate) fn terminate(&mut self, end: bool) {
        self.range -= 2;
        if !end {
            self.renormalise();
            return;
        }
        self.low += self.range;
        self.range = 2;
        self.renormalise();
        self.put(self.low >> 9 & 1 == 1);
        self.out.bits(self.low >> 7 & 3 | 1, 2);
        while !self.out.aligned() {
            self.out.bit(false);
        }
    }

    fn renormalise(&mut self) {
        while self.range < 256 {
            if self.low < 256 {
                self.put(false);
            } else if self.low >= 512 {
                self.low -= 512;
                self.put(true);
            } else {
                self.low -= 256;
                self.waiting += 1;
            }
            self.range <<= 1;
            self.low <<= 1;
        }
    }

    fn put(&mut self, bit: bool) {
        if self.started {
            self.out.bit(bit);
        }
        self.started = true;
        for _ in 0..std::mem::take(&mut self.waiting) {
            self.out.bit(!bit);
        }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out.into_bytes()
    }
}
