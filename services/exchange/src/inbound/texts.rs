//! Texts of residents: each is durable before it is answered, the same one twice is one, and parts become whole.

use axum::Json;
use domain::{
    event::Mode,
    gazetteer,
    input::{Input, Observation},
    site::Level,
    text,
};
use link::intake::{Done, Submission};

use super::{
    Answer,
    message::{Message, Report},
    told,
};
use crate::{Shared, guard, parts::Group, problem::Problem};

/// Takes a text or a part of one.
pub(super) async fn take(shared: &Shared, message: Message) -> Answer {
    let now = shared.clock.now_ms();
    // The same id with another text is another message, and the same text under another id is the same.
    let hash = (shared.hash)(&format!("sms/{}/{}", message.from, message.text));
    let short = end(&hash);
    let Some(part) = message.part else {
        if let Some(done) = guard(&shared.recent).known(&hash, now) {
            return Ok(Json(told(&Done { replayed: true, ..done })));
        }
        // Without an id the minute tells one writing from the next.
        let id = match message.id.len() {
            0 => format!("at-{}", now.div_euclid(60_000)),
            1..=64 => message.id,
            _ => end(&(shared.hash)(&message.id)),
        };
        let done = whole(shared, format!("{id}/{short}"), &message.from, message.text).await?;
        if !done.replayed {
            guard(&shared.recent).remember(hash, done.clone(), now);
        }
        return Ok(Json(told(&done)));
    };
    let joined = guard(&shared.parts).take(&message.from, part, &message.text, now);
    let key = format!("part/{}/{}/{}/{short}", part.reference, part.total, part.number);
    let done = if urgent(shared, &message.text) {
        whole(shared, key, &message.from, message.text).await?
    } else {
        // It waits for the others, in the inbox.
        let words = text::MAX_TEXT.saturating_sub(16);
        let text: String = message.text.chars().take(words).collect();
        let text = format!("（第{}/{}条）{text}", part.number, part.total);
        let observation = Observation::MessageIn { from: message.from.clone(), person: None, text, place: None };
        let input = Input::Observe { mode: Mode::Real, observation };
        shared.intake.submit(Submission::keyed("sms", key, hash.into_bytes(), input)).await?
    };
    match joined {
        Some(text) => {
            let group = (message.from, part.reference, part.total);
            Ok(Json(told(&together(shared, &group, text).await?)))
        }
        None => Ok(Json(told(&done))),
    }
}

/// A text whose parts are all there, or will not come.
pub(crate) async fn together(shared: &Shared, group: &Group, text: String) -> Result<Done, Problem> {
    let text = super::message::clean(&text);
    let hash = (shared.hash)(&format!("sms/{}/{text}", group.0));
    let short = end(&hash);
    whole(shared, format!("whole/{}/{}/{short}", group.1, group.2), &group.0, text).await
}

/// Enough of a hash for a key.
fn end(hash: &str) -> String {
    let more = hash.chars().count().saturating_sub(24);
    hash.chars().skip(more).collect()
}

async fn whole(shared: &Shared, key: String, from: &str, text: String) -> Result<Done, Problem> {
    let national = text::national_number(from);
    // Senders without a number are not one person.
    let who = national.as_deref().unwrap_or(if from.is_empty() { &key } else { from });
    let person = Some((shared.hash)(&format!("person/{who}")));
    let from = if from.is_empty() { "未知号码".to_owned() } else { from.to_owned() };
    let request = format!("{from}\n{text}").into_bytes();
    let place = gazetteer::locate(&shared.site, &text);
    let observation = Observation::MessageIn { from, person, text, place };
    let input = Input::Observe { mode: Mode::Real, observation };
    let done = shared.intake.submit(Submission::keyed("sms", key, request, input)).await?;
    if let (Some(id), false) = (done.refs.message, done.replayed)
        && shared.messages.try_send(id).is_err()
    {
        tracing::warn!(message.id = id.0, "the message patrol is behind; a message is no finding of it");
    }
    Ok(done)
}

fn urgent(shared: &Shared, text: &str) -> bool {
    let class = shared.site.kind_of_words(text).and_then(|k| shared.site.class(&k.class));
    class.is_some_and(|c| c.level == Level::Red)
}

/// What became of a message of ours: the worst of its parts counts, so only a failure is news.
pub(super) async fn reported(shared: &Shared, report: Report) -> Answer {
    if report.failed {
        let observation = Observation::MessageSent { message: domain::ids::MessageId(report.message), ok: false };
        let input = Input::Observe { mode: Mode::Real, observation };
        let key = format!("report/{}", report.message);
        shared.intake.submit(Submission::keyed("sms", key, Vec::new(), input)).await?;
    }
    Ok(Json(serde_json::json!({"ok": true})))
}
