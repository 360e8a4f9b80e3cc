//! The running site: carries plans out at their time, lets departments work and ordinary life go on. One task does
//! everything that is due, in order; nothing here blocks.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use domain::site::{Site, UnitKind};
use runtime::{Clock, Criticality, Tasks, tasks::Stage};
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    agenda::Agenda,
    config::Config,
    courier::courier,
    departments::{self, Condition, Department, Step, Taken},
    faults::CameraFaults,
    field::{Field, Order, Setup},
    happenings::{Deed, Kind, Needs, Plan, Refusal, Request, plan},
    phones::Phones,
    records,
    seed::Dice,
};

/// Happenings that may be under way at once.
const ACTIVE: usize = 64;

/// Something that waits on the agenda.
#[derive(Debug)]
pub(crate) enum Action {
    /// A deed of a happening.
    Deed(u64, Deed),
    /// A happening is over.
    End(u64),
    /// A department takes a step.
    Step(String, Value, Step),
    /// A department pushes records.
    Records(String),
    /// Something of ordinary life.
    Ordinary,
}

/// A happening under way.
#[derive(Debug, Clone, Serialize)]
pub struct Active {
    /// Counted from 1.
    pub id: u64,
    /// Kind.
    pub kind: &'static str,
    /// Chinese.
    pub zh: &'static str,
    /// English.
    pub en: &'static str,
    /// Where.
    pub place: String,
    /// Since, ms.
    pub since: i64,
    /// How long it lasts, seconds; 0 = over as soon as its last deed is done.
    pub lasts_s: u64,
    #[serde(skip)]
    undo: Vec<Deed>,
}

