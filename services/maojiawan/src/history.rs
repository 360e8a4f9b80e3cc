//! The demo's last week: ended incidents, so that lists, reports and replays have something to show. All of it goes the
//! ordinary way, through the writer and the core, on a clock that is set to the moments of that week; nothing of it leaves
//! the centre. Every text begins with [`MARK`], and the account that acts is named so.
//!
//! It is written into an empty log only, before the centre starts.

use std::{collections::BinaryHeap, sync::Arc, time::Duration};

use anyhow::Context as _;
use dispatch::{Writer, WriterOptions};
use domain::{
    account::{Account, Role},
    alarm::Verdict,
    event::Mode,
    ids::{AlarmId, AlarmKindId, ClassId, IncidentId, TaskId, UnitId, VaultId},
    incident::Channel,
    input::{Actor, Command, Input, Observation, Outgoing, PushTarget},
    site::{Class, Level, Place, Precision, Sensor, SensorKind, Site},
    task::{FeedbackResult, Receipt},
    time::Timestamp,
};
use ledger::{LocalBus, Store, limits};
use link::intake::{Intake as _, IntakeError, Submission};
use runtime::{ManualClock, Tasks};
use simulator::seed::Dice;

/// First words of every text.
pub(crate) const MARK: &str = "演示生成：";
/// The account that acts; nobody can log in with it.
const ACCOUNT: &str = "demo-history";
/// Its name on screens.
const NAME: &str = "演示生成";
/// Incidents of the week.
const CASES: usize = 60;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const WEEK: i64 = 7 * 24 * HOUR;
/// The last incident begins so long before the start, and has ended by then.
const BEFORE: i64 = 12 * HOUR;

/// A sensor's kind, the alarm that it raises.
const SENSED: [(SensorKind, &str); 8] = [
    (SensorKind::Smoke, "smoke"),
    (SensorKind::Lift, "lift_fault"),
    (SensorKind::ElectricalFire, "electrical_fire"),
    (SensorKind::HydrantPressure, "hydrant_pressure"),
    (SensorKind::Manhole, "manhole"),
    (SensorKind::WaterLevel, "water_level"),
    (SensorKind::FireLane, "fire_lane"),
    (SensorKind::EbikeCharging, "ebike_charging"),
];

/// A class, how it came, what was said.
const SAID: [(&str, Channel, &str); 12] = [
    ("noise", Channel::Call, "楼上深夜施工，老人无法休息"),
    ("dispute", Channel::Visit, "邻里因公共区域堆物发生争执"),
    ("garbage", Channel::Grid, "垃圾桶满溢，影响通行"),
    ("street_light", Channel::Call, "楼前路灯不亮，夜间出行不便"),
    ("water_burst", Channel::Call, "楼道水管渗水，已流到楼下"),
    ("power", Channel::Call, "整单元停电"),
    ("fire_lane", Channel::Video, "消防通道停有车辆"),
    ("clutter", Channel::Grid, "楼道堆放杂物"),
    ("vending", Channel::Forwarded, "门口占道摆摊"),
    ("school", Channel::Video, "放学时段校门口拥堵"),
    ("lift_fault", Channel::Call, "电梯门反复开合"),
    ("enquiry", Channel::Visit, "咨询医保办理"),
];

/// Writes the week into an empty log; how many incidents.
///
/// # Errors
/// The log cannot be written, or the core refuses a step, which is a fault of this module.
pub(crate) async fn write(store: &Arc<dyn Store>, site: &Arc<Site>, seed: u64, now_ms: i64) -> anyhow::Result<usize> {
    if store.head().await?.seq != 0 {
        return Ok(0);
    }
    let clock = ManualClock::at(now_ms - WEEK);
    let tasks = Tasks::default();
    // Time passes by the steps below only.
    let options = WriterOptions { tick: Duration::from_secs(86_400), ..WriterOptions::default() };
    let bus = Arc::new(LocalBus::new(16));
    let writer = dispatch::start(site.id.clone(), store.clone(), bus, Arc::new(clock.clone()), options, &tasks);
    let mut week = Week { store, site, clock, writer, now: now_ms - WEEK };
    let written = week.write(&mut Dice::new(seed, "history")).await;
    // The log has one writer: this one is over before the centre's own begins.
    tasks.drain(Duration::from_secs(5)).await;
    written.context("演示历史无法写入 the demo's history cannot be written")
}

struct Week<'a> {
    store: &'a Arc<dyn Store>,
    site: &'a Arc<Site>,
    clock: ManualClock,
    writer: Writer,
    now: i64,
}

