//! The roster, accounts, devices, lights, patrols and messages for a screen.

use domain::{
    account::Account,
    camera::CameraFacts,
    ids::SensorId,
    light::DepartmentLight,
    message::Message,
    patrol::{Finding, Patrol},
};

use super::{View, case::source_name, ms};
use crate::feed;

impl View<'_> {
    pub(super) fn account(&self, account: &Account) -> feed::Account {
        feed::Account {
            id: account.id.to_string(),
            role: account.role.name().to_owned(),
            unit: account.unit.as_ref().map(ToString::to_string).unwrap_or_default(),
            grid: account.grid.as_ref().map(ToString::to_string).unwrap_or_default(),
            name: Some(self.published(account.name)),
            active: account.active,
        }
    }

    pub(super) fn duty(&self) -> feed::Duty {
        let holders = self.state.duty.iter().map(|(post, holder)| {
            let account = holder.account.as_ref().and_then(|id| self.state.accounts.get(id));
            feed::Holder {
                post: post.name().to_owned(),
                account: holder.account.as_ref().map(ToString::to_string).unwrap_or_default(),
                name: account.map(|a| self.published(a.name)),
                since: holder.since.0,
            }
        });
        feed::Duty { holders: holders.collect() }
    }

    pub(super) fn sensor(&self, id: &SensorId) -> Option<feed::SensorLink> {
        let facts = self.state.sensors.get(id)?;
        Some(feed::SensorLink { id: id.to_string(), online: facts.online, since: facts.since.0 })
    }

    pub(super) fn camera(&self, facts: &CameraFacts) -> feed::Camera {
        feed::Camera {
            id: facts.camera.to_string(),
            state: facts.state.clone(),
            fault: facts.fault.clone().unwrap_or_default(),
            since: facts.since.0,
        }
    }

    pub(super) fn light(&self, light: &DepartmentLight) -> feed::Light {
        feed::Light {
            unit: light.unit.to_string(),
            light: light.light.name().to_owned(),
            last: ms(light.last),
            since: light.since.0,
        }
    }

    pub(super) fn patrol(&self, patrol: &Patrol) -> feed::Patrol {
        feed::Patrol {
            id: patrol.id.0,
            kind: patrol.kind.name().to_owned(),
            subject: patrol.subject.clone(),
            due: patrol.due.0,
            started: ms(patrol.started),
            finished: ms(patrol.finished),
            total: patrol.total,
            checked: patrol.checked,
            findings: patrol.findings.iter().map(finding).collect(),
            unlisted: patrol.unlisted,
        }
    }

    pub(super) fn message(&self, message: &Message) -> feed::Message {
        let sent = match message.sent {
            None => "",
            Some(true) => "sent",
            Some(false) => "failed",
        };
        feed::Message {
            id: message.id.0,
            inbound: message.inbound,
            at: message.at.0,
            phone: self.person(Some(message.phone)),
            text: self.free(Some(message.text)),
            place: message.place.as_ref().map(|p| self.place(p)),
            alarm: message.alarm.map_or(0, |a| a.0),
            reply_to: message.reply_to.map_or(0, |m| m.0),
            sent: sent.to_owned(),
            cameras: message.place.as_ref().map(|p| self.nearest(p)).unwrap_or_default(),
        }
    }

    pub(super) fn unreadable(&self) -> feed::Unreadable {
        let unreadable = &self.state.unreadable;
        let count = |((source, why), count): (&(String, String), &u64)| feed::UnreadableCount {
            source: source.clone(),
            why: why.clone(),
            count: *count,
        };
        feed::Unreadable { counts: unreadable.counts.iter().map(count).collect(), last: ms(unreadable.last) }
    }
}

fn finding(finding: &Finding) -> feed::Finding {
    let (kind, id) = source_name(&finding.source);
    feed::Finding {
        at: finding.at.0,
        source_kind: kind.to_owned(),
        source_id: id,
        what: finding.what.clone(),
        alarm: finding.alarm.map_or(0, |a| a.0),
    }
}
