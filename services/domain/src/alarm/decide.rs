//! Alarms: raise, correlate by place, kind and time, confirm, judge, shelve; and what time does to them.

use crate::{
    alarm::{Alarm, AlarmEvent, Evidence, MAX_SHELF, Source, SourceState, Verdict},
    attention::Why,
    decide::Draft,
    event::By,
    ids::*,
    incident::{Channel, Exhibit, Incident, IncidentEvent, MAX_EXHIBITS},
    input::{ExhibitOf, Outgoing},
    refusal::{Code, Refusal},
    site::{AlarmKind, Level, Place},
    text::{Ref, Subject},
    time::{Millis, Timestamp},
};

/// A clip shows this long before an alarm …
const CLIP_BEFORE: Millis = Millis::seconds(-10);
/// … and this long after it.
const CLIP_AFTER: Millis = Millis::seconds(20);
/// Cameras whose clip is kept with an alarm.
const CLIP_CAMERAS: usize = 2;
/// An alarm that was over for this long and comes back is a new moment with pictures of its own.
const CLIP_AGAIN: Millis = Millis::minutes(10);

impl Draft<'_> {
    pub(crate) fn confirm_alarm(&mut self, alarm: AlarmId) -> Result<(), Refusal> {
        if self.alarm_in_mode(alarm)?.confirmed.is_some() {
            return Err(Code::AlreadyConfirmed.into());
        }
        self.emit(AlarmEvent::Confirmed { alarm });
        self.out.refs.alarm = Some(alarm);
        Ok(())
    }

    pub(crate) fn shelve(&mut self, alarm: AlarmId, span: Millis, reason: &str) -> Result<(), Refusal> {
        let found = self.alarm_in_mode(alarm)?;
        if found.shelf.is_some() {
            return Err(Code::AlreadyShelved.into());
        }
        if found.judged.is_some() {
            return Err(Code::AlreadyJudged.into());
        }
        if span.0 <= 0 || span > MAX_SHELF {
            return Err(Refusal::field(Code::ShelfTooLong, "minutes"));
        }
        let reason = self.text(Subject::Alarm(alarm), reason, Code::ReasonMissing, "reason")?;
        let until = self.now() + span;
        self.emit(AlarmEvent::Shelved { alarm, until, reason });
        self.out.refs.alarm = Some(alarm);
        Ok(())
    }

    pub(crate) fn unshelve(&mut self, alarm: AlarmId) -> Result<(), Refusal> {
        if self.alarm_in_mode(alarm)?.shelf.is_none() {
            return Err(Code::NotShelved.into());
        }
        self.emit(AlarmEvent::Unshelved { alarm });
        self.out.refs.alarm = Some(alarm);
        Ok(())
    }

    /// A department's report is a condition like any other until a person judges it.
    pub(crate) fn unit_report(
        &mut self,
        unit: &UnitId,
        external: &str,
        class: &ClassId,
        place: &Place,
        text: Option<&str>,
    ) -> Result<(), Refusal> {
        self.by = By::Unit(unit.clone());
        let site = self.site()?;
        site.unit(unit).ok_or(Refusal::field(Code::NoUnit, "unit"))?;
        self.class(class)?;
        if !place.is_unknown() {
            self.check_place(place)?;
        }
        let kind = site.kind_of_report(class).ok_or(Refusal::field(Code::NoRule, "class"))?.id.clone();
        let source = Source::Unit { unit: unit.clone(), external: external.to_owned() };
        let evidence = Evidence { source, kind, at: self.now(), value: None, text: None };
        if place.is_unknown() {
            let text = self.optional_text(Subject::Alarm(AlarmId(self.counters.alarm)), text, "text")?;
            let alarm = self.raise_unplaced(Evidence { text, ..evidence })?;
            self.out.refs.alarm = Some(alarm);
            self.out.refs.code = Some(self.alarm(alarm)?.code.clone());
            return Ok(());
        }
        self.said(place, evidence, text)?;
        Ok(())
    }

    /// A rule over records found something.
    pub(crate) fn rule_hit(
        &mut self,
        rule: &RuleId,
        kind: &AlarmKindId,
        key: &str,
        place: &Place,
        text: Option<&str>,
    ) -> Result<(), Refusal> {
        self.by = By::Rule(rule.clone());
        let source = Source::Rule { rule: rule.clone(), key: key.to_owned() };
        if place.is_unknown() {
            return self.unplaced_hit(source, kind, text);
        }
        self.check_place(place)?;
        let evidence = Evidence { source, kind: kind.clone(), at: self.now(), value: None, text: None };
        self.said(place, evidence, text)?;
        Ok(())
    }

    /// A finding that no place is known for: an alarm of its own, which a person places. The same finding joins it as long
    /// as it is open.
    fn unplaced_hit(&mut self, source: Source, kind: &AlarmKindId, text: Option<&str>) -> Result<(), Refusal> {
        let same = |s: &SourceState| s.evidence.source == source;
        let open = |a: &&Alarm| a.judged.is_none() && a.mode == self.mode && a.sources.iter().any(same);
        let known = self.base.alarms.values().rev().find(open).map(|a| a.id);
        let subject = Subject::Alarm(known.unwrap_or(AlarmId(self.counters.alarm)));
        let found = self.kind(kind)?.clone();
        let text = self.optional_text(subject, text, "text")?;
        let evidence = Evidence { source, kind: kind.clone(), at: self.now(), value: None, text };
        let alarm = match known {
            Some(alarm) => {
                self.add_evidence(alarm, evidence, &found)?;
                alarm
            }
            None => self.raise_unplaced(evidence)?,
        };
        self.out.refs.alarm = Some(alarm);
        self.out.refs.code = Some(self.alarm(alarm)?.code.clone());
        Ok(())
    }

    pub(crate) fn judge(
        &mut self,
        id: AlarmId,
        verdict: Verdict,
        class: Option<&ClassId>,
        text: Option<&str>,
    ) -> Result<(), Refusal> {
        let alarm = self.alarm_in_mode(id)?;
        if alarm.judged.is_some() {
            return Err(Code::AlreadyJudged.into());
        }
        if alarm.confirmed.is_none() {
            return Err(Code::NotConfirmed.into());
        }
        let class = match class {
            Some(class) => self.class(class)?.id.clone(),
            None => self.kind(&alarm.kind.clone())?.class.clone(),
        };
        let text = self.optional_text(Subject::Alarm(id), text, "text")?;
        self.out.refs.alarm = Some(id);
        if verdict == Verdict::Genuine {
            self.open_incident(id, class, text, false)
        } else {
            self.emit(AlarmEvent::Judged { alarm: id, verdict, incident: None, text });
            Ok(())
        }
    }

    /// A genuine alarm becomes an incident that starts at accepted; one by a life-safety rule is filed as well.
    fn open_incident(&mut self, id: AlarmId, class: ClassId, text: Option<Ref>, file: bool) -> Result<(), Refusal> {
        let alarm = self.alarm(id)?.clone();
        let level = self.class(&class)?.level.max(alarm.level);
        let incident = IncidentId(self.counters.incident);
        self.counters.incident += 1;
        self.mode = alarm.mode;
        self.emit(AlarmEvent::Judged { alarm: id, verdict: Verdict::Genuine, incident: Some(incident), text });
        self.emit(IncidentEvent::Reported {
            incident,
            class: class.clone(),
            level,
            place: alarm.place.clone(),
            channel: Channel::Alarm,
            code: alarm.code.clone(),
            reporter: None,
            text: alarm.sources.iter().find_map(|s| s.evidence.text),
            alarm: Some(id),
        });
        self.emit(IncidentEvent::Accepted { incident });
        if file {
            self.emit(IncidentEvent::Filed { incident, class, level });
        }
        self.out.refs.incident = Some(incident);
        self.out.refs.code = Some(alarm.code);
        Ok(())
    }

    pub(crate) fn kind(&self, id: &AlarmKindId) -> Result<&AlarmKind, Refusal> {
        self.site()?.alarm_kind(id).ok_or(Refusal::field(Code::NoRule, "kind"))
    }

    /// Evidence with what its source said, sealed under the alarm that it goes to.
    pub(crate) fn said(&mut self, place: &Place, evidence: Evidence, text: Option<&str>) -> Result<AlarmId, Refusal> {
        let same = self.same_condition(place, &evidence, self.kind(&evidence.kind)?);
        let alarm = same.unwrap_or(AlarmId(self.counters.alarm));
        let text = self.optional_text(Subject::Alarm(alarm), text, "text")?;
        self.evidence(place, Evidence { text, ..evidence })
    }

    /// New evidence goes to the alarm of the same condition, or raises one.
    pub(crate) fn evidence(&mut self, place: &Place, evidence: Evidence) -> Result<AlarmId, Refusal> {
        let kind = self.kind(&evidence.kind)?.clone();
        let id = match self.same_condition(place, &evidence, &kind) {
            Some(id) => {
                self.add_evidence(id, evidence, &kind)?;
                id
            }
            None => self.raise(place, evidence, &kind)?,
        };
        self.out.refs.alarm = Some(id);
        self.open_by_rule(id)?;
        Ok(id)
    }

    /// The alarm of the same condition: of the same family, from the same source or near in place and time. One that was
    /// judged genuine goes on as long as its incident; one that was judged otherwise keeps only the sources it has, so that
    /// a false alarm that still stands hides no true one beside it.
    fn same_condition(&self, place: &Place, evidence: &Evidence, kind: &AlarmKind) -> Option<AlarmId> {
        let handled = |id: IncidentId| self.incident(id).is_ok_and(|i| i.open());
        let same = |alarm: &&Alarm| {
            let family = self.kind(&alarm.kind).is_ok_and(|k| k.family == kind.family);
            let source = alarm.sources.iter().any(|s| s.evidence.source == evidence.source);
            let recent = alarm.active() || (self.now() - alarm.last) <= kind.window;
            let building = place.building.is_some() && place.building == alarm.place.building;
            let near = recent && (building || place.point.distance(alarm.place.point) <= kind.radius);
            let joins = match alarm.judged.as_ref().map(|j| j.verdict) {
                None => source || near,
                Some(Verdict::Genuine) => (alarm.open() || alarm.incident.is_some_and(handled)) && (source || near),
                Some(_) => alarm.open() && source,
            };
            alarm.mode == self.mode && family && joins
        };
        self.base.alarms.values().rev().find(same).map(|a| a.id)
    }

    pub(crate) fn add_evidence(&mut self, id: AlarmId, evidence: Evidence, kind: &AlarmKind) -> Result<(), Refusal> {
        let alarm = self.alarm(id)?;
        let again = alarm.cleared.is_some_and(|t| self.now() - t >= CLIP_AGAIN);
        let again = again && evidence.source.lasts() && alarm.exhibits.len() + CLIP_CAMERAS <= MAX_EXHIBITS;
        let (place, filmed) = (alarm.place.clone(), evidence.at);
        let worse = self.is_worse(alarm, &evidence, kind) || again;
        let is_camera = matches!(evidence.source, Source::Camera(_));
        let shown = self.kind(&alarm.kind)?;
        // What a device measures tells more than what somebody says.
        let telling = |k: &AlarmKind| (k.level, k.words.is_empty());
        let shown = if telling(kind) > telling(shown) { kind.id.clone() } else { shown.id.clone() };
        let level = alarm.level.max(kind.level);
        self.emit(AlarmEvent::EvidenceAdded { alarm: id, level, kind: shown, evidence });
        if worse {
            self.sound_worse(id)?;
        }
        if again && level > Level::Normal && !is_camera { self.clips(id, &place, filmed) } else { Ok(()) }
    }

    /// A higher level, or a further device at red.
    fn is_worse(&self, alarm: &Alarm, evidence: &Evidence, kind: &AlarmKind) -> bool {
        let known = alarm.sources.iter().any(|s| s.evidence.source == evidence.source);
        kind.level > alarm.level || (alarm.level == Level::Red && evidence.source.lasts() && !known)
    }

    /// Whoever took it hears of it again: by the case, once it is one.
    fn sound_worse(&mut self, id: AlarmId) -> Result<(), Refusal> {
        let alarm = self.alarm(id)?;
        let case = alarm.incident.filter(|i| self.incident(*i).is_ok_and(Incident::open));
        if let Some(case) = case {
            self.call(case, Why::Worse, None);
        } else if alarm.confirmed.is_some() && alarm.judged.is_none() {
            self.emit_as(By::System, AlarmEvent::Sounded { alarm: id });
        }
        Ok(())
    }

    fn raise(&mut self, place: &Place, evidence: Evidence, kind: &AlarmKind) -> Result<AlarmId, Refusal> {
        let id = AlarmId(self.counters.alarm);
        self.counters.alarm += 1;
        let code = self.case_code();
        let (at, is_camera) = (evidence.at, matches!(evidence.source, Source::Camera(_)));
        let (level, place) = (kind.level, place.clone());
        self.emit(AlarmEvent::Raised {
            alarm: id,
            kind: kind.id.clone(),
            level,
            place: place.clone(),
            code: code.clone(),
            evidence,
        });
        self.out.refs.code = Some(code);
        if level > Level::Normal && !is_camera {
            self.clips(id, &place, at)?;
        }
        Ok(id)
    }

    fn clips(&mut self, alarm: AlarmId, place: &Place, at: Timestamp) -> Result<(), Refusal> {
        // A source whose clock is off must not ask for pictures of another day.
        let at = if (self.now() - at).0.abs() > Millis::minutes(1).0 { self.now() } else { at };
        for camera in self.site()?.nearest_cameras(place, CLIP_CAMERAS) {
            self.out.outgoing.push(Outgoing::Clip { alarm, camera, from: at + CLIP_BEFORE, to: at + CLIP_AFTER });
        }
        Ok(())
    }

    /// Life-safety rules of the site open an incident at once.
    fn open_by_rule(&mut self, id: AlarmId) -> Result<(), Refusal> {
        let alarm = self.alarm(id)?;
        if alarm.judged.is_some() {
            return Ok(());
        }
        let kinds: Vec<&AlarmKind> = alarm.sources.iter().filter_map(|s| self.kind(&s.evidence.kind).ok()).collect();
        let sources = alarm.sources.iter().filter(|s| s.evidence.source.lasts()).count();
        let rule = kinds.iter().find(|k| k.opens_with.is_some_and(|n| sources >= usize::from(n)));
        let Some(rule) = rule else { return Ok(()) };
        let class = rule.class.clone();
        let by = By::Rule(RuleId::new(format!("life_safety/{}", rule.family)));
        let before = std::mem::replace(&mut self.by, by);
        if self.alarm(id)?.confirmed.is_none() {
            self.emit(AlarmEvent::Confirmed { alarm: id });
        }
        let opened = self.open_incident(id, class, None, true);
        if let Some(incident) = self.alarm(id)?.incident {
            self.call(incident, Why::Opened, None);
        }
        self.by = before;
        opened
    }

    /// One source is back to normal.
    pub(crate) fn source_cleared(&mut self, source: &Source) {
        let active = |a: &&Alarm| a.sources.iter().any(|s| s.active && &s.evidence.source == source);
        let found: Vec<AlarmId> = self.base.alarms.values().filter(active).map(|a| a.id).collect();
        for alarm in found {
            self.emit(AlarmEvent::SourceCleared { alarm, source: source.clone() });
        }
    }

    pub(crate) fn add_exhibit(&mut self, of: ExhibitOf, exhibit: &Exhibit) -> Result<(), Refusal> {
        match of {
            ExhibitOf::Alarm(alarm) => {
                let found = self.alarm(alarm)?;
                if found.exhibits.len() >= MAX_EXHIBITS {
                    return Err(Code::TooMany.into());
                }
                self.mode = found.mode;
                self.out.refs.alarm = Some(alarm);
                self.emit(AlarmEvent::ExhibitAdded { alarm, exhibit: exhibit.clone() });
            }
            ExhibitOf::Incident(incident) => {
                let found = self.incident_in_mode(incident)?;
                if found.exhibits.len() >= MAX_EXHIBITS {
                    return Err(Code::TooMany.into());
                }
                self.out.refs.incident = Some(incident);
                self.emit(IncidentEvent::ExhibitAdded { incident, exhibit: exhibit.clone() });
            }
        }
        Ok(())
    }
}
