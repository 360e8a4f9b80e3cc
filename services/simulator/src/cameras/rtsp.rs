//! RTSP/1.0 as text: requests in, replies out. Bounded and total: any bytes give a request, a wait for more, or a
//! refusal. Nothing here blocks.

/// Bytes of a request's head at most.
pub(crate) const MAX_HEAD: usize = 8 * 1024;
/// Bytes of a request's body at most.
pub(crate) const MAX_BODY: usize = 4 * 1024;
const MAX_HEADERS: usize = 64;

/// What a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// A request.
    Request(Request),
    /// An interleaved binary frame (a receiver report); its content is not needed.
    Interleaved,
}

/// A request without its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) uri: String,
    headers: Vec<(String, String)>,
}

/// The bytes are not RTSP or too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Request {
    /// Value of the header, name without regard to case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
    /// The path of the URI without query and last slash, e.g. `/sub/track1`.
    pub(crate) fn path(&self) -> &str {
        let rest = self.uri.split_once("://").map_or(self.uri.as_str(), |(_, r)| r);
        let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("");
        path.split('?').next().unwrap_or("").trim_end_matches('/')
    }
}

/// Takes one message from the front of `data`; the number is how many bytes it took. `None`: more bytes are needed.
pub(crate) fn take(data: &[u8]) -> Result<Option<(Message, usize)>, Malformed> {
    if data.first() == Some(&b'$') {
        let Some(head) = data.get(..4) else { return Ok(None) };
        let total = 4 + usize::from(u16::from_be_bytes([head[2], head[3]]));
        return Ok((data.len() >= total).then_some((Message::Interleaved, total)));
    }
    let blank = data.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    let rest = data.get(blank..).unwrap_or(&[]);
    let Some(end) = rest.windows(4).take(MAX_HEAD).position(|w| w == b"\r\n\r\n") else {
        return if data.len() > MAX_HEAD { Err(Malformed) } else { Ok(None) };
    };
    let head = rest.get(..end).and_then(|h| std::str::from_utf8(h).ok()).ok_or(Malformed)?;
    let request = parse_head(head)?;
    let body = match request.header("content-length") {
        Some(length) => length.parse::<usize>().map_err(|_| Malformed)?,
        None => 0,
    };
    if body > MAX_BODY {
        return Err(Malformed);
    }
    let total = blank + end + 4 + body;
    Ok((data.len() >= total).then_some((Message::Request(request), total)))
}

fn parse_head(head: &str) -> Result<Request, Malformed> {
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or("").split(' ');
    let (Some(method), Some(uri), Some("RTSP/1.0"), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Malformed);
    };
    let known = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    if !known || uri.is_empty() {
        return Err(Malformed);
    }
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(Malformed)?;
        if headers.len() == MAX_HEADERS {
            return Err(Malformed);
        }
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    Ok(Request { method: method.to_owned(), uri: uri.to_owned(), headers })
}

/// What a client asked of SETUP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// TCP interleaved: channel of the video, channel of its reports.
    Interleaved(u8, u8),
    /// Anything else.
    Unsupported,
}

/// Reads a Transport header: the first alternative that is interleaved.
pub(crate) fn transport(header: &str) -> Transport {
    header.split(',').find_map(interleaved).unwrap_or(Transport::Unsupported)
}

fn interleaved(alternative: &str) -> Option<Transport> {
    let mut fields = alternative.split(';').map(str::trim);
    if !fields.next()?.eq_ignore_ascii_case("RTP/AVP/TCP") {
        return None;
    }
    let Some(pair) = fields.find_map(|f| f.strip_prefix("interleaved=")) else {
        return Some(Transport::Interleaved(0, 1));
    };
    let (data, reports) = pair.split_once('-').unwrap_or((pair, ""));
    let data: u8 = data.parse().ok()?;
    let reports = if reports.is_empty() { data.checked_add(1)? } else { reports.parse().ok()? };
    Some(Transport::Interleaved(data, reports))
}

