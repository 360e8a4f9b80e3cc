//! Servers of the eight departments. Each takes pushed tasks, keeps records that the centre may pull, and calls the
//! centre back. By default a person does the work (in the mobile page or the panel); a department on `auto` works by
//! itself. All lists are bounded: the oldest entries go and are counted.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    config::Secret,
    courier::{Courier, Full, Tally},
    seed::Dice,
};

/// Tasks that a department remembers.
const TASKS: usize = 500;
/// Records that a department keeps for pulling.
const RECORDS: usize = 1_000;

/// What a department does next with a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// 签收.
    Acknowledge,
    /// 出发.
    EnRoute,
    /// 到场.
    OnScene,
    /// 反馈.
    Feedback,
    /// 退回.
    Decline,
}

impl Step {
    /// The ordinary way of a task.
    pub const WAY: [Self; 4] = [Self::Acknowledge, Self::EnRoute, Self::OnScene, Self::Feedback];

    /// What people write with it.
    fn words(self) -> &'static str {
        match self {
            Self::Acknowledge => "已签收，马上安排",
            Self::EnRoute => "已出发",
            Self::OnScene => "已到场，正在处置",
            Self::Feedback => "已处置完毕，现场恢复正常",
            Self::Decline => "不属于本部门职责",
        }
    }
}

/// How a department's server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Answers.
    #[default]
    Up,
    /// Answers after twenty seconds.
    Slow,
    /// Answers 503.
    Down,
}

/// A task as a department keeps it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Received {
    /// The centre's id of the task, as it came.
    pub task: Value,
    /// The department's own number for it.
    pub external_number: String,
    /// When it came, ms.
    pub at: i64,
    /// The last step taken.
    pub step: Option<Step>,
    /// Taken back by the centre.
    pub recalled: bool,
    /// All that came.
    pub body: Value,
    #[serde(skip)]
    key: String,
}

#[derive(Debug, Default)]
struct State {
    auto: bool,
    condition: Condition,
    tasks: VecDeque<Received>,
    numbered: u64,
    forgotten: u64,
    records: VecDeque<Value>,
    record_at: i64,
}

/// One department.
#[derive(Debug)]
pub struct Department {
    /// Unit id.
    pub id: String,
    /// Initials in its numbers.
    initials: String,
    /// Its secret.
    pub secret: Secret,
    courier: Courier,
    state: Mutex<State>,
}

/// What the panel shows of a department.
#[derive(Debug, Clone, Serialize)]
pub struct View {
    /// Unit id.
    pub id: String,
    /// Works by itself.
    pub auto: bool,
    /// How its server is.
    pub condition: Condition,
    /// Tasks it remembers.
    pub tasks: usize,
    /// Tasks forgotten at the bound.
    pub forgotten: u64,
    /// Records it keeps.
    pub records: usize,
    /// Calls to the centre.
    pub calls: Tally,
}

/// What became of a push.
#[derive(Debug, Clone, PartialEq)]
pub enum Taken {
    /// New: number, and the task's id.
    New(String, Value),
    /// Had come before under the same key.
    Again(String),
    /// The centre took it back.
    Recalled(String),
}

/// Why a push or a step is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No id of a task in it.
    #[error("缺少任务编号 the task has no id")]
    NoTask,
    /// The key was used for another body.
    #[error("同一幂等键内容不同 the key was used for another body")]
    KeyReused,
    /// The task is not here.
    #[error("没有这项任务 no such task")]
    Unknown,
    /// The task is over or a step would go back.
    #[error("任务已结束或步骤倒退 the task is over or the step goes back")]
    Late,
    /// The queue to the centre is full.
    #[error("发往中心的队列已满 the queue to the centre is full")]
    Full,
}

impl Refusal {
    /// The HTTP status and a stable code.
    pub fn status(self) -> (StatusCode, &'static str) {
        match self {
            Self::NoTask => (StatusCode::UNPROCESSABLE_ENTITY, "task_missing"),
            Self::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "key_reused"),
            Self::Unknown => (StatusCode::NOT_FOUND, "task_unknown"),
            Self::Late => (StatusCode::CONFLICT, "task_over"),
            Self::Full => (StatusCode::SERVICE_UNAVAILABLE, "queue_full"),
        }
    }
}

