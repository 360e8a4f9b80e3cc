//! Just enough of WebSocket for a load client: frames of a server (never masked) and short frames to it. Pure.

/// A frame of the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) opcode: u8,
    pub(crate) payload: &'a [u8],
    /// Bytes of the whole frame.
    pub(crate) size: usize,
}

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// The frame that `bytes` begin with; `None` = not all of it is there.
pub(crate) fn frame(bytes: &[u8]) -> Option<Frame<'_>> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (header, len) = match second & 127 {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        short => (2, usize::from(short)),
    };
    let size = header + len;
    Some(Frame { opcode: first & 15, payload: bytes.get(header..size)?, size })
}

/// A frame to the server, at most 125 bytes. The mask hides nothing, so it is zero.
pub(crate) fn to_server(opcode: u8, payload: &[u8]) -> Vec<u8> {
    debug_assert!(payload.len() < 126);
    let mut out = vec![0x80 | opcode, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    out.extend_from_slice(payload);
    out
}

/// Head of the answer to an upgrade: its status and its size; `None` = not all of it is there.
pub(crate) fn answer(bytes: &[u8]) -> Option<(u16, usize)> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let status = bytes.get(9..12).and_then(|s| std::str::from_utf8(s).ok()?.parse().ok()).unwrap_or(0);
    Some((status, end))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn frames_of_all_lengths_are_found_and_halves_are_not() {
        for (len, head) in [(0_usize, vec![0x82, 0]), (125, vec![0x82, 125]), (300, vec![0x82, 126, 1, 44])] {
            let whole = [head.clone(), vec![7; len], vec![9]].concat();
            let found = frame(&whole).unwrap();
            assert_eq!((found.opcode, found.payload.len(), found.size), (BINARY, len, head.len() + len));
            assert_eq!(frame(&whole[..head.len() + len - 1]), None);
        }
        let long = [vec![0x81, 127], 70_000_u64.to_be_bytes().to_vec(), vec![1; 70_000]].concat();
        assert_eq!(frame(&long).unwrap().payload.len(), 70_000);
    }

    #[test]
    fn what_goes_to_the_server_is_masked() {
        assert_eq!(to_server(TEXT, b"40"), [0x81, 0x82, 0, 0, 0, 0, b'4', b'0']);
    }

    #[test]
    fn an_answer_ends_with_an_empty_line() {
        assert_eq!(answer(b"HTTP/1.1 101 Switching\r\na: b\r\n\r\nrest"), Some((101, 32)));
        assert_eq!(answer(b"HTTP/1.1 101 Switching\r\na: b\r\n"), None);
    }
}
