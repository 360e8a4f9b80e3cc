//! Sessions: a random token in a cookie, its hash in the store. Ends by logging out, by idleness, by age, or with the
//! account; sockets are told at once when it happens here, and look again every half minute for what happens elsewhere.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::http::{HeaderMap, HeaderValue, header};
use domain::{
    access::Audience,
    account::{Account, Role},
    ids::AccountId,
    input::Actor,
};
use ledger::{Session, Store};
use runtime::Clock;
use sha2::{Digest, Sha256};
use tokio::sync::broadcast;

use crate::{
    accounts::{HashError, MAX_PASSWORD, Verifier},
    config::Config,
    mirror::Mirror,
    problem::Problem,
};

/// Name of the cookie.
pub(crate) const COOKIE: &str = "mjw_session";
/// Failures that lock an account …
const FAILURES: u32 = 5;
/// … for this long, ms.
const LOCK_MS: i64 = 5 * 60_000;
/// A use is noted when the last one is older, ms.
const TOUCH_MS: i64 = 60_000;
/// Unknown names whose failures are counted, so that they look like known ones.
const STRANGERS: usize = 1_024;
const DAY_MS: i64 = 86_400_000;

/// Hash of a token.
pub(crate) type TokenHash = [u8; 32];

/// Who asks, with a session that is good now.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) token: TokenHash,
    pub(crate) account: Account,
    pub(crate) actor: Actor,
    pub(crate) audience: Audience,
}

impl Caller {
    /// Scope of its idempotency keys.
    pub(crate) fn scope(&self) -> String {
        format!("account/{}", self.account.id)
    }
}

/// What ended.
#[derive(Clone, Debug)]
pub(crate) enum Ended {
    Token(TokenHash),
    Account(AccountId),
}

/// The service.
pub(crate) struct Sessions {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    mirror: Arc<Mirror>,
    verifier: Verifier,
    secure: bool,
    idle_ms: i64,
    age_ms: i64,
    strangers: Mutex<HashMap<String, (u32, i64)>>,
    ended: broadcast::Sender<Ended>,
}

impl Sessions {
    /// Blocks for the length of one password hash.
    pub(crate) fn new(
        config: &Config,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        mirror: Arc<Mirror>,
    ) -> Result<Self, HashError> {
        Ok(Self::with(Verifier::new()?, config, store, clock, mirror))
    }

    /// With a verifier that is there already.
    pub(crate) fn with(
        verifier: Verifier,
        config: &Config,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        mirror: Arc<Mirror>,
    ) -> Self {
        Self {
            store,
            clock,
            mirror,
            verifier,
            secure: config.tls,
            idle_ms: i64::from(config.idle_hours) * 3_600_000,
            age_ms: i64::from(config.session_days) * DAY_MS,
            strangers: Mutex::new(HashMap::new()),
            ended: broadcast::Sender::new(256),
        }
    }

    /// Tells what ends here from now on.
    pub(crate) fn endings(&self) -> broadcast::Receiver<Ended> {
        self.ended.subscribe()
    }

    /// Checks name and password; the session's cookie.
    pub(crate) async fn log_in(&self, name: &str, password: String) -> Result<(Caller, HeaderValue), Problem> {
        if name.is_empty() || name.len() > 64 || password.len() > MAX_PASSWORD {
            return Err(Problem::bad_login());
        }
        if !self.mirror.loaded() {
            return Err(Problem::starting().retry_after(1));
        }
        let turn = self.verifier.turn().await?;
        // Read within the turn, so that parallel attempts are counted one after the other.
        let now = self.clock.now_ms();
        let credential = self.store.credential(name).await?;
        let locked_until = credential.as_ref().map_or_else(|| self.stranger_lock(name), |c| c.locked_until_ms);
        // Further ahead than a lock can be: it was set by a clock that was ahead, and is over.
        if (now + 1..=now + LOCK_MS).contains(&locked_until) {
            let seconds = u64::try_from((locked_until - now) / 1_000 + 1).unwrap_or(1);
            return Err(Problem::locked().retry_after(seconds));
        }
        let account = self.mirror.account(&AccountId::new(name)).filter(|a| a.active);
        let known = credential.is_some();
        let hash = credential.as_ref().filter(|_| account.is_some()).map(|c| c.password_hash.clone());
        let right = turn.check(hash, password).await;
        let Some(account) = account.filter(|_| right) else {
            self.count_failure(name, known, now).await?;
            return Err(Problem::bad_login());
        };
        if credential.is_some_and(|c| c.failed > 0) {
            self.store.clear_failures(name).await?;
        }
        self.start(account, now).await
    }