impl From<Full> for Refusal {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

impl Department {
    /// A department that calls the centre by `courier`.
    pub fn new(id: &str, initials: &str, secret: Secret, courier: Courier, auto: bool) -> Self {
        let state = Mutex::new(State { auto, ..State::default() });
        Self { id: id.to_owned(), initials: initials.to_uppercase(), secret, courier, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works by itself from the next task on, or waits for a person.
    pub fn set_auto(&self, auto: bool) {
        self.state().auto = auto;
    }

    /// Whether it works by itself.
    pub fn auto(&self) -> bool {
        self.state().auto
    }

    /// How its server is from now on.
    pub fn set_condition(&self, condition: Condition) {
        self.state().condition = condition;
    }

    /// How its server is.
    pub fn condition(&self) -> Condition {
        self.state().condition
    }

    /// What the panel shows.
    pub fn view(&self) -> View {
        let state = self.state();
        View {
            id: self.id.clone(),
            auto: state.auto,
            condition: state.condition,
            tasks: state.tasks.len(),
            forgotten: state.forgotten,
            records: state.records.len(),
            calls: self.courier.tally(),
        }
    }

    /// The tasks it remembers, the newest first.
    pub fn tasks(&self) -> Vec<Received> {
        self.state().tasks.iter().rev().cloned().collect()
    }

    /// Takes a pushed task. A body `{"type":"recall","task":id}` takes one back.
    pub fn take(&self, key: &str, body: Value, at: i64) -> Result<Taken, Refusal> {
        let id = body.get("task").or_else(|| body.get("id")).filter(|v| v.is_u64() || v.is_string()).cloned();
        let id = id.ok_or(Refusal::NoTask)?;
        let mut state = self.state();
        if body.get("type").and_then(Value::as_str) == Some("recall") {
            let task = state.tasks.iter_mut().rev().find(|t| t.task == id).ok_or(Refusal::Unknown)?;
            task.recalled = true;
            return Ok(Taken::Recalled(task.external_number.clone()));
        }
        if let Some(known) = state.tasks.iter().find(|t| t.key == key) {
            let same = known.body == body;
            return if same { Ok(Taken::Again(known.external_number.clone())) } else { Err(Refusal::KeyReused) };
        }
        if state.tasks.len() >= TASKS {
            state.tasks.pop_front();
            state.forgotten += 1;
        }
        state.numbered += 1;
        let external_number = format!("{}-{}-{:05}", self.initials, at / 1_000, state.numbered);
        let number = external_number.clone();
        let task = id.clone();
        state.tasks.push_back(Received {
            task: id,
            external_number,
            at,
            step: None,
            recalled: false,
            body,
            key: key.to_owned(),
        });
        Ok(Taken::New(number, task))
    }

    /// Takes a step with a task and tells the centre.
    pub fn step(&self, task: &Value, step: Step, text: Option<&str>, at: i64, key: String) -> Result<(), Refusal> {
        let mut state = self.state();
        let found = state.tasks.iter_mut().rev().find(|t| &t.task == task).ok_or(Refusal::Unknown)?;
        let place = |s: Step| Step::WAY.iter().position(|w| *w == s);
        let over = matches!(found.step, Some(Step::Decline | Step::Feedback));
        let back = found.step.and_then(place).zip(place(step)).is_some_and(|(had, now)| now <= had);
        if found.recalled || over || back {
            return Err(Refusal::Late);
        }
        let body = json!({
            "type": "task_update",
            "task": task,
            "step": step,
            "at": at,
            "text": text.unwrap_or(step.words()),
            "external_number": found.external_number,
        });
        // Told first: a step that the queue refuses has not been taken.
        self.courier.send(key, &body)?;
        found.step = Some(step);
        Ok(())
    }

    /// Reports something to the centre.
    pub fn report(&self, class: &str, place_text: &str, text: &str, key: String) -> Result<(), Full> {
        let body = json!({"type": "report", "class": class, "place_text": place_text, "text": text});
        self.courier.send(key, &body)
    }

    /// Adds records (JSON objects) and pushes them. Each gets an `at` of its own, so that pulling by time misses none.
    pub fn record(&self, kind: &str, records: Vec<Value>, now: i64, key: String) -> Result<(), Full> {
        let mut state = self.state();
        let mut pushed = Vec::with_capacity(records.len());
        for mut record in records {
            state.record_at = now.max(state.record_at + 1);
            if let Some(fields) = record.as_object_mut() {
                fields.insert("id".into(), json!(format!("{}-{}", self.id, state.record_at)));
                fields.insert("kind".into(), json!(kind));
                fields.insert("at".into(), json!(state.record_at));
            }
            if state.records.len() >= RECORDS {
                state.records.pop_front();
            }
            state.records.push_back(record.clone());
            pushed.push(record);
        }
        drop(state);
        self.courier.send(key, &json!({"type": "records", "kind": kind, "records": pushed}))
    }

    /// The records later than `since` (ms), at most 200, and where to go on.
    pub fn records(&self, since: i64) -> Value {
        let state = self.state();
        let at = |r: &Value| r.get("at").and_then(Value::as_i64).unwrap_or(0);
        let found: Vec<_> = state.records.iter().filter(|r| at(r) > since).take(200).cloned().collect();
        let next = found.last().map_or(since, at);
        json!({"records": found, "next": next})
    }
}

/// When a department that works by itself takes each step, counted from the push.
pub fn schedule(dice: &mut Dice) -> [(Step, Duration); 4] {
    let mut at = 0.0;
    let spans = [(8.0, 25.0), (15.0, 40.0), (60.0, 150.0), (120.0, 300.0)];
    let mut spans = spans.into_iter();
    Step::WAY.map(|step| {
        let (low, high) = spans.next().unwrap_or((60.0, 61.0));
        at += dice.between(low, high);
        (step, Duration::from_secs_f64(at))
    })
}