/// One incident: where it is, what it has become so far, and the steps to come.
struct Case {
    class: ClassId,
    place: Place,
    origin: Origin,
    units: Vec<UnitId>,
    /// Takes over where a unit declines.
    spare: Option<UnitId>,
    turn: Turn,
    known: Known,
    text: &'static str,
}

enum Origin {
    Sensed(Sensor, AlarmKindId),
    Said(Channel),
}

/// What is out of the ordinary about it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Smooth,
    Rejected,
    FalseAlarm,
    Declined,
    Reworked,
    Late,
}

#[derive(Default)]
struct Known {
    alarm: Option<AlarmId>,
    incident: Option<IncidentId>,
    tasks: Vec<TaskId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Begin,
    Confirm,
    Judge,
    Clear,
    Accept,
    Reject,
    File,
    Approve,
    Push,
    Decline,
    Reassign,
    Acknowledge(usize),
    Go(usize),
    Arrive(usize),
    Feedback(usize),
    Rework,
    Verify,
    Close,
}

/// A step that is due; the earliest comes out of a heap first.
#[derive(PartialEq, Eq)]
struct Due {
    at: i64,
    order: usize,
    case: usize,
    step: Step,
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Week<'_> {
    async fn write(&mut self, dice: &mut Dice) -> anyhow::Result<usize> {
        let mut status = self.writer.status();
        let ready = async { status.wait_for(|s| s.ok).await.is_ok() };
        anyhow::ensure!(
            tokio::time::timeout(Duration::from_secs(30), ready).await == Ok(true),
            "the writer is not ready"
        );
        self.system(Command::SetSite(self.site.clone())).await?;
        let account = Account {
            id: ACCOUNT.into(),
            role: Role::ShiftChief,
            unit: None,
            grid: None,
            name: VaultId(0),
            active: true,
        };
        self.system(Command::SetAccount { account, name: NAME.to_owned() }).await?;
        let (mut cases, mut heap) = (Vec::new(), BinaryHeap::new());
        let mut order = 0;
        let begin = self.now + HOUR;
        let gap = (WEEK - BEFORE - HOUR) / i64::try_from(CASES)?;
        for n in 0..CASES {
            let Some(case) = self.case(n, dice) else { continue };
            let at = begin + gap * i64::try_from(n)? + minutes(dice, 0.0, 40.0);
            for (step, wait) in steps(&case, dice) {
                order += 1;
                heap.push(Due { at: at + wait, order, case: cases.len(), step });
            }
            cases.push(case);
        }
        while let Some(due) = heap.pop() {
            self.now = self.now.max(due.at);
            self.clock.set(self.now);
            if let Some(case) = cases.get_mut(due.case) {
                self.take(case, due.step).await.with_context(|| format!("{:?}", due.step))?;
            }
        }
        Ok(cases.iter().filter(|c| c.known.incident.is_some()).count())
    }

    /// The next incident of the mix: each sensor's kind and each thing that people say in turn, all over the site.
    fn case(&self, n: usize, dice: &mut Dice) -> Option<Case> {
        let turn = match n % 12 {
            3 => Turn::Declined,
            5 => Turn::Reworked,
            7 | 10 => Turn::Late,
            8 if n % 24 == 8 => Turn::Rejected,
            11 if n % 24 == 11 => Turn::FalseAlarm,
            _ => Turn::Smooth,
        };
        let sensed = match turn {
            Turn::FalseAlarm => true,
            Turn::Rejected | Turn::Declined => false,
            _ => n % 5 < 2,
        };
        if sensed {
            let (kind, alarm) = SENSED.get(n / 2 % SENSED.len()).copied()?;
            let sensors: Vec<&Sensor> = self.site.sensors.iter().filter(|s| s.kind == kind).collect();
            let sensor = (*dice.pick(&sensors)?).clone();
            let class = self.site.class(&self.site.alarm_kind(&alarm.into())?.class)?;
            let place = sensor.place.clone();
            return Some(case(
                self.site,
                class,
                place,
                Origin::Sensed(sensor, alarm.into()),
                turn,
                "现场已核对设备读数",
            ));
        }
        let (class, channel, text) = SAID.get(n % SAID.len()).copied()?;
        let class = self.site.class(&class.into())?;
        let building = dice.pick(&self.site.buildings)?;
        let unit = 1 + dice.below(building.units.into());
        let floor = 1 + dice.below(building.floors.into());
        let place = Place {
            building: Some(building.id.clone()),
            unit: u8::try_from(unit).ok(),
            floor: i8::try_from(floor).ok(),
            precision: Precision::Estimated,
            ..Place::about(building.grid.clone(), building.center)
        };
        Some(case(self.site, class, place, Origin::Said(channel), turn, text))
    }

