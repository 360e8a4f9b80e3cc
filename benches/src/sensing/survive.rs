//! B2: what a broker still has of the messages that it answered and we did not, when it is killed: QoS 1 for a session
//! that lasts.

use std::{collections::BTreeSet, time::Duration};

use bytes::BytesMut;
use rumqttc::{Packet, QoS, Subscribe};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::tcp::{OwnedReadHalf, OwnedWriteHalf},
};

use super::{
    Place,
    brokers::{Broker, Kind},
    publish::publish,
};
use crate::{
    centre::Folder,
    device::{log_in, packet},
    process::free_port,
    results::Figure,
};

/// A second of the load.
const SENSORS: usize = 100;
const RATE: f64 = 5_000.0;
/// Mosquitto writes its store every 30 s.
const SAVED: Duration = Duration::from_secs(35);
/// When nothing comes for so long, nothing more will.
const QUIET: Duration = Duration::from_secs(3);
const SUBSCRIBER: &str = "bench-subscriber";

type Ends = (OwnedReadHalf, OwnedWriteHalf);

async fn subscribe(port: u16) -> anyhow::Result<Ends> {
    let (mut reader, mut writer, mut buffer) = log_in(port, SUBSCRIBER, None, true).await?;
    let mut subscribe = Subscribe::new("mjw/v1/sensors/+/reading", QoS::AtLeastOnce);
    subscribe.pkid = 1;
    buffer.clear();
    subscribe.write(&mut buffer).map_err(|e| anyhow::anyhow!("{e:?}"))?;
    writer.write_all(&buffer).await?;
    buffer.clear();
    match packet(&mut reader, &mut buffer).await? {
        Packet::SubAck(_) => Ok((reader, writer)),
        other => anyhow::bail!("the broker answered {other:?}"),
    }
}

/// Different messages that come on the session that was kept; each is answered.
async fn received(port: u16) -> anyhow::Result<usize> {
    let (mut reader, mut writer, mut buffer) = log_in(port, SUBSCRIBER, None, true).await?;
    let mut seen = BTreeSet::new();
    // A packet that is cut by the time is lost with the connection, which ends then.
    while let Ok(packet) = tokio::time::timeout(QUIET, packet(&mut reader, &mut buffer)).await {
        if let Packet::Publish(publish) = packet? {
            let mut answer = BytesMut::new();
            rumqttc::PubAck::new(publish.pkid).write(&mut answer).map_err(|e| anyhow::anyhow!("{e:?}"))?;
            writer.write_all(&answer).await?;
            seen.insert((publish.topic, publish.payload));
        }
    }
    Ok(seen.len())
}

/// When the broker is killed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Killed {
    /// Not at all: what is lost then says whether the measurement is right.
    Not,
    AtOnce,
    /// Longer after the last message than Mosquitto waits before it writes its store.
    Saved,
}

const WAYS: [(&str, Killed, &str); 3] = [
    ("kept", Killed::Not, "not killed"),
    ("now", Killed::AtOnce, "killed at once"),
    ("saved", Killed::Saved, "killed 35 s later"),
];

/// Messages that were answered to their devices, and how many of them are gone.
async fn lost(kind: Kind, killed: Killed) -> anyhow::Result<(u64, u64)> {
    let folder = Folder::new(&format!("survive-{}", kind.name()))?;
    let port = free_port()?;
    let mut broker = Broker::start(kind, &folder.0, port).await?;
    let (mut reader, writer) = subscribe(port).await?;
    let sensors: Vec<_> = (0..SENSORS).map(|n| (format!("sensor-{n}"), 1.0)).collect();
    let at = Place { port, password: None };
    // Read and not answered, as by a centre that cannot store.
    let mut buffer = vec![0; 64 << 10];
    let read = async { while reader.read(&mut buffer).await.is_ok_and(|n| n > 0) {} };
    let publish = async {
        let published = publish(&at, &sensors, RATE, Duration::from_secs(1)).await;
        if killed == Killed::Saved {
            tokio::time::sleep(SAVED).await;
        }
        published
    };
    let published = tokio::select! {
        published = publish => published?.count(),
        () = read => anyhow::bail!("the broker closed the subscriber's connection"),
    };
    if killed != Killed::Not {
        broker.run.kill().await?;
        broker = Broker::start(kind, &folder.0, port).await?;
    }
    drop((reader, writer));
    let came = received(port).await?;
    broker.run.end().await?;
    Ok((published, published.saturating_sub(came as u64)))
}

pub(super) async fn measure(kinds: &[Kind]) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut sent = 0;
    for (id, killed, when) in WAYS {
        for kind in kinds {
            let (published, lost) = lost(*kind, killed).await?;
            sent = published;
            let name = kind.name();
            println!("  {name}, {when}: {lost} of {published} lost");
            let what = format!("{name}, {when}: messages that it had answered and the centre had not, lost");
            figures.push(Figure::new(&format!("B2.{id}.{name}"), what, lost as f64, "messages"));
        }
    }
    figures.push(Figure::new("B2.sent", "Messages of each of these", sent as f64, "messages"));
    Ok(figures)
}
