//! Frames and parameter sets for unit tests.

use bytes::Bytes;

use crate::source::{Frame, Parameters};

/// A baseline set; `height` only makes two of them differ.
pub(crate) fn parameters(height: u16) -> Parameters {
    let sps = [0x67, 0x42, 0xc0, 0x16, height.to_be_bytes()[1] | 1, 0x80];
    Parameters {
        sps: Bytes::copy_from_slice(&sps),
        pps: Bytes::from_static(&[0x68, 0xce, 0x38, 0x80]),
        size: (640, height),
    }
}

/// A key frame without parameters.
pub(crate) fn key(ticks: i64) -> Frame {
    Frame { ticks, key: true, data: vec![0, 0, 0, 2, 0x65, 0x88], parameters: None }
}

/// A frame that needs others.
pub(crate) fn delta(ticks: i64) -> Frame {
    Frame { ticks, key: false, data: vec![0, 0, 0, 2, 0x41, 0x9a], parameters: None }
}
