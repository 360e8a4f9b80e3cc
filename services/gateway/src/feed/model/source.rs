//! Sources of inputs: each retries an input under its key until it is answered.

use std::{sync::Arc, time::Duration};

use domain::{
    account::{Account, Role},
    event::Mode,
    ids::IncidentId,
    incident::Channel,
    input::{Actor, Command, Input, PushTarget},
    site::{Place, Point},
    text::Subject,
};
use link::intake::{Done, Intake as _, IntakeError, Submission};

use super::{chance::Chance, driver::Shared};

/// A source gives a request up after this time, and asks again.
const PATIENCE: Duration = Duration::from_secs(3);

/// An answered input.
#[derive(Clone, Debug)]
pub(super) struct Ack {
    /// What it wrote into the log; empty for inputs that write no text.
    pub(super) text: String,
    pub(super) seq: u64,
    /// What it was about.
    pub(super) incident: Option<u64>,
}

fn give(command: Command) -> Input {
    Input::Command { actor: Actor::System, mode: Mode::Real, happened: None, command }
}

fn report(text: &str, grid: &str) -> Command {
    Command::Report {
        class: if grid == "g1" { "fire" } else { "noise" }.into(),
        level: None,
        place: Place::about(grid.into(), Point { x: 20.0, y: 20.0 }),
        channel: Channel::Call,
        reporter: None,
        text: Some(text.to_owned()),
        into: None,
    }
}

/// What this source does next; its text if it writes one.
fn next(chance: &Chance, world: &Shared, text: &str) -> (Command, bool) {
    let known = world.incidents.lock().unwrap().clone();
    let Some(incident) = chance.pick(&known).copied().filter(|_| chance.per_cent(75)) else {
        return (report(text, if chance.per_cent(50) { "g1" } else { "g2" }), true);
    };
    let incident = IncidentId(incident);
    match chance.below(12) {
        0 => (Command::Accept(incident), false),
        1 => (Command::File { incident, class: None, level: None }, false),
        2 => {
            let target = PushTarget { unit: "fire".into(), lead: true, mandatory: false, arrive: None };
            (Command::Push { incident, targets: vec![target], text: None }, false)
        }
        _ => (Command::Note { incident, text: text.to_owned() }, true),
    }
}

/// Gives `count` inputs, some of them at once.
pub(super) async fn run(world: Arc<Shared>, name: usize, count: usize) {
    let mut given = 0;
    while given < count {
        let at_once = usize::try_from(1 + world.chance.below(6)).unwrap().min(count - given);
        let each = (given..given + at_once).map(|n| one(&world, name, n));
        futures::future::join_all(each).await;
        given += at_once;
        world.chance.sleep(0..400).await;
    }
}

/// Changes what people may see, and erases; in the end everybody is as at the beginning.
pub(super) async fn govern(world: Arc<Shared>, count: usize) {
    let people = world.accounts.lock().unwrap().clone();
    for n in 0..count {
        world.chance.sleep(0..2_500).await;
        let known = world.incidents.lock().unwrap().clone();
        let erased = world.chance.pick(&known).filter(|_| world.chance.per_cent(20));
        let command = if let Some(incident) = erased {
            world.chance.tally().fault("incident erased");
            Command::Erase(Subject::Incident(IncidentId(*incident)))
        } else {
            let account = changed(&world.chance, world.chance.pick(&people).unwrap());
            world.chance.tally().fault(if account.active { "rights changed" } else { "account locked out" });
            let name = account.id.to_string();
            Command::SetAccount { account, name }
        };
        answered(&world, "governor", format!("g-{n}"), command, false).await;
    }
    for account in people {
        let name = account.id.to_string();
        let key = format!("g-{name}");
        answered(&world, "governor", key, Command::SetAccount { account, name }, false).await;
    }
}

/// Somebody with other rights.
fn changed(chance: &Chance, account: &Account) -> Account {
    let mut account = account.clone();
    let (role, unit, grid) = match chance.below(5) {
        0 => {
            account.active = false;
            return account;
        }
        // A screen on a wall is no person.
        _ if account.role == Role::WallDisplay => return account,
        1 => (Role::DutyOfficer, None, None),
        2 => (Role::DepartmentClerk, Some("fire"), None),
        3 => (Role::DepartmentClerk, Some("water"), None),
        _ => (Role::GridManager, Some("team1"), Some(if chance.per_cent(50) { "g1" } else { "g2" })),
    };
    (account.role, account.unit, account.grid) = (role, unit.map(Into::into), grid.map(Into::into));
    account
}

async fn one(world: &Shared, name: usize, n: usize) {
    let (scope, key) = (format!("source/{name}"), format!("{name}-{n}"));
    let (command, writes) = next(&world.chance, world, &key);
    answered(world, &scope, key, command, writes).await;
}

/// Gives an input under its key until it is answered.
async fn answered(world: &Shared, scope: &str, key: String, command: Command, writes: bool) {
    let scope = scope.to_owned();
    let submission = Submission::keyed(scope, key.clone(), format!("{command:?}").into_bytes(), give(command));
    loop {
        let twice = world.chance.strikes(30, "input sent twice");
        let (first, second) = if twice {
            let both = tokio::join!(send(world, submission.clone()), send(world, submission.clone()));
            (both.0, Some(both.1))
        } else {
            (send(world, submission.clone()).await, None)
        };
        if let (Some(Ok(a)), Some(Some(Ok(b)))) = (&first, &second)
            && (a.position.seq, &a.refs) != (b.position.seq, &b.refs)
        {
            world.chance.tally().violation(format!("input {key} was answered {a:?} and {b:?}"));
        }
        match first.or(second.flatten()) {
            Some(Ok(done)) => return acknowledged(world, key, writes, &done),
            Some(Err(IntakeError::Refused(_))) => {
                world.chance.tally().trace(("refused", &key));
                return;
            }
            Some(Err(IntakeError::KeyReused)) => {
                return world.chance.tally().violation(format!("the key {key} is said to be used"));
            }
            // Come again.
            Some(Err(_)) | None => world.chance.sleep(20..800).await,
        }
    }
}

fn acknowledged(world: &Shared, key: String, writes: bool, done: &Done) {
    let seq = done.position.seq;
    if let Some(incident) = done.refs.incident {
        let mut known = world.incidents.lock().unwrap();
        if !known.contains(&incident.0) {
            known.push(incident.0);
        }
    }
    let mut tally = world.chance.tally();
    tally.acknowledged += 1;
    tally.trace(("acknowledged", &key, seq));
    drop(tally);
    let text = if writes { key } else { String::new() };
    world.acks.lock().unwrap().push(Ack { text, seq, incident: done.refs.incident.map(|i| i.0) });
}

/// One attempt over the network; `None` when no answer came.
async fn send(world: &Shared, submission: Submission) -> Option<Result<Done, IntakeError>> {
    let chance = &world.chance;
    chance.sleep(0..20).await;
    if chance.strikes(20, "request lost") {
        tokio::time::sleep(PATIENCE).await;
        return None;
    }
    let core = world.core()?;
    let answer = tokio::select! {
        biased;
        () = core.dead.cancelled() => None,
        answer = core.writer.submit(submission) => Some(answer),
        () = tokio::time::sleep(PATIENCE) => None,
    };
    if answer.is_some() && chance.strikes(20, "answer lost") {
        tokio::time::sleep(PATIENCE).await;
        return None;
    }
    answer
}
