//! Records fetched on a schedule, each source as its data says: by GET or POST, page after page. A round that breaks off
//! goes on where it was; what cannot be read is set aside with its reason and the rest counts. Where a source is, is kept
//! in memory like the records themselves: after a restart it begins anew, which fills the window again.

use reqwest::Url;
use serde_json::Value;

use crate::{
    Shared,
    config::Connector,
    guard,
    http::{Call, CallError, Request},
    receipt, records,
    source::{Method, Pages, Source},
    table::{self, Found},
    tally::SetAside,
    trouble,
};

/// Longest answer, bytes.
const ANSWER: usize = 8 << 20;
/// Pages of one round; the next goes on from there.
const PAGES: usize = 50;
/// First and longest pause after a round that failed, ms; never longer than the source's own.
const PAUSE: (i64, i64) = (30_000, 900_000);

/// Fetches for ever; ends at once for a department that sends by itself.
pub(crate) async fn run(shared: &Shared, connector: &Connector) {
    let usual = connector.pull.as_ref().map(Source::of_pull);
    let sources = usual.iter().chain(&connector.sources);
    futures::future::join_all(sources.map(|source| fetch(shared, connector, source))).await;
}

async fn fetch(shared: &Shared, connector: &Connector, source: &Source) {
    let (unit, mut position, mut failures) = (connector.unit.as_str(), Position::begin(source), 0_u32);
    let name = format!("{unit}/{}", source.id);
    loop {
        let every = i64::from(source.every_s) * 1_000;
        let ended = round(shared, connector, source, &mut position).await;
        let problem = ended.as_ref().err().map(CallError::zh);
        guard(&shared.tallies).ended(unit, &source.id, problem);
        let pause = match ended {
            Ok(()) => {
                shared.heard(unit);
                trouble::well(shared, &name);
                failures = 0;
                every
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                failed(shared, unit, &name, &error).await;
                let growing = PAUSE.0.saturating_mul(1 << (failures - 1).min(10)).min(PAUSE.1);
                let told = if let CallError::Wait { ms, .. } = error { ms } else { 0 };
                growing.min(every).max(told)
            }
        };
        let jitter = rand::random_range(-50..=50);
        shared.until(shared.clock.now_ms().saturating_add(pause + pause / 1_000 * jitter)).await;
    }
}

async fn failed(shared: &Shared, unit: &str, name: &str, error: &CallError) {
    if let CallError::Denied(why) = error {
        trouble::denied(shared, name, why).await;
    }
    if error.refuses() || matches!(error, CallError::Denied(_) | CallError::Unreadable(_) | CallError::NotTaken { .. })
    {
        tracing::warn!(source = name, %error, "a department gives no usable records");
    } else {
        tracing::debug!(source = name, %error, "a department gives no records now");
    }
    shared.failed(unit);
}

/// Where a source is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Position {
    page: u64,
    offset: u64,
    cursor: String,
    link: Option<Url>,
}

impl Position {
    fn begin(source: &Source) -> Self {
        let (page, cursor) = match &source.pages {
            Some(Pages::Page { first, .. }) => (*first, String::new()),
            Some(Pages::Cursor { first, .. }) => (1, first.clone()),
            _ => (1, String::new()),
        };
        Self { page, offset: 0, cursor, link: None }
    }

    /// The address and body of the next page.
    fn request(&self, source: &Source) -> Result<(Url, Option<String>), CallError> {
        let mut url = Url::parse(&source.url).map_err(|_| CallError::Broken)?;
        let mut size = 0;
        let mut add = |name: &str, value: &str| {
            if !name.is_empty() {
                url.query_pairs_mut().append_pair(name, value);
            }
        };
        match &source.pages {
            Some(Pages::Page { param, size: most, size_param, .. }) => {
                add(param, &self.page.to_string());
                add(size_param, &most.to_string());
                size = *most;
            }
            Some(Pages::Offset { param, size: most, size_param }) => {
                add(param, &self.offset.to_string());
                add(size_param, &most.to_string());
                size = *most;
            }
            Some(Pages::Cursor { param, .. }) => add(param, &self.cursor),
            Some(Pages::Link { .. }) | None => {}
        }
        let body = source.body.as_ref().map(|body| {
            // The cursor comes from outside and must not end the text that it stands in.
            let cursor = Value::from(self.cursor.as_str()).to_string();
            body.replace("{page}", &self.page.to_string())
                .replace("{offset}", &self.offset.to_string())
                .replace("{size}", &size.to_string())
                .replace("{cursor}", cursor.trim_matches('"'))
        });
        Ok((self.link.clone().unwrap_or(url), body))
    }

