//! Records fetched on a schedule: `GET <url>?since=<cursor>` answers `{"records":[{"kind":…, …}],"next":cursor}`. The
//! cursor is the department's; after a restart it starts at 0, which fills the window again.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    Shared,
    config::{Connector, Pull},
    guard,
    http::{Call, CallError},
    records,
};

/// Longest answer, bytes.
const ANSWER: usize = 4 << 20;
/// Pages of one round; the rest waits for the next.
const PAGES: usize = 50;

#[derive(Deserialize)]
struct Page {
    records: Vec<Value>,
    next: i64,
}

/// Fetches for ever; ends at once for a department that sends by itself.
pub(crate) async fn run(shared: &Shared, connector: &Connector) {
    let Some(pull) = &connector.pull else { return };
    let mut cursor = 0;
    loop {
        match round(shared, connector, pull, &mut cursor).await {
            Ok(()) => shared.heard(&connector.unit),
            Err(error) => {
                if error.refuses() {
                    tracing::warn!(unit.id = %connector.unit, %error, "a department refuses to give records");
                } else {
                    tracing::debug!(unit.id = %connector.unit, %error, "a department gives no records now");
                }
                shared.failed(&connector.unit);
            }
        }
        let jitter = rand::random_range(0.9..1.1);
        tokio::time::sleep(Duration::from_secs(pull.every_s.into()).mul_f64(jitter)).await;
    }
}

/// Fetches pages until there is nothing new.
async fn round(shared: &Shared, connector: &Connector, pull: &Pull, cursor: &mut i64) -> Result<(), CallError> {
    for _ in 0..PAGES {
        let mut url = reqwest::Url::parse(&pull.url).map_err(|_| CallError::Broken)?;
        url.query_pairs_mut().append_pair("since", &cursor.to_string());
        let now = shared.clock.now_ms();
        let call =
            Call { secret: &connector.secret, now_s: now.div_euclid(1_000), timeout_s: pull.timeout_s, most: ANSWER };
        let answer = call.get(&shared.client, url.as_str()).await?;
        let page: Page = serde_json::from_slice(&answer).map_err(|_| CallError::Broken)?;
        let more = !page.records.is_empty() && page.next != *cursor;
        keep(shared, connector, &page.records, now);
        *cursor = page.next;
        if !more {
            break;
        }
    }
    Ok(())
}

/// Keeps what is mapped and readable; the rest of a page is still worth having.
fn keep(shared: &Shared, connector: &Connector, found: &[Value], now: i64) {
    let mut all = guard(&shared.records);
    let mut unread = 0_u32;
    for record in found {
        let Some(kind) = record.get("kind").and_then(Value::as_str) else {
            unread += 1;
            continue;
        };
        let Some(mapping) = all.mapping(&connector.unit, kind) else { continue };
        match records::read(mapping, record, now) {
            Ok(row) => all.keep(&connector.unit, kind, vec![row]),
            Err(_) => unread += 1,
        }
    }
    if unread > 0 {
        tracing::warn!(unit.id = %connector.unit, count = unread, "pulled records were unreadable");
    }
}
