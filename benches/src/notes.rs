//! What the figures cannot say by themselves: why a target is missed, and what follows. The only sentences of the page
//! that are written by hand. `{ID}` stands for the value of that figure, so that no number is.

use crate::results::Figure;

/// By the beginning of an id, the longest that fits.
const REASONS: [(&str, &str); 13] = [
    (
        "G1",
        "the kernel copies each event for each client, and load client and servers share {cores} cores: the peers spend \
         {G1.each:nchan} (nchan) and {G1.each:socket.io} (socket.io), ours {G1.each}",
    ),
    (
        "G2",
        "one event on its way means one write a client and event. A bare loop of `send` to as many sockets takes {G2.floor} \
         here, nchan {G2.each:nchan}, ours {G2.each}; of ours the kernel's TCP path is {P.G2.kernel-tcp-send-path} and waking \
         the readers {P.G2.kernel-waking-readers-of-sockets}, which is not ours to save",
    ),
    (
        "G3",
        "rounds begin at most 32 ms apart, so that about seven events share a write to each client, of which a bare `send` takes \
         {G2.floor}; the rest is reading and encoding each event once, which the peers do not do. A longer wait would be \
         cheaper, and alarms later: the p99 is {G3.p99}, and {G3.durable.p99} with a commit, of which a bare fdatasync takes \
         {G5.fsync}, p99 {G5.fsync.p99}",
    ),
    (
        "G5.sqlite",
        "96 sources wait at once and load, writer and database share {cores} cores: a commit holds what came during the last one, \
         so an answer takes up to two commits. One bare fdatasync of a page takes {G5.fsync} here, p99 {G5.fsync.p99}",
    ),
    (
        "G5.postgres",
        "as with SQLite, and each commit crosses to another process and back, whose own fsync ({G5.fsync} here) the answer awaits",
    ),
    (
        "G5",
        "the gain by group commit is one condition, the answer's p99 the other: see {G5.sqlite.p99} beside a bare fdatasync \
         of {G5.fsync}, p99 {G5.fsync.p99}",
    ),
    (
        "G4",
        "each commit waits for the disk, and this machine's stalls for 0.1 to 0.3 s at times; the fan-out alone has a p99 of {G3.p99}. It is \
         waiting and no CPU, so that a profile says nothing",
    ),
    (
        "G8",
        "jemalloc gives back pages on which nothing is left; those that a handshake shares with what a client keeps stay, and how \
         many these are differs from run to run",
    ),
    (
        "G7",
        "the others share {cores} cores with the load client, and each commit waits for a disk that stalls at times; the runs with \
         and without stalled clients differ by less than rounds do. It is waiting, so that a profile says nothing",
    ),
    (
        "V1",
        "ours keeps rings for clips and makes fragments, which the others do not; what is left is the cost of RTP over TCP",
    ),
    (
        "T20000",
        "publisher, broker, rules and both databases share {cores} cores, and the disk stalls at times: the median is {T20000.alarm.p50}",
    ),
    ("X1", "ten thousand sockets and their load client share {cores} cores"),
    ("M", "load, broker, centre and Redis share {cores} cores"),
];

/// What follows from figures, if the first id was measured.
const CONCLUSIONS: [(&str, &str, &str); 1] = [(
    "B2.saved.rumqttd",
    "Broker",
    "Mosquitto stays. Asked the same, rumqttd 0.20 brings {B1.rumqttd} to our centre and Mosquitto {B1.mosquitto}: rumqttd has \
     at most 100 messages on their way to one subscriber, so that a commit of ours holds no more. Its CPU is \
     {B1.rumqttd.each} beside {B1.mosquitto.each}. And it keeps sessions in memory only: of {B2.sent} that it had \
     answered and we had not, {B2.saved.rumqttd} were lost when it was killed after 35 s (not killed: {B2.kept.rumqttd}). Of \
     Mosquitto's {B2.saved.mosquitto} were lost, since it writes its store every 30 s; killed before that it lost \
     {B2.now.mosquitto}. What Mosquitto answered in those 30 s is safe only when we have taken it, which takes milliseconds \
     while the centre runs",
)];

/// A line for each missed target.
pub(crate) fn missed(all: &[Figure]) -> Vec<String> {
    let one = |f: &Figure| {
        let beside: Vec<_> = f.ratios.iter().map(|(name, ratio)| format!("{ratio} × {name}")).collect();
        let beside = if beside.is_empty() { String::new() } else { format!(" ({})", beside.join(", ")) };
        let why = reason(&f.id).map_or_else(|| "not explained yet".to_owned(), |r| filled(r, all));
        format!("- **{}**: {}{beside}, asked {}. Why: {why}.\n", f.id, amount(f), f.target)
    };
    all.iter().filter(|f| f.met == Some(false)).map(one).collect()
}

/// A line for each conclusion whose figures are there.
pub(crate) fn conclusions(all: &[Figure]) -> Vec<String> {
    let known = |id: &str| all.iter().any(|f| f.id == id);
    let there = CONCLUSIONS.iter().filter(|(id, ..)| known(id));
    there.map(|(_, title, text)| format!("- **{title}.** {}.\n", filled(text, all))).collect()
}

fn reason(id: &str) -> Option<&'static str> {
    let fits = REASONS.iter().filter(|(start, _)| id.strip_prefix(start).is_some_and(|r| fits(start, r)));
    fits.max_by_key(|(start, _)| start.len()).map(|r| r.1)
}

/// `G1` is not the beginning of `G10`, but `M` is of `M100`.
fn fits(start: &str, rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('.') || !start.ends_with(|c: char| c.is_ascii_digit())
}

fn amount(f: &Figure) -> String {
    format!("{} {}", f.value, f.unit).trim_end().to_owned()
}

/// The text with `{ID}` and `{ID:peer}` replaced by what was measured.
fn filled(text: &str, all: &[Figure]) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else { break };
        out += before;
        out += &value(name, all);
        rest = after;
    }
    out + rest
}

fn value(name: &str, all: &[Figure]) -> String {
    if name == "cores" {
        return std::thread::available_parallelism().map_or(0, usize::from).to_string();
    }
    let (id, peer) = name.split_once(':').map_or((name, None), |(id, peer)| (id, Some(peer)));
    let unknown = || "(not measured)".to_owned();
    let Some(figure) = all.iter().find(|f| f.id == id) else { return unknown() };
    match peer {
        None => amount(figure),
        Some(peer) => figure.peers.get(peer).map_or_else(unknown, |v| format!("{v} {}", figure.unit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_take_their_numbers_from_the_figures() {
        let all = [
            Figure::new("G2", "w", 1.0, "1/s").behind("nchan", 2.0).target("≥ 2 ×", false),
            Figure::new("G2.floor", "w", 3.5, "µs"),
            Figure::new("ok", "w", 1.0, "").target("0", true),
        ];
        let lines = missed(&all);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("- **G2**: 1 1/s (0.5 × nchan), asked ≥ 2 ×. Why: "), "{}", lines[0]);
        let text = "{G2.floor}, {G2:nchan}, {G2:other}, {G9}";
        assert_eq!(filled(text, &all), "3.5 µs, 2 1/s, (not measured), (not measured)");
    }

    #[test]
    fn the_longest_beginning_counts() {
        assert!(reason("G5.sqlite.p99").is_some_and(|r| r.starts_with("96 sources")));
        assert!(reason("G5").is_some_and(|r| r.starts_with("the gain")));
        assert!(reason("M5000.p99").is_some() && reason("G10").is_none());
    }
}
