//! One event as a line of a timeline.

use domain::{
    event::{Body, Event, Key},
    incident::Exhibit,
    text::Subject,
};

use super::{View, case::source_name, level, mode, ms};
use crate::feed;

impl View<'_> {
    pub(super) fn event(&self, seq: u64, event: &Event) -> feed::Event {
        let mut line = feed::Event {
            seq,
            at: event.at.0,
            happened: ms(event.happened),
            mode: mode(event.mode),
            by: Some(self.by(&event.by)),
            kind: event.body.name().to_owned(),
            ..feed::Event::default()
        };
        self.about(&mut line, &event.body);
        match event.body.key() {
            Key::Alarm(_) => self.alarm_line(&mut line, &event.body),
            Key::Incident(_) if event.body.task().is_some() => self.task_line(&mut line, &event.body),
            Key::Incident(_) => self.incident_line(&mut line, &event.body),
            _ => self.record_line(&mut line, &event.body),
        }
        line
    }

    /// The things that the event is about.
    fn about(&self, line: &mut feed::Event, body: &Body) {
        match body.key() {
            Key::Alarm(id) => line.alarm = id.0,
            Key::Incident(id) => {
                line.incident = id.0;
                if let Some(task) = body.task() {
                    line.task = task.0;
                    let found = self.state.incidents.get(&id).and_then(|i| i.task(task));
                    line.unit = found.map(|t| t.unit.to_string()).unwrap_or_default();
                }
            }
            Key::Patrol(id) => line.other = id.0,
            Key::Message(id) => line.other = id.0,
            Key::Camera(id) => line.camera = id.to_string(),
            Key::Sensor(id) => line.source = id.to_string(),
            Key::Light(id) => line.unit = id.to_string(),
            Key::Account(id) => line.source = id.to_string(),
            Key::Credential(id) => line.source = id.to_string(),
            Key::Site | Key::Duty | Key::Unreadable | Key::Erasures => {}
        }
    }

    fn alarm_line(&self, line: &mut feed::Event, body: &Body) {
        match body {
            Body::AlarmRaised { level: l, evidence, .. } | Body::AlarmEvidence { level: l, evidence, .. } => {
                line.level = level(*l);
                // What this source said, not what the alarm is called by now.
                line.detail = evidence.kind.to_string();
                line.source = source_name(&evidence.source).1;
                line.text = self.free(evidence.text);
                if let Body::AlarmRaised { place, .. } = body {
                    line.place = Some(self.place(place));
                }
            }
            Body::AlarmSourceCleared { source, .. } => line.source = source_name(source).1,
            Body::AlarmJudged { verdict, incident, text, .. } => {
                line.detail = verdict.name().to_owned();
                line.incident = incident.map_or(0, |i| i.0);
                line.text = self.free(*text);
            }
            Body::AlarmShelved { reason, .. } => line.text = self.free(Some(*reason)),
            Body::AlarmExhibit { exhibit, .. } => exhibit_line(line, exhibit),
            Body::AlarmMoved { incident, .. } => line.incident = incident.0,
            // Confirmed, sounded, unshelved: the kind says it all.
            _ => {}
        }
    }

    fn incident_line(&self, line: &mut feed::Event, body: &Body) {
        match body {
            Body::Reported { class, level: l, place, text, alarm, .. } => {
                line.detail = class.to_string();
                line.level = level(*l);
                line.place = Some(self.place(place));
                line.text = self.free(*text);
                line.alarm = alarm.map_or(0, |a| a.0);
            }
            Body::Merged { into: other, .. } | Body::Absorbed { from: other, .. } => line.other = other.0,
            Body::Filed { class, level: l, .. } => {
                line.detail = class.to_string();
                line.level = level(*l);
            }
            Body::Rejected { reason, .. } | Body::ApprovalRefused { reason, .. } | Body::Reopened { reason, .. } => {
                line.text = self.free(Some(*reason));
            }
            Body::Verified { text, .. } | Body::Closed { text, .. } => line.text = self.free(*text),
            Body::Noted { text, .. } => line.text = self.free(Some(*text)),
            Body::PlaceCorrected { place, before, .. } => {
                line.place = Some(self.place(place));
                line.before = before.as_ref().map(|p| self.place(p));
            }
            Body::AttentionCalled { why, task, .. } => {
                line.detail = why.name().to_owned();
                line.task = task.map_or(0, |t| t.0);
            }
            Body::Attended { text, .. } => line.text = self.free(*text),
            Body::ExhibitAdded { exhibit, .. } => exhibit_line(line, exhibit),
            // Accepted, approved: the kind says it all.
            _ => {}
        }
    }

    fn task_line(&self, line: &mut feed::Event, body: &Body) {
        match body {
            Body::TaskPushed { unit, terms, text, replaces, .. } => {
                line.unit = unit.to_string();
                line.detail = if terms.lead { "lead" } else { "assist" }.to_owned();
                line.text = self.free(*text);
                line.other = replaces.map_or(0, |t| t.0);
            }
            Body::TaskDelivered { receipt, .. } => line.detail = receipt.name().to_owned(),
            Body::TaskFeedback { result, text, photos, .. } => {
                line.detail = result.name().to_owned();
                line.text = self.free(*text);
                line.blobs = photos.iter().map(ToString::to_string).collect();
            }
            Body::TaskDeclined { reason, .. } | Body::ReworkOrdered { reason, .. } => {
                line.text = self.free(Some(*reason));
            }
            Body::TaskRecalled { reason, .. } => line.text = self.free(*reason),
            // Acknowledged, en route, on scene: the kind says it all.
            _ => {}
        }
    }

    fn record_line(&self, line: &mut feed::Event, body: &Body) {
        match body {
            Body::SiteChanged { site } => line.detail = site.version.to_string(),
            Body::AccountChanged { account } => line.detail = account.role.name().to_owned(),
            Body::DutyChanged { post, account } => {
                line.detail = post.name().to_owned();
                line.source = account.as_ref().map(ToString::to_string).unwrap_or_default();
            }
            Body::SensorLink { online, .. } => line.detail = if *online { "online" } else { "offline" }.to_owned(),
            Body::CameraFact { state, fault, .. } => line.detail = fault.as_ref().unwrap_or(state).clone(),
            Body::DeviceCredentialIssued { voice, .. } => line.detail = voice.name().to_owned(),
            Body::LightChanged { light, .. } => line.detail = light.name().to_owned(),
            Body::PatrolPlanned { kind, subject, .. } => {
                line.detail = kind.name().to_owned();
                line.source = subject.clone();
            }
            Body::PatrolFound { finding, .. } => {
                line.detail = finding.what.clone();
                line.source = source_name(&finding.source).1;
                line.alarm = finding.alarm.map_or(0, |a| a.0);
            }
            Body::MessageKept { message } => {
                line.detail = if message.inbound { "inbound" } else { "outbound" }.to_owned();
                line.text = self.free(Some(message.text));
                line.place = message.place.as_ref().map(|p| self.place(p));
                line.alarm = message.alarm.map_or(0, |a| a.0);
            }
            Body::MessageSent { ok, .. } => line.detail = if *ok { "sent" } else { "failed" }.to_owned(),
            Body::Unreadable { source, why, .. } => {
                line.source = source.clone();
                line.detail = why.clone();
            }
            Body::Erased { subject } => erased_line(line, subject),
            // Patrol started, finished, credential taken back: the kind says it all.
            _ => {}
        }
    }
}

fn exhibit_line(line: &mut feed::Event, exhibit: &Exhibit) {
    line.detail = exhibit.kind.name().to_owned();
    line.camera = exhibit.camera.as_ref().map(ToString::to_string).unwrap_or_default();
    line.blobs = vec![exhibit.blob.to_string()];
}

/// What kind of subject it was, and which record; a person's key is nobody's business.
fn erased_line(line: &mut feed::Event, subject: &Subject) {
    let kind = match subject {
        Subject::Person(_) => "person",
        Subject::Alarm(id) => {
            line.alarm = id.0;
            "alarm"
        }
        Subject::Incident(id) => {
            line.incident = id.0;
            "incident"
        }
        Subject::Account(id) => {
            line.source = id.to_string();
            "account"
        }
        Subject::Message(id) => {
            line.other = id.0;
            "message"
        }
        Subject::Device(id) => {
            line.source = id.to_string();
            "device"
        }
    };
    line.detail = kind.to_owned();
}
