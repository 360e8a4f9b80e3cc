//! What deliveries say, read at the moment of sending: the task and the message as they are now, with opened values.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use domain::{
    State,
    access::Sight,
    event::Key,
    ids::{IncidentId, MessageId, TaskId, VaultId},
    site::Site,
};
use exchange::ports::{Content, ContentError, Due, MessageContent, TaskContent};
use ledger::{Opened, Store};
use wire::{
    feed,
    view::{Shown, Texts},
};

/// Reads from the ledger.
pub(crate) struct Reads {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) site: Arc<Site>,
}

struct Values(HashMap<VaultId, Shown>);

impl Texts for Values {
    fn text(&self, id: VaultId) -> Option<Shown> {
        self.0.get(&id).cloned()
    }
}

fn failed(error: impl std::fmt::Display) -> ContentError {
    ContentError(error.to_string())
}

impl Reads {
    /// A state with nothing but the site and one document.
    async fn state(&self, key: &Key) -> Result<Option<State>, ContentError> {
        let (kind, id) = key.parts();
        let Some(row) = self.store.document(kind, &id).await.map_err(failed)? else { return Ok(None) };
        let mut state = State { site: Some(self.site.clone()), ..State::default() };
        wire::document::load(&mut state, kind, &id, &row.payload).map_err(failed)?;
        Ok(Some(state))
    }

    async fn values(&self, ids: &[VaultId]) -> Result<Values, ContentError> {
        let ids: Vec<u64> = ids.iter().map(|id| id.0).collect();
        let opened = self.store.open(&ids).await.map_err(failed)?;
        let shown = opened.into_iter().filter_map(|(id, opened)| {
            let shown = match opened {
                Opened::Value { full, masked } => {
                    Shown { full: Some(full.text()), masked: masked.text(), erased: false }
                }
                Opened::Erased => Shown { full: None, masked: String::new(), erased: true },
                Opened::Missing => return None,
            };
            Some((VaultId(id), shown))
        });
        Ok(Values(shown.collect()))
    }
}

#[async_trait]
impl Content for Reads {
    async fn task(&self, incident: IncidentId, task: TaskId) -> Result<Option<TaskContent>, ContentError> {
        let key = Key::Incident(incident);
        let Some(state) = self.state(&key).await? else { return Ok(None) };
        let values = self.values(&wire::view::refs_of_state(&state, &key)).await?;
        let view = wire::view::state(&state, &key, 0, Sight::Text, &values);
        let Some(found) = state.incidents.get(&incident).filter(|i| i.open()) else { return Ok(None) };
        let Some(at) = found.task(task).filter(|t| t.state.live()) else { return Ok(None) };
        let Some(feed::state::Kind::Incident(view)) = view.kind else { return Ok(None) };
        let text = view.tasks.iter().find(|t| t.id == task.0).and_then(|t| t.text.as_ref());
        let text = text.or(view.text.as_ref()).map(|t| t.value.clone()).filter(|t| !t.is_empty());
        Ok(Some(TaskContent {
            code: found.code.clone(),
            mode: found.mode,
            class: found.class.to_string(),
            class_name: self.site.class(&found.class).map_or_else(String::new, |c| c.name.zh.clone()),
            level: found.level,
            place: view.place.map_or_else(String::new, |p| p.label_zh),
            point: found.place.point,
            lead: at.terms.lead,
            taken: at.times.acknowledged.is_some(),
            text,
            due: Due {
                acknowledge: Some((at.times.pushed + at.terms.acknowledge).0),
                arrive: Some((at.times.pushed + at.terms.acknowledge + at.terms.arrive).0),
                handle: Some((at.times.pushed + at.terms.handle).0),
            },
            at: at.times.pushed.0,
        }))
    }

    async fn message(&self, message: MessageId) -> Result<Option<MessageContent>, ContentError> {
        let Some(state) = self.state(&Key::Message(message)).await? else { return Ok(None) };
        let Some(found) = state.messages.get(&message) else { return Ok(None) };
        let (phone, text) = (found.phone, found.text);
        let values = self.values(&[phone, text]).await?;
        let full = |id| values.text(id).and_then(|s| s.full);
        Ok(full(phone).zip(full(text)).map(|(to, text)| MessageContent { to, text }))
    }
}
