//! Alarms, incidents and tasks for a screen.

use domain::{
    alarm::{Alarm, Source, SourceState},
    attention::Attention,
    incident::{Clock, Exhibit, Incident, Reporter, ReporterKind},
    task::{Feedback, Task, TaskState},
};

use super::{View, level, mode, ms};
use crate::feed;

impl View<'_> {
    pub(super) fn alarm(&self, alarm: &Alarm) -> feed::Alarm {
        let judged = alarm.judged.as_ref();
        feed::Alarm {
            id: alarm.id.0,
            kind: alarm.kind.to_string(),
            level: level(alarm.level),
            mode: mode(alarm.mode),
            place: Some(self.place(&alarm.place)),
            code: alarm.code.clone(),
            raised: alarm.raised.0,
            last: alarm.last.0,
            cleared: ms(alarm.cleared),
            confirmed: ms(alarm.confirmed.as_ref().map(|(_, at)| *at)),
            confirmed_by: alarm.confirmed.as_ref().map(|(by, _)| self.by(by)),
            sounded: ms(alarm.sounded),
            verdict: judged.map(|j| j.verdict.name().to_owned()).unwrap_or_default(),
            judged: ms(judged.map(|j| j.at)),
            judged_by: judged.map(|j| self.by(&j.by)),
            judged_text: self.free(judged.and_then(|j| j.text)),
            incident: alarm.incident.map_or(0, |i| i.0),
            shelved_until: ms(alarm.shelf.as_ref().map(|s| s.until)),
            shelf_reason: self.free(alarm.shelf.as_ref().map(|s| s.reason)),
            sources: alarm.sources.iter().map(|s| self.source(s)).collect(),
            unlisted: alarm.unlisted,
            exhibits: alarm.exhibits.iter().map(exhibit).collect(),
            open: alarm.open(),
            cameras: self.nearest(&alarm.place),
        }
    }

    fn source(&self, source: &SourceState) -> feed::AlarmSource {
        let evidence = &source.evidence;
        let (kind, id) = source_name(&evidence.source);
        let rule = match &evidence.source {
            Source::Sensor { rule, .. } | Source::Rule { rule, .. } => rule.to_string(),
            Source::Camera(_) | Source::Message(_) | Source::Unit { .. } => String::new(),
        };
        feed::AlarmSource {
            kind: kind.to_owned(),
            id,
            alarm_kind: evidence.kind.to_string(),
            first: source.first.0,
            at: evidence.at.0,
            count: source.count,
            active: source.active,
            value: evidence.value,
            text: self.said(evidence.text),
            rule,
            risen: source.risen.unwrap_or(source.first).0,
        }
    }

    pub(super) fn incident(&self, incident: &Incident) -> feed::Incident {
        let t = &incident.times;
        feed::Incident {
            id: incident.id.0,
            class: incident.class.to_string(),
            level: level(incident.level),
            mode: mode(incident.mode),
            place: Some(self.place(&incident.place)),
            stage: incident.stage.name().to_owned(),
            channel: incident.channel.name().to_owned(),
            code: incident.code.clone(),
            first_owner: Some(self.by(&incident.first_owner)),
            reporter: incident.reporter.as_ref().and_then(|r| self.reporter(incident, r)),
            text: self.said(incident.text),
            alarms: incident.alarms.iter().map(|a| a.0).collect(),
            merged_into: incident.merged_into.map_or(0, |i| i.0),
            absorbed: incident.absorbed.iter().map(|i| i.0).collect(),
            approved_by: incident.approved_by.as_ref().map(|by| self.by(by)),
            approved_after: incident.approved_after,
            reason: self.free(incident.reason),
            tasks: incident.tasks.iter().map(|t| self.task(t)).collect(),
            exhibits: self.exhibits(incident),
            reported: t.reported.0,
            accepted: ms(t.accepted),
            filed: ms(t.filed),
            approved: ms(t.approved),
            pushed: ms(t.pushed),
            delivered: ms(t.delivered),
            done: ms(t.done),
            verified: ms(t.verified),
            ended: ms(t.ended),
            reopened: incident.reopened,
            bounces: incident.bounces,
            clocks: self.clocks(incident),
            cameras: self.nearest(&incident.place),
            open: incident.open(),
            attention: incident.attention.iter().map(|a| self.attention(a)).collect(),
        }
    }

    fn attention(&self, asked: &Attention) -> feed::Attention {
        let taken = asked.taken.as_ref();
        feed::Attention {
            why: asked.why.name().to_owned(),
            task: asked.task.map_or(0, |t| t.0),
            since: asked.since.0,
            taken: ms(taken.map(|(_, at)| *at)),
            taken_by: taken.map(|(by, _)| self.by(by)),
        }
    }

    /// Its own, then those of its alarms.
    fn exhibits(&self, incident: &Incident) -> Vec<feed::Exhibit> {
        let alarms = incident.alarms.iter().filter_map(|id| self.state.alarms.get(id));
        incident.exhibits.iter().chain(alarms.flat_map(|a| &a.exhibits)).map(exhibit).collect()
    }

    fn clocks(&self, incident: &Incident) -> Vec<feed::Clock> {
        let class = self.state.site.as_ref().and_then(|s| s.class(&incident.class));
        class.map(|c| incident.clocks(&c.limits).iter().map(clock).collect()).unwrap_or_default()
    }

    /// Of a confidential reporter only the centre may know, and a sight does not tell the centre from a handler: the
    /// references stand there to be asked for, the values do not.
    fn reporter(&self, incident: &Incident, reporter: &Reporter) -> Option<feed::Reporter> {
        if !self.sight.text() {
            return None;
        }
        let person = |id| {
            let mut shown = self.person(id)?;
            if reporter.kind == ReporterKind::Confidential {
                shown.value.clear();
            }
            Some(shown)
        };
        Some(feed::Reporter {
            kind: reporter.kind.name().to_owned(),
            name: person(reporter.name),
            phone: person(reporter.phone),
            earlier: self.earlier(incident, reporter),
        })
    }

    fn earlier(&self, incident: &Incident, reporter: &Reporter) -> u32 {
        let Some(person) = &reporter.person else { return 0 };
        let same = |other: &&Incident| {
            other.id != incident.id
                && other.reporter.as_ref().and_then(|r| r.person.as_ref()).is_some_and(|p| p == person)
        };
        self.state.incidents.values().filter(same).count().try_into().unwrap_or(u32::MAX)
    }

    fn task(&self, task: &Task) -> feed::Task {
        let t = &task.times;
        feed::Task {
            id: task.id.0,
            unit: task.unit.to_string(),
            lead: task.terms.lead,
            mandatory: task.terms.mandatory,
            state: task.state.name().to_owned(),
            pushed: t.pushed.0,
            delivered: ms(t.delivered),
            acknowledged: ms(t.acknowledged),
            en_route: ms(t.en_route),
            on_scene: ms(t.on_scene),
            ended: ms(t.ended),
            receipt: task.receipt.map(|r| r.name().to_owned()).unwrap_or_default(),
            external: task.external.clone().unwrap_or_default(),
            text: self.free(task.text),
            reason: self.free(task.reason),
            replaces: task.replaces.map_or(0, |t| t.0),
            feedback: task.feedback.iter().map(|f| self.feedback(f)).collect(),
            reworks: task.reworks,
            decline_until: decline_until(task),
        }
    }

    fn feedback(&self, feedback: &Feedback) -> feed::Feedback {
        feed::Feedback {
            at: feedback.at.0,
            by: Some(self.by(&feedback.by)),
            result: feedback.result.name().to_owned(),
            text: self.free(feedback.text),
            photos: feedback.photos.iter().map(ToString::to_string).collect(),
        }
    }
}

