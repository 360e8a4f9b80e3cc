//! Fills a ledger: open incidents by the writer, and long logs by the port.

use std::sync::Arc;

use domain::{
    event::Mode,
    incident::Channel,
    input::{Actor, Command, Input},
    site::Precision,
};
use futures::future::try_join_all;

use ledger::{Published, Store};

use super::part::{batch, submit};

/// Inputs on their way at once.
const AT_ONCE: usize = 1_000;

/// Reports so many incidents, which stay open.
pub(crate) async fn incidents(writer: &dispatch::Writer, count: usize) -> anyhow::Result<()> {
    let site = site::built_in();
    let places: Vec<_> =
        site.sensors.iter().map(|s| s.place.clone()).filter(|p| p.precision == Precision::Verified).collect();
    anyhow::ensure!(!places.is_empty(), "the site has no place");
    let class = site.classes.iter().find(|c| c.intake).map(|c| c.id.clone());
    let class = class.ok_or_else(|| anyhow::anyhow!("the site has no class"))?;
    let numbers: Vec<usize> = (0..count).collect();
    for some in numbers.chunks(AT_ONCE) {
        let report = |n: &usize| {
            let command = Command::Report {
                class: class.clone(),
                level: None,
                place: places[n % places.len()].clone(),
                channel: Channel::Call,
                reporter: None,
                text: None,
                into: None,
            };
            submit(writer, Input::Command { actor: Actor::System, mode: Mode::Real, happened: None, command })
        };
        try_join_all(some.iter().map(report)).await?;
    }
    Ok(())
}

/// Appends until the log has so many events.
pub(crate) async fn log(store: &dyn Store, templates: &[Arc<Published>], events: u64) -> anyhow::Result<()> {
    if events == 0 {
        return Ok(());
    }
    let mut head = store.open_writer().await?;
    while head.seq < events {
        let left = usize::try_from(events - head.seq)?;
        head = store.append(&batch(head, templates, left.min(AT_ONCE))).await?;
    }
    Ok(())
}