/// The running site.
pub struct World {
    /// The site.
    pub site: Arc<Site>,
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) departments: BTreeMap<String, Department>,
    pub(crate) phones: Phones,
    pub(crate) field: Field,
    cameras: Arc<dyn CameraFaults>,
    agenda: Agenda<Action>,
    active: Mutex<VecDeque<Active>>,
    dice: Mutex<Dice>,
    born: i64,
    counted: AtomicU64,
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// Builds the site and starts its sensors and couriers.
    pub(crate) fn start(
        config: Config,
        site: Arc<Site>,
        cameras: Arc<dyn CameraFaults>,
        clock: Arc<dyn Clock>,
        client: &reqwest::Client,
        tasks: &Tasks,
    ) -> Arc<Self> {
        let stop = tasks.stop(Stage::Sources);
        let carry = |name: &str, url: String, secret: &crate::config::Secret| {
            let (courier, round) = courier(client.clone(), url, secret.clone(), clock.clone());
            tasks.spawn(format!("courier {name}"), Stage::Sources, Criticality::Ordinary, round.run(stop.clone()));
            courier
        };
        let departments = site
            .units
            .iter()
            .filter(|u| u.kind == UnitKind::Department)
            .filter_map(|u| {
                let id = u.id.as_str();
                let secret = config.departments.get(id)?;
                let courier = carry(id, format!("{}/api/v1/exchange/{id}/inbound", config.centre), secret);
                let auto = config.auto.iter().any(|a| a == id);
                Some((id.to_owned(), Department::new(id, &u.initials, secret.clone(), courier, auto)))
            })
            .collect();
        let sms = carry("sms", format!("{}/api/v1/exchange/sms/inbound", config.centre), &config.sms_secret);
        let setup = Setup {
            site: &site,
            seed: config.seed,
            broker: config.broker.as_ref(),
            every: Duration::from_secs_f64(config.reading_seconds),
            clock: clock.clone(),
        };
        let field = Field::start(&setup, tasks);
        let world = Arc::new(Self {
            phones: Phones::new(config.sms_secret.clone(), &config.sms_number, sms),
            dice: Mutex::new(Dice::new(config.seed, "happenings")),
            born: clock.now_ms(),
            counted: AtomicU64::new(0),
            agenda: Agenda::default(),
            active: Mutex::default(),
            site,
            config,
            clock,
            departments,
            field,
            cameras,
        });
        world.begin();
        tasks.spawn("agenda", Stage::Sources, Criticality::Critical, world.clone().run(stop));
        world
    }

    /// Life that goes on by itself.
    fn begin(&self) {
        if self.config.records_minutes > 0.0 {
            for id in self.departments.keys() {
                self.later(self.span(self.config.records_minutes * 60.0), Action::Records(id.clone()));
            }
        }
        if self.config.ordinary_minutes > 0.0 {
            self.later(self.span(self.config.ordinary_minutes * 60.0), Action::Ordinary);
        }
    }

    async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let action = tokio::select! {
                () = stop.cancelled() => return,
                action = self.agenda.next() => action,
            };
            self.act(action).await;
        }
    }

    /// A key that no other call of any run has.
    pub(crate) fn key(&self) -> String {
        format!("sim-{}-{}", self.born, self.counted.fetch_add(1, Relaxed))
    }

    fn now(&self) -> i64 {
        self.clock.now_ms()
    }

    /// A random span around a mean, never more than four times as long.
    fn span(&self, mean_s: f64) -> Duration {
        let u = guard(&self.dice).between(0.02, 1.0);
        Duration::from_secs_f64(mean_s * self.config.pace * -u.ln())
    }

    fn later(&self, delay: Duration, action: Action) {
        if let Err(error) = self.agenda.after(delay, action) {
            tracing::warn!(%error, "something that should have happened will not");
        }
    }

    async fn act(&self, action: Action) {
        match action {
            Action::Deed(_, deed) => self.do_deed(deed).await,
            Action::End(id) => self.end(id).await,
            Action::Step(department, task, step) => {
                let Some(department) = self.departments.get(&department) else { return };
                // A person may have been quicker, or the centre took the task back: then there is nothing to do.
                if let Err(error) = department.step(&task, step, None, self.now(), self.key()) {
                    tracing::debug!(department = %department.id, %error, "a step was not taken");
                }
            }
            Action::Records(id) => self.push_records(&id),
            Action::Ordinary => self.ordinary(),
        }
    }

    async fn do_deed(&self, deed: Deed) {
        let now = self.now();
        let trouble = match deed {
            Deed::Force(sensor, value) => self.order(&sensor.clone(), Order::Force(sensor, value)),
            Deed::Release(sensor) => self.order(&sensor.clone(), Order::Release(sensor)),
            Deed::Fire(camera, burning) => told(self.cameras.set_fire(&camera, burning).await),
            Deed::Camera(camera, fault) => told(self.cameras.set_fault(&camera, fault).await),
            Deed::Cameras(fault) => told(self.cameras.set_all(fault).await),
            Deed::Text { from, text } => told(self.phones.write(&from, &text, now, self.key())),
            Deed::Report { department, class, place, text } => {
                self.departments.get(&department).and_then(|d| told(d.report(class, &place, text, self.key())))
            }
            Deed::Condition(department, condition) => {
                if let Some(department) = self.departments.get(&department) {
                    department.set_condition(condition);
                }
                None
            }
            Deed::Outage(pause) => {
                self.field.cut(None, pause);
                None
            }
            Deed::Empty(flat) => self.record("housing", "occupancy", records::occupancy(&flat, true)),
            Deed::Usage(flat, kwh) => self.record("energy", "electricity", records::electricity(&flat, kwh)),
        };
        if let Some(trouble) = trouble {
            tracing::debug!(%trouble, "part of a happening did not take place");
        }
    }

    fn order(&self, sensor: &domain::ids::SensorId, order: Order) -> Option<String> {
        (!self.field.order(sensor, order)).then(|| format!("{sensor}: no running gateway"))
    }

    fn record(&self, department: &str, kind: &str, row: Value) -> Option<String> {
        let department = self.departments.get(department)?;
        told(department.record(kind, vec![row], self.now(), self.key()))
    }

    fn push_records(&self, id: &str) {
        let rows = records::batch(&self.site, self.config.seed, id, &mut guard(&self.dice));
        if let (Some(department), Some((kind, rows))) = (self.departments.get(id), rows)
            && let Err(error) = department.record(kind, rows, self.now(), self.key())
        {
            tracing::debug!(department = id, %error, "records were not pushed");
        }
        self.later(self.span(self.config.records_minutes * 60.0), Action::Records(id.to_owned()));
    }

    /// One small thing of ordinary life, somewhere.
    fn ordinary(&self) {
        const LIFE: [Kind; 10] = [
            Kind::Noise,
            Kind::Noise,
            Kind::FalseSmoke,
            Kind::FireLane,
            Kind::Ebike,
            Kind::Manhole,
            Kind::LiftFault,
            Kind::Report,
            Kind::Report,
            Kind::EmptyFlat,
        ];
        let request = {
            let mut dice = guard(&self.dice);
            let kind = dice.pick(&LIFE).copied().unwrap_or(Kind::Noise);
            let building = dice.pick(&self.site.buildings).map(|b| b.number);
            let ids: Vec<_> = self.departments.keys().cloned().collect();
            let department = (kind.needs() == Needs::Department).then(|| dice.pick(&ids).cloned()).flatten();
            Request { kind: kind.id().to_owned(), building, department, minutes: Some(3.0), camera: None }
        };
        if let Err(error) = self.happen(&request) {
            tracing::debug!(%error, "ordinary life paused");
        }
        self.later(self.span(self.config.ordinary_minutes * 60.0), Action::Ordinary);
    }

    /// Makes something happen.
    pub fn happen(&self, request: &Request) -> Result<Active, Refusal> {
        let plan = plan(&self.site, self.config.seed, &mut guard(&self.dice), request, self.config.pace)?;
        let on_cameras = |d: &Deed| matches!(d, Deed::Camera(..) | Deed::Cameras(_));
        if !self.cameras.available() && plan.deeds.iter().any(|(_, d)| on_cameras(d)) {
            return Err(Refusal::NoCameras);
        }
        self.stage(plan)
    }

    fn stage(&self, plan: Plan) -> Result<Active, Refusal> {
        let mut list = guard(&self.active);
        if list.len() >= ACTIVE {
            return Err(Refusal::Busy);
        }
        let last = plan.deeds.iter().map(|(at, _)| *at).max().unwrap_or_default();
        let end = plan.lasts.map_or(last, |lasts| lasts.max(last));
        let active = Active {
            id: self.counted.fetch_add(1, Relaxed) + 1,
            kind: plan.kind.id(),
            zh: plan.kind.zh(),
            en: plan.kind.en(),
            place: plan.place.clone(),
            since: self.now(),
            lasts_s: plan.lasts.map_or(0, |l| l.as_secs()),
            undo: plan.undo(),
        };
        let id = active.id;
        let deeds = plan.deeds.into_iter().map(|(delay, deed)| (delay, Action::Deed(id, deed)));
        for (delay, action) in deeds.chain([(end, Action::End(id))]) {
            if self.agenda.after(delay, action).is_err() {
                // All or nothing: half a fire would be a riddle.
                self.agenda.remove(|a| matches!(a, Action::Deed(of, _) if *of == id));
                return Err(Refusal::Busy);
            }
        }
        list.push_back(active.clone());
        Ok(active)
    }

    /// Ends a happening; what another one under way still holds stays as it is.
    async fn end(&self, id: u64) {
        let undo = {
            let mut list = guard(&self.active);
            let Some(at) = list.iter().position(|a| a.id == id) else { return };
            let Some(over) = list.remove(at) else { return };
            let held = |deed: &Deed| list.iter().any(|a| a.undo.contains(deed));
            over.undo.into_iter().filter(|d| !held(d)).collect::<Vec<_>>()
        };
        for deed in undo {
            self.do_deed(deed).await;
        }
    }

    /// What happens now.
    pub fn active(&self) -> Vec<Active> {
        guard(&self.active).iter().cloned().collect()
    }

    /// Ends everything that was made to happen, faults included.
    pub async fn clear(&self) {
        self.agenda.remove(|a| matches!(a, Action::Deed(..) | Action::End(_)));
        let undo: Vec<_> = guard(&self.active).drain(..).flat_map(|a| a.undo).collect();
        for deed in undo {
            self.do_deed(deed).await;
        }
        if !self.field.release_all() && self.config.broker.is_some() {
            tracing::warn!("a gateway is too far behind to be told that all is over");
        }
        self.field.mend();
        for department in self.departments.values() {
            department.set_condition(Condition::Up);
        }
        if self.cameras.available()
            && let Err(error) = self.cameras.set_all(None).await
        {
            tracing::warn!(%error, "cameras keep their faults");
        }
    }

    /// A department takes a task; on `auto` it begins to work on it.
    pub(crate) fn take(&self, department: &Department, key: &str, body: Value) -> Result<Taken, departments::Refusal> {
        let taken = department.take(key, body, self.now())?;
        if let (Taken::New(_, task), true) = (&taken, department.auto()) {
            let steps = departments::schedule(&mut guard(&self.dice));
            for (step, delay) in steps {
                self.later(delay.mul_f64(self.config.pace), Action::Step(department.id.clone(), task.clone(), step));
            }
        }
        Ok(taken)
    }

    /// Actions that wait.
    pub fn waiting(&self) -> usize {
        self.agenda.waiting()
    }
}

fn told<E: std::fmt::Display>(outcome: Result<(), E>) -> Option<String> {
    outcome.err().map(|e| e.to_string())
}