fn decline_until(task: &Task) -> i64 {
    let waits = matches!(task.state, TaskState::Pushed | TaskState::Delivered);
    if waits && task.terms.decline.0 > 0 { (task.times.pushed + task.terms.decline).0 } else { 0 }
}

fn exhibit(exhibit: &Exhibit) -> feed::Exhibit {
    feed::Exhibit {
        blob: exhibit.blob.to_string(),
        kind: exhibit.kind.name().to_owned(),
        camera: exhibit.camera.as_ref().map(ToString::to_string).unwrap_or_default(),
        from: exhibit.from.0,
        to: exhibit.to.0,
    }
}

fn clock(clock: &Clock) -> feed::Clock {
    feed::Clock {
        kind: clock.kind.name().to_owned(),
        task: clock.task.map_or(0, |t| t.0),
        since: clock.since.0,
        limit: clock.limit.0,
        ended: ms(clock.ended),
    }
}

/// Kind and id of a source; a unit's report is named by the unit.
pub(super) fn source_name(source: &Source) -> (&'static str, String) {
    match source {
        Source::Sensor { sensor, .. } => ("sensor", sensor.to_string()),
        Source::Camera(camera) => ("camera", camera.to_string()),
        Source::Rule { key, .. } => ("rule", key.clone()),
        Source::Message(id) => ("message", id.to_string()),
        Source::Unit { unit, .. } => ("unit", unit.to_string()),
    }
}