    async fn take(&self, case: &mut Case, step: Step) -> anyhow::Result<()> {
        let input = match step {
            Step::Begin | Step::Clear => self.source(case, step == Step::Begin),
            Step::Acknowledge(n) | Step::Go(n) | Step::Arrive(n) | Step::Feedback(n) => by_unit(case, step, n),
            Step::Decline => by_unit(case, step, 0),
            _ => by_centre(case, step).map(centre),
        };
        // A step that has nothing to act on, because the core went another way before it, is left out.
        let Some(input) = input else { return Ok(()) };
        let refs = match self.writer.submit(Submission::keyless(input)).await {
            Ok(done) => done.refs,
            Err(IntakeError::Refused(refusal)) => {
                tracing::debug!(?step, code = refusal.code.as_str(), "a step of the demo's history was refused");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        case.known.alarm = case.known.alarm.or(refs.alarm);
        case.known.incident = case.known.incident.or(refs.incident);
        match step {
            Step::Push => case.known.tasks = refs.tasks,
            Step::Reassign => {
                // The old task is named before the new one, if it is named.
                if let (Some(first), Some(task)) = (case.known.tasks.first_mut(), refs.tasks.last()) {
                    *first = *task;
                }
                if let (Some(first), Some(unit)) = (case.units.first_mut(), case.spare.clone()) {
                    *first = unit;
                }
            }
            _ => {}
        }
        if matches!(step, Step::Begin | Step::Push | Step::Reassign | Step::Rework | Step::Close) {
            self.settle().await?;
        }
        Ok(())
    }

    fn source(&self, case: &Case, raised: bool) -> Option<Input> {
        match &case.origin {
            Origin::Sensed(sensor, kind) => {
                let observation = Observation::SensorEdge {
                    sensor: sensor.id.clone(),
                    rule: "demo-history".into(),
                    kind: kind.clone(),
                    raised,
                    value: None,
                    at: Timestamp(self.now),
                };
                Some(Input::Observe { mode: Mode::Real, observation })
            }
            Origin::Said(channel) => raised.then(|| {
                centre(Command::Report {
                    class: case.class.clone(),
                    level: None,
                    place: case.place.clone(),
                    channel: *channel,
                    reporter: None,
                    text: Some(said(case.text)),
                    into: None,
                })
            }),
        }
    }

    /// What would leave the centre is over at once: units have it, and films of that week there are none.
    async fn settle(&self) -> anyhow::Result<()> {
        let due = self.store.outbox_due(&["push", "recall", "sms", "clip"], i64::MAX, limits::PAGE).await?;
        let mut quiet = Submission::keyless(Input::Tick);
        for row in due {
            match wire::outgoing::decode(&row.row.payload) {
                Ok(Outgoing::Push { task, .. }) => {
                    let command =
                        Command::Deliver { task, receipt: Receipt::Http, external: Some(format!("Y{}", task.0)) };
                    let input = Input::Command { actor: Actor::System, mode: Mode::Real, happened: None, command };
                    self.writer.submit(Submission::keyless(input).settling(row.id)).await?;
                }
                _ => quiet = quiet.settling(row.id),
            }
        }
        if !quiet.settles.is_empty() {
            self.writer.submit(quiet).await?;
        }
        Ok(())
    }

    async fn system(&self, command: Command) -> anyhow::Result<()> {
        let input = Input::Command { actor: Actor::System, mode: Mode::Real, happened: None, command };
        self.writer.submit(Submission::keyless(input)).await?;
        Ok(())
    }
}

fn case(site: &Site, class: &Class, place: Place, origin: Origin, turn: Turn, text: &'static str) -> Case {
    // Red is never declined, so such a case goes its ordinary way.
    let turn = if class.level == Level::Red && turn == Turn::Declined { Turn::Smooth } else { turn };
    let units: Vec<UnitId> = std::iter::once(class.lead.clone()).chain(class.assists.first().cloned()).collect();
    let spare = site.units.iter().map(|u| &u.id).find(|u| !units.contains(u)).cloned();
    Case { class: class.id.clone(), place, origin, units, spare, turn, known: Known::default(), text }
}

fn minutes(dice: &mut Dice, low: f64, high: f64) -> i64 {
    #[allow(clippy::cast_possible_truncation, reason = "a few hours in ms")]
    let ms = (dice.between(low, high) * 60_000.0) as i64;
    ms
}

/// The steps of a case, each with the time since its beginning.
fn steps(case: &Case, dice: &mut Dice) -> Vec<(Step, i64)> {
    let mut all = vec![(Step::Begin, 0)];
    let mut at = 0;
    let mut next = |all: &mut Vec<(Step, i64)>, dice: &mut Dice, step, low: f64, high: f64| {
        at += minutes(dice, low, high);
        all.push((step, at));
        at
    };
    if matches!(case.origin, Origin::Sensed(..)) {
        next(&mut all, dice, Step::Confirm, 0.2, 1.5);
        let judged = next(&mut all, dice, Step::Judge, 0.5, 2.0);
        all.push((Step::Clear, judged + minutes(dice, 4.0, 20.0)));
        if case.turn == Turn::FalseAlarm {
            return all;
        }
    } else if case.turn == Turn::Rejected {
        next(&mut all, dice, Step::Reject, 2.0, 8.0);
        return all;
    } else {
        next(&mut all, dice, Step::Accept, 0.5, 4.0);
    }
    next(&mut all, dice, Step::File, 0.5, 3.0);
    next(&mut all, dice, Step::Approve, 1.0, 6.0);
    let mut pushed = next(&mut all, dice, Step::Push, 0.3, 2.0);
    if case.turn == Turn::Declined {
        next(&mut all, dice, Step::Decline, 0.5, 3.0);
        pushed = next(&mut all, dice, Step::Reassign, 0.5, 3.0);
    }
    let mut done = pushed;
    for n in 0..case.units.len() {
        done = done.max(work(&mut all, dice, n, pushed, case.turn == Turn::Late && n == 0));
    }
    if case.turn == Turn::Reworked {
        done += minutes(dice, 3.0, 10.0);
        all.push((Step::Rework, done));
        done = work(&mut all, dice, 0, done, false);
    }
    // The device is well again before anybody verifies.
    let cleared = all.iter().find(|(step, _)| *step == Step::Clear).map_or(0, |(_, at)| *at);
    let verified = done.max(cleared) + minutes(dice, 2.0, 15.0);
    all.extend([(Step::Verify, verified), (Step::Close, verified + minutes(dice, 1.0, 10.0))]);
    all
}

/// What one unit does after its push; when it is done.
fn work(all: &mut Vec<(Step, i64)>, dice: &mut Dice, n: usize, pushed: i64, late: bool) -> i64 {
    let slow = if late { 40.0 } else { 0.0 };
    let waits = [
        (Step::Acknowledge(n), 0.2 + slow, 0.8 + slow),
        (Step::Go(n), 0.3, 1.5),
        (Step::Arrive(n), 1.5 + slow, 4.0 + slow),
        (Step::Feedback(n), 5.0, 25.0),
    ];
    waits.into_iter().fold(pushed, |at, (step, low, high)| {
        let at = at + minutes(dice, low, high);
        all.push((step, at));
        at
    })
}

fn said(text: &str) -> String {
    format!("{MARK}{text}")
}

fn centre(command: Command) -> Input {
    let actor = Actor::Account { id: ACCOUNT.into(), role: Role::ShiftChief, unit: None, grid: None };
    Input::Command { actor, mode: Mode::Real, happened: None, command }
}

fn by_centre(case: &Case, step: Step) -> Option<Command> {
    let (alarm, incident) = (case.known.alarm, case.known.incident);
    Some(match step {
        Step::Confirm => Command::ConfirmAlarm(alarm?),
        Step::Judge => {
            let genuine = case.turn != Turn::FalseAlarm;
            let verdict = if genuine { Verdict::Genuine } else { Verdict::False };
            let text = said(if genuine { "摄像头与现场核实属实" } else { "现场核实为误报" });
            Command::JudgeAlarm { alarm: alarm?, verdict, class: None, text: Some(text) }
        }
        Step::Accept => Command::Accept(incident?),
        Step::Reject => {
            Command::Reject { incident: incident?, reason: said("不属于本中心职责，已告知渠道") }
        }
        Step::File => Command::File { incident: incident?, class: None, level: None },
        Step::Approve => Command::Approve(incident?),
        Step::Push => {
            let target = |(n, unit): (usize, &UnitId)| PushTarget {
                unit: unit.clone(),
                lead: n == 0,
                mandatory: true,
                arrive: None,
            };
            let targets = case.units.iter().enumerate().map(target).collect();
            Command::Push { incident: incident?, targets, text: Some(said("请到场核实处置并反馈")) }
        }
        Step::Reassign => Command::Reassign {
            task: *case.known.tasks.first()?,
            unit: case.spare.clone()?,
            reason: Some(said("原单位退回，改派就近单位")),
        },
        Step::Rework => Command::Rework {
            task: *case.known.tasks.first()?,
            reason: said("照片看不清现场，请补拍并复查"),
        },
        Step::Verify => Command::Verify { incident: incident?, text: Some(said("已核查，现场恢复")) },
        Step::Close => Command::Close { incident: incident?, text: Some(said("已回访，报告人满意")) },
        _ => return None,
    })
}

fn by_unit(case: &Case, step: Step, n: usize) -> Option<Input> {
    let (task, unit) = (*case.known.tasks.get(n)?, case.units.get(n)?);
    let command = match step {
        Step::Acknowledge(_) => Command::Acknowledge(task),
        Step::Go(_) => Command::EnRoute(task),
        Step::Arrive(_) => Command::OnScene(task),
        Step::Feedback(_) => Command::Feedback {
            task,
            result: FeedbackResult::Done,
            text: Some(said("已到场处置完毕")),
            photos: Vec::new(),
        },
        Step::Decline => Command::Decline { task, reason: said("当班人员均在处置其他任务") },
        _ => return None,
    };
    Some(Input::Command { actor: Actor::Unit(unit.clone()), mode: Mode::Real, happened: None, command })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use domain::{State, incident::Stage, task::TaskState};
    use ledger::{SqliteOptions, SqliteStore};

    use super::*;

    const NOW: i64 = 1_790_000_000_000;

    async fn state(store: &Arc<dyn Store>) -> State {
        let mut state = State::default();
        for row in store.snapshot(&["site", "account", "alarm", "incident"], 10_000).await.unwrap().1 {
            let id = if row.id == "-" { "" } else { &row.id };
            wire::document::load(&mut state, &row.kind, id, &row.payload).unwrap();
        }
        state
    }

    #[tokio::test]
    async fn the_week_is_whole_marked_over_and_written_once() {
        for seed in [1, 7] {
            let folder = tempfile::tempdir().unwrap();
            let store = SqliteStore::open(&SqliteOptions::in_folder(folder.path())).await.unwrap();
            let store: Arc<dyn Store> = Arc::new(store);
            let site = site::built_in();
            let began = tokio::time::Instant::now();
            let count = write(&store, &site, seed, NOW).await.unwrap();
            eprintln!("{count} incidents in {:?}", began.elapsed());
            assert!((50..=CASES).contains(&count), "{count}");

            let state = state(&store).await;
            assert_eq!(state.incidents.len(), count);
            let ended = |s: Stage| s.ended() || s == Stage::Closed;
            let open: Vec<_> = state.incidents.values().filter(|i| !ended(i.stage)).map(|i| (i.id, i.stage)).collect();
            assert!(open.is_empty(), "{open:?}");
            assert!(state.alarms.values().all(|a| a.judged.is_some() && !a.active()), "nothing rings at the start");
            let tasks: Vec<_> = state.incidents.values().flat_map(|i| &i.tasks).collect();
            let is = |s: TaskState| tasks.iter().any(|t| t.state == s);
            assert!(is(TaskState::Done) && is(TaskState::Declined), "some are declined");
            assert!(state.incidents.values().any(|i| i.stage == Stage::Rejected));
            let classes: std::collections::BTreeSet<_> = state.incidents.values().map(|i| &i.class).collect();
            let buildings: std::collections::BTreeSet<_> =
                state.incidents.values().map(|i| &i.place.building).collect();
            assert!(classes.len() >= 12 && buildings.len() >= 20, "{} {}", classes.len(), buildings.len());

            // Its times are those of the week, in order, and over.
            let head = store.head().await.unwrap().seq;
            let mut at = NOW - WEEK;
            let mut seen = 0;
            while seen < head {
                for event in store.tail(seen, 500).await.unwrap() {
                    let event = event.event;
                    assert!(event.at_ms >= at && event.at_ms < NOW - HOUR, "{} after {at}", event.at_ms);
                    (at, seen) = (event.at_ms, seen + 1);
                }
            }
            assert_eq!(store.outbox_waiting().await.unwrap(), 0, "nothing leaves the centre");

            assert_eq!(write(&store, &site, seed, NOW + HOUR).await.unwrap(), 0);
            assert_eq!(store.head().await.unwrap().seq, head, "a second start adds nothing");
        }
    }
}