    async fn start(&self, account: Account, now: i64) -> Result<(Caller, HeaderValue), Problem> {
        let token = hex::encode(rand::random::<[u8; 32]>());
        let age_ms = if account.role == Role::WallDisplay { 3_650 * DAY_MS } else { self.age_ms };
        let session = Session {
            token_hash: hash(&token),
            account: account.id.to_string(),
            created_ms: now,
            last_seen_ms: now,
            expires_ms: now.saturating_add(age_ms),
        };
        self.store.put_session(&session).await?;
        let cookie = self.cookie(&token, age_ms / 1_000)?;
        Ok((caller(account, session.token_hash)?, cookie))
    }

    async fn count_failure(&self, name: &str, known: bool, now: i64) -> Result<(), Problem> {
        if known {
            let failures = self.store.add_failure(name).await?;
            if failures > 0 && failures.is_multiple_of(FAILURES) {
                self.store.lock_account(name, now + LOCK_MS).await?;
                tracing::warn!(account = name, "account locked after failed logins");
            }
            return Ok(());
        }
        let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        if strangers.len() >= STRANGERS && !strangers.contains_key(name) {
            strangers.clear();
        }
        let entry = strangers.entry(name.to_owned()).or_default();
        entry.0 = entry.0.saturating_add(1);
        if entry.0.is_multiple_of(FAILURES) {
            entry.1 = now + LOCK_MS;
        }
        Ok(())
    }

    fn stranger_lock(&self, name: &str) -> i64 {
        let strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        strangers.get(name).map_or(0, |(_, until)| *until)
    }

    /// Ends a session; the cookie that forgets it.
    pub(crate) async fn log_out(&self, token: &TokenHash) -> Result<HeaderValue, Problem> {
        self.store.end_session(token).await?;
        let _ = self.ended.send(Ended::Token(*token));
        self.cookie("", 0)
    }

    /// Tells the sockets of an account that its rights changed.
    pub(crate) fn account_changed(&self, account: AccountId) {
        let _ = self.ended.send(Ended::Account(account));
    }

    /// Who asks, by the cookie. Notes the use.
    pub(crate) async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let token = token_of(headers).ok_or(Problem::no_session())?;
        let token = hash(token);
        let (caller, session) = self.live(&token).await?;
        let now = self.clock.now_ms();
        if now - session.last_seen_ms > TOUCH_MS {
            // A full disk must not close the wall: what is only read needs no note of the use.
            if let Err(error) = self.store.touch_session(&token, now).await {
                tracing::warn!(code = error.code(), "the use of a session was not noted");
            }
        }
        Ok(caller)
    }

    /// The caller with the rights of its account as they are now; `None` when it has none any more.
    pub(crate) fn rights(&self, known: &Caller) -> Option<Caller> {
        let account = self.mirror.account(&known.account.id).filter(|a| a.active)?;
        caller(account, known.token).ok()
    }

    /// Whether a session is still good, without using it; for sockets.
    pub(crate) async fn check(&self, token: &TokenHash) -> Result<Caller, Problem> {
        Ok(self.live(token).await?.0)
    }

    async fn live(&self, token: &TokenHash) -> Result<(Caller, Session), Problem> {
        let session = self.store.session(token).await?.ok_or(Problem::no_session())?;
        if !self.mirror.loaded() {
            return Err(Problem::starting().retry_after(1));
        }
        let account = self.mirror.account(&AccountId::new(&session.account)).filter(|a| a.active);
        let account = account.ok_or(Problem::no_session())?;
        let now = self.clock.now_ms();
        let idle = account.role != Role::WallDisplay && now - session.last_seen_ms > self.idle_ms;
        if idle || now >= session.expires_ms {
            return Err(Problem::no_session());
        }
        Ok((caller(account, *token)?, session))
    }

    fn cookie(&self, token: &str, seconds: i64) -> Result<HeaderValue, Problem> {
        let secure = if self.secure { "; Secure" } else { "" };
        let text = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
        let mut value = HeaderValue::try_from(text).map_err(|_| Problem::fault())?;
        value.set_sensitive(true);
        Ok(value)
    }
}

fn caller(account: Account, token: TokenHash) -> Result<Caller, Problem> {
    let actor = Actor::Account {
        id: account.id.clone(),
        role: account.role,
        unit: account.unit.clone(),
        grid: account.grid.clone(),
    };
    let audience = Audience::of(&actor)?;
    Ok(Caller { token, account, actor, audience })
}

fn hash(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

fn token_of(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value).filter(|v| v.len() == 64)
}