    /// Goes on after a page; false when it was the last.
    fn advance(&mut self, source: &Source, found: &Found) -> Result<bool, CallError> {
        let count = (found.records.len() + found.broken.len()) as u64;
        let more = match &source.pages {
            None => false,
            Some(Pages::Page { size, .. } | Pages::Offset { size, .. }) => {
                self.page = self.page.saturating_add(1);
                self.offset = self.offset.saturating_add(count);
                count >= *size
            }
            Some(Pages::Cursor { at, .. }) => {
                let next = found.whole.pointer(at).and_then(receipt::text);
                let more = count > 0 && next.as_ref().is_some_and(|next| *next != self.cursor);
                self.cursor = next.unwrap_or_else(|| self.cursor.clone());
                // The next round goes on from here.
                return Ok(more);
            }
            Some(Pages::Link { at }) => {
                let next = found.whole.pointer(at).and_then(Value::as_str).filter(|n| !n.trim().is_empty());
                self.link = next.map(|next| same_host(&source.url, next)).transpose()?;
                self.link.is_some()
            }
        };
        if !more {
            *self = Self::begin(source);
        }
        Ok(more)
    }
}

/// Our credentials go to the source's own host only.
fn same_host(base: &str, next: &str) -> Result<Url, CallError> {
    let base = Url::parse(base).map_err(|_| CallError::Broken)?;
    let next = base.join(next.trim()).map_err(|_| CallError::Unreadable("下一页的地址无法识别".to_owned()))?;
    let same = next.origin() == base.origin();
    same.then_some(next).ok_or_else(|| CallError::Unreadable("下一页的地址不在同一主机".to_owned()))
}

/// Fetches pages until there is nothing new.
async fn round(
    shared: &Shared,
    connector: &Connector,
    source: &Source,
    position: &mut Position,
) -> Result<(), CallError> {
    let mut before = None;
    for _ in 0..PAGES {
        let (url, body) = position.request(source)?;
        let now = shared.clock.now_ms();
        let call =
            Call { secret: &connector.secret, now_s: now.div_euclid(1_000), timeout_s: source.timeout_s, most: ANSWER };
        let plain = source.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let secret = source.secret_headers.iter().map(|(name, value)| (name.as_str(), value.text()));
        let request = Request {
            post: source.method == Method::Post,
            url: url.as_str(),
            headers: plain.chain(secret).collect(),
            body: body.unwrap_or_default(),
        };
        let answer = call.fetch(&shared.client, request).await?;
        if let Some(rule) = &source.receipt {
            receipt::read(Some(rule), &answer)?;
        }
        let found = table::read(&source.layout, &answer).map_err(CallError::Unreadable)?;
        if before.as_ref() == Some(&answer) && !found.records.is_empty() {
            *position = Position::begin(source);
            return Err(CallError::Unreadable("翻页后内容没有变化".to_owned()));
        }
        keep(shared, connector, source, &found, now);
        if !position.advance(source, &found)? {
            break;
        }
        before = Some(answer);
    }
    Ok(())
}