/// A reply.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    text: String,
    body: String,
}

impl Reply {
    /// With the CSeq of the request.
    pub(crate) fn new(status: u16, request: &Request) -> Self {
        let reason = match status {
            200 => "OK",
            400 => "Bad Request",
            401 => "Unauthorized",
            404 => "Not Found",
            405 => "Method Not Allowed",
            453 => "Not Enough Bandwidth",
            454 => "Session Not Found",
            455 => "Method Not Valid in This State",
            461 => "Unsupported Transport",
            503 => "Service Unavailable",
            _ => "Error",
        };
        let mut text = format!("RTSP/1.0 {status} {reason}\r\n");
        if let Some(sequence) = request.header("cseq") {
            text += &format!("CSeq: {sequence}\r\n");
        }
        Self { text, body: String::new() }
    }
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.text += &format!("{name}: {value}\r\n");
        self
    }
    pub(crate) fn body(mut self, kind: &str, body: String) -> Self {
        self.body = body;
        self.header("Content-Type", kind)
    }
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        let length =
            if self.body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", self.body.len()) };
        format!("{}{length}\r\n{}", self.text, self.body).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const SETUP: &str = "SETUP rtsp://127.0.1.2:8554/sub/track1?x=1 RTSP/1.0\r\nCSeq: 3\r\n\
                         Transport: RTP/AVP;unicast;client_port=5000-5001, RTP/AVP/TCP;unicast;interleaved=2-3\r\n\r\n";

    #[test]
    fn takes_a_request_after_a_report_and_before_another() {
        let mut data = vec![b'$', 1, 0, 2, 9, 9];
        data.extend(SETUP.as_bytes());
        data.extend(b"OPTIONS * RTSP/1.0\r\nContent-Length: 3\r\n\r\nab");
        let (message, used) = take(&data).unwrap().unwrap();
        assert_eq!((message, used), (Message::Interleaved, 6));
        let (message, length) = take(&data[6..]).unwrap().unwrap();
        let Message::Request(request) = message else { panic!("a request stands here") };
        assert_eq!((request.method.as_str(), request.path(), length), ("SETUP", "/sub/track1", SETUP.len()));
        assert_eq!(transport(request.header("TRANSPORT").unwrap()), Transport::Interleaved(2, 3));
        assert_eq!(take(&data[6 + length..]), Ok(None), "one byte of the body is missing");
    }

    #[test]
    fn refuses_udp_endless_heads_and_great_bodies() {
        assert_eq!(transport("RTP/AVP;unicast;client_port=1-2"), Transport::Unsupported);
        assert_eq!(transport("RTP/AVP/TCP;interleaved=255"), Transport::Unsupported);
        assert_eq!(take(&[b'A'; MAX_HEAD + 1]), Err(Malformed));
        assert_eq!(take(b"PLAY * RTSP/1.0\r\nContent-Length: 5000\r\n\r\n"), Err(Malformed));
        assert_eq!(take(b"GET / HTTP/1.1\r\n\r\n"), Err(Malformed));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_refused_or_waited_for(data in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(Some((_, used))) = take(&data) {
                prop_assert!(used > 0 && used <= data.len());
            }
        }

        #[test]
        fn rtsp_like_text_never_panics(
            method in "[A-Z_]{0,8}", uri in "[ -~]{0,40}", headers in prop::collection::vec("[ -~]{0,40}", 0..80),
        ) {
            let text = format!("{method} {uri} RTSP/1.0\r\n{}\r\n\r\n", headers.join("\r\n"));
            if let Ok(Some((Message::Request(request), used))) = take(text.as_bytes()) {
                prop_assert!(used <= text.len());
                let _ = (request.path(), transport(&uri), Reply::new(200, &request).into_bytes());
            }
        }

        #[test]
        fn waits_until_the_last_byte(cut in 1usize..SETUP.len()) {
            prop_assert_eq!(take(&SETUP.as_bytes()[..cut]), Ok(None));
        }
    }
}
