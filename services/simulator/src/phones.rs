//! The phone network: residents send to the centre's number, the centre sends by the gateway. The last 500 messages
//! are kept; older ones go.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use serde::Serialize;
use serde_json::json;

use crate::{
    config::Secret,
    courier::{Courier, Full, Tally},
};

/// Messages kept.
const KEPT: usize = 500;

/// A message in the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Id in the network.
    pub id: String,
    /// Sent by the centre, not to it.
    pub outgoing: bool,
    /// Sender.
    pub from: String,
    /// Receiver.
    pub to: String,
    /// Text.
    pub text: String,
    /// When, ms.
    pub at: i64,
}

/// The key was used for another message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("同一幂等键内容不同 the key was used for another message")]
pub struct KeyReused;

#[derive(Debug, Default)]
struct Log {
    messages: VecDeque<(String, Message)>,
    numbered: u64,
}

/// The network.
#[derive(Debug)]
pub struct Phones {
    /// Secret of the gateway.
    pub secret: Secret,
    centre: String,
    courier: Courier,
    log: Mutex<Log>,
}

impl Phones {
    /// A network in which `centre` is the centre's number.
    pub fn new(secret: Secret, centre: &str, courier: Courier) -> Self {
        Self { secret, centre: centre.to_owned(), courier, log: Mutex::default() }
    }

    fn keep(&self, key: &str, outgoing: bool, from: &str, to: &str, text: &str, at: i64) -> Result<Message, KeyReused> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = log.messages.iter().find(|(k, _)| k == key) {
            return if known.to == to && known.text == text { Ok(known.clone()) } else { Err(KeyReused) };
        }
        if log.messages.len() >= KEPT {
            log.messages.pop_front();
        }
        log.numbered += 1;
        let id = format!("sms-{at}-{}", log.numbered);
        let [from, to, text] = [from, to, text].map(str::to_owned);
        let message = Message { id, outgoing, from, to, text, at };
        log.messages.push_back((key.to_owned(), message.clone()));
        Ok(message)
    }

    /// The centre sends; the same key sends once.
    pub fn send(&self, key: &str, to: &str, text: &str, at: i64) -> Result<Message, KeyReused> {
        self.keep(key, true, &self.centre, to, text, at)
    }

    /// A resident writes to the centre.
    pub fn write(&self, from: &str, text: &str, at: i64, key: String) -> Result<(), Full> {
        // Keys of residents' messages are the simulator's own and never repeat.
        let Ok(message) = self.keep(&key, false, from, &self.centre, text, at) else { return Ok(()) };
        let body = json!({"id": message.id, "from": from, "to": self.centre, "text": text, "at": at});
        self.courier.send(key, &body)
    }

    /// The messages kept, the newest first.
    pub fn messages(&self) -> Vec<Message> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.messages.iter().rev().map(|(_, m)| m.clone()).collect()
    }

    /// Calls to the centre.
    pub fn tally(&self) -> Tally {
        self.courier.tally()
    }
}