/// Keeps what is mapped and readable; the rest of a page is still worth having.
fn keep(shared: &Shared, connector: &Connector, source: &Source, found: &Found, now: i64) {
    let unit = connector.unit.as_str();
    let mut aside: Vec<_> = found.broken.iter().map(|(row, why)| SetAside::row(*row, *why)).collect();
    let mut kept = 0;
    let mut all = guard(&shared.records);
    for (number, record) in &found.records {
        let kind = source.kind.as_deref().or_else(|| record.get("kind").and_then(Value::as_str));
        let Some(kind) = kind else {
            aside.push(SetAside { row: *number, column: Some("kind".to_owned()), why: "缺少值".to_owned() });
            continue;
        };
        let Some(mapping) = all.mapping(unit, kind) else { continue };
        match records::read(mapping, *number, record, now) {
            Ok(row) => {
                all.keep(unit, kind, vec![row]);
                kept += 1;
            }
            Err(why) => aside.push(why),
        }
    }
    drop(all);
    guard(&shared.tallies).count(unit, &source.id, now, kept, &aside);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn source(pages: &str) -> Source {
        let text = format!("id = 's'\nkind = 'use'\nurl = 'http://10.0.0.1/list?x=1'\nevery_s = 60\n{pages}");
        runtime::config::parse("source.toml", &text).unwrap()
    }

    fn found(records: usize, whole: Value) -> Found {
        Found { records: (0..records).map(|i| (i, json!(i))).collect(), broken: Vec::new(), whole }
    }

    fn urls(source: &Source, answers: &[Found]) -> Vec<String> {
        let mut position = Position::begin(source);
        let mut urls = Vec::new();
        for answer in answers {
            urls.push(position.request(source).unwrap().0.to_string());
            let more = position.advance(source, answer).unwrap();
            urls.push(more.to_string());
        }
        urls.push(position.request(source).unwrap().0.to_string());
        urls
    }

    #[test]
    fn pages_by_number_and_offset_end_with_one_that_is_not_full() {
        let by_page = source("pages = { by = 'page', param = 'pageNum', size = 2, size_param = 'pageSize' }");
        let at = |n| format!("http://10.0.0.1/list?x=1&pageNum={n}&pageSize=2");
        let none = || Value::Null;
        let seen = urls(&by_page, &[found(2, none()), found(1, none())]);
        assert_eq!(seen, [at(1), "true".into(), at(2), "false".into(), at(1)]);
        let by_offset = source("pages = { by = 'offset', param = 'start', size = 2 }");
        let at = |n| format!("http://10.0.0.1/list?x=1&start={n}");
        let seen = urls(&by_offset, &[found(2, none()), found(2, none()), found(0, none())]);
        assert_eq!(seen, [at(0), "true".into(), at(2), "true".into(), at(4), "false".into(), at(0)]);
    }

    #[test]
    fn a_cursor_goes_on_in_the_next_round() {
        let source = source("pages = { by = 'cursor', param = 'since', at = '/next', first = '0' }");
        let at = |n: &str| format!("http://10.0.0.1/list?x=1&since={n}");
        let seen = urls(
            &source,
            &[found(2, json!({"next": 7})), found(0, json!({"next": 9})), found(1, json!({"next": null}))],
        );
        assert_eq!(seen, [at("0"), "true".into(), at("7"), "false".into(), at("9"), "false".into(), at("9")]);
    }

    #[test]
    fn a_link_stays_on_its_host() {
        let source = source("pages = { by = 'link', at = '/links/next' }");
        let link = |to: &str| found(1, json!({"links": {"next": to}}));
        let seen = urls(&source, &[link("/list?p=2"), link("")]);
        let first = "http://10.0.0.1/list?x=1".to_owned();
        assert_eq!(seen, [first.clone(), "true".into(), "http://10.0.0.1/list?p=2".into(), "false".into(), first]);
        for elsewhere in ["http://10.0.0.2/list", "https://10.0.0.1/list", "http://10.0.0.1:81/list"] {
            let mut position = Position::begin(&source);
            assert!(position.advance(&source, &link(elsewhere)).is_err(), "{elsewhere}");
        }
    }

    #[test]
    fn a_cursor_cannot_leave_its_place_in_a_body() {
        let source = source(
            "method = 'post'\nbody = '{\"page\":{page},\"mark\":\"{cursor}\"}'\npages = { by = 'cursor', at = '/next' }",
        );
        let mut position = Position::begin(&source);
        position.advance(&source, &found(1, json!({"next": "a\",\"admin\":\"1"}))).unwrap();
        let body: Value = serde_json::from_str(&position.request(&source).unwrap().1.unwrap()).unwrap();
        assert_eq!(body, json!({"page": 1, "mark": "a\",\"admin\":\"1"}));
    }
}
