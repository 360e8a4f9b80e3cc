//! One event as a line of a timeline.

use domain::{
    account::{AccountEvent, DutyEvent},
    alarm::AlarmEvent,
    camera::CameraEvent,
    device::{CredentialEvent, SensorEvent},
    erasure::ErasureEvent,
    event::{Body, Event, Key},
    incident::{Exhibit, IncidentEvent},
    light::LightEvent,
    message::MessageEvent,
    patrol::PatrolEvent,
    site::SiteEvent,
    text::Subject,
    unreadable::UnreadableEvent,
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
        match &event.body {
            Body::Alarm(what) => self.alarm_line(&mut line, what),
            Body::Incident(what) => self.incident_line(&mut line, what),
            Body::Patrol(what) => patrol_line(&mut line, what),
            Body::Message(what) => self.message_line(&mut line, what),
            Body::Site(SiteEvent::Changed { site }) => line.detail = site.version.to_string(),
            Body::Account(AccountEvent::Changed { account }) => line.detail = account.role.name().to_owned(),
            Body::Duty(DutyEvent::Changed { post, account }) => {
                line.detail = post.name().to_owned();
                line.source = account.as_ref().map(ToString::to_string).unwrap_or_default();
            }
            Body::Sensor(SensorEvent::Linked { online, .. }) => {
                line.detail = if *online { "online" } else { "offline" }.to_owned();
            }
            Body::Camera(CameraEvent::Changed { state, fault, .. }) => {
                line.detail = fault.as_ref().unwrap_or(state).clone();
            }
            Body::Credential(CredentialEvent::Issued { voice, .. }) => line.detail = voice.name().to_owned(),
            // The kind says it all.
            Body::Credential(CredentialEvent::Revoked { .. }) => {}
            Body::Light(LightEvent::Changed { light, .. }) => line.detail = light.name().to_owned(),
            Body::Unreadable(UnreadableEvent::Counted { source, why, .. }) => {
                line.source = source.clone();
                line.detail = why.clone();
            }
            Body::Erasures(ErasureEvent::Erased { subject }) => erased_line(&mut line, subject),
        }
        line
    }

    /// The things that the event is about.
    fn about(&self, line: &mut feed::Event, body: &Body) {
        match body.key() {
            Key::Alarm(id) => line.alarm = id.0,
            Key::Incident(id) => {
                line.incident = id.0;
                if let Body::Incident(what) = body
                    && let Some(task) = what.task()
                {
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

    fn alarm_line(&self, line: &mut feed::Event, what: &AlarmEvent) {
        match what {
            AlarmEvent::Raised { level: l, evidence, .. } | AlarmEvent::EvidenceAdded { level: l, evidence, .. } => {
                line.level = level(*l);
                // What this source said, not what the alarm is called by now.
                line.detail = evidence.kind.to_string();
                line.source = source_name(&evidence.source).1;
                line.text = self.free(evidence.text);
                if let AlarmEvent::Raised { place, .. } = what {
                    line.place = Some(self.place(place));
                }
            }
            AlarmEvent::SourceCleared { source, .. } => line.source = source_name(source).1,
            AlarmEvent::Judged { verdict, incident, text, .. } => {
                line.detail = verdict.name().to_owned();
                line.incident = incident.map_or(0, |i| i.0);
                line.text = self.free(*text);
            }
            AlarmEvent::Shelved { reason, .. } => line.text = self.free(Some(*reason)),
            AlarmEvent::ExhibitAdded { exhibit, .. } => exhibit_line(line, exhibit),
            AlarmEvent::Moved { incident, .. } => line.incident = incident.0,
            // Where it is now stands in its state.
            AlarmEvent::Placed { .. } => {}
            // The kind says it all.
            AlarmEvent::Confirmed { .. } | AlarmEvent::Sounded { .. } | AlarmEvent::Unshelved { .. } => {}
        }
    }

    fn incident_line(&self, line: &mut feed::Event, what: &IncidentEvent) {
        match what {
            IncidentEvent::Reported { class, level: l, place, text, alarm, .. } => {
                line.detail = class.to_string();
                line.level = level(*l);
                line.place = Some(self.place(place));
                line.text = self.free(*text);
                line.alarm = alarm.map_or(0, |a| a.0);
            }
            IncidentEvent::Merged { into: other, .. } | IncidentEvent::Absorbed { from: other, .. } => {
                line.other = other.0
            }
            IncidentEvent::Filed { class, level: l, .. } => {
                line.detail = class.to_string();
                line.level = level(*l);
            }
            IncidentEvent::Rejected { reason, .. }
            | IncidentEvent::ApprovalRefused { reason, .. }
            | IncidentEvent::Reopened { reason, .. } => {
                line.text = self.free(Some(*reason));
            }
            IncidentEvent::Verified { text, .. } | IncidentEvent::Closed { text, .. } => line.text = self.free(*text),
            IncidentEvent::Noted { text, .. } => line.text = self.free(Some(*text)),
            IncidentEvent::PlaceCorrected { place, before, .. } => {
                line.place = Some(self.place(place));
                line.before = before.as_ref().map(|p| self.place(p));
            }
            IncidentEvent::AttentionCalled { why, task, .. } => {
                line.detail = why.name().to_owned();
                line.task = task.map_or(0, |t| t.0);
            }
            IncidentEvent::Attended { text, .. } => line.text = self.free(*text),
            IncidentEvent::ExhibitAdded { exhibit, .. } => exhibit_line(line, exhibit),
            IncidentEvent::TaskPushed { unit, terms, text, replaces, .. } => {
                line.unit = unit.to_string();
                line.detail = if terms.lead { "lead" } else { "assist" }.to_owned();
                line.text = self.free(*text);
                line.other = replaces.map_or(0, |t| t.0);
            }
            IncidentEvent::TaskDelivered { receipt, .. } => line.detail = receipt.name().to_owned(),
            IncidentEvent::TaskFeedback { result, text, photos, .. } => {
                line.detail = result.name().to_owned();
                line.text = self.free(*text);
                line.blobs = photos.iter().map(ToString::to_string).collect();
            }
            IncidentEvent::TaskDeclined { reason, .. } | IncidentEvent::ReworkOrdered { reason, .. } => {
                line.text = self.free(Some(*reason));
            }
            IncidentEvent::TaskRecalled { reason, .. } => line.text = self.free(*reason),
            // The kind says it all.
            IncidentEvent::Accepted { .. }
            | IncidentEvent::Approved { .. }
            | IncidentEvent::TaskAcknowledged { .. }
            | IncidentEvent::TaskEnRoute { .. }
            | IncidentEvent::TaskOnScene { .. } => {}
        }
    }

    fn message_line(&self, line: &mut feed::Event, what: &MessageEvent) {
        match what {
            MessageEvent::Kept { message } => {
                line.detail = if message.inbound { "inbound" } else { "outbound" }.to_owned();
                line.text = self.free(Some(message.text));
                line.place = message.place.as_ref().map(|p| self.place(p));
                line.alarm = message.alarm.map_or(0, |a| a.0);
            }
            MessageEvent::Sent { ok, .. } => line.detail = if *ok { "sent" } else { "failed" }.to_owned(),
        }
    }
}

fn patrol_line(line: &mut feed::Event, what: &PatrolEvent) {
    match what {
        PatrolEvent::Planned { kind, subject, .. } => {
            line.detail = kind.name().to_owned();
            line.source = subject.clone();
        }
        PatrolEvent::Found { finding, .. } => {
            line.detail = finding.what.clone();
            line.source = source_name(&finding.source).1;
            line.alarm = finding.alarm.map_or(0, |a| a.0);
        }
        // The kind says it all.
        PatrolEvent::Started { .. } | PatrolEvent::Finished { .. } => {}
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
