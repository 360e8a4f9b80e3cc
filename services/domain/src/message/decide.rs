//! What residents write. A message is kept whatever it says. Urgent words ring with or without a place; what the same
//! number writes soon after joins and completes it. Answers are what the sender expects, and bounded.

use crate::{
    alarm::{Alarm, AlarmEvent, Evidence, Source},
    decide::Draft,
    event::By,
    gazetteer::{self, Reading},
    ids::*,
    incident::{IncidentEvent, Stage},
    input::Outgoing,
    message::{Message, MessageEvent},
    refusal::{Code, Refusal},
    site::{AlarmKind, Level, Place},
    text::{SecretKind, Subject, receives_answers},
    time::Millis,
};

/// What a number writes within this time may be about the same thing.
const SAME_MATTER: Millis = Millis::minutes(30);
/// A number gets at most this many answers in an hour; what it wrote is kept all the same.
const ANSWERS: usize = 6;
/// That hour.
const HOUR: Millis = Millis::minutes(60);
/// Cameras whose film is asked for once the place is known.
const CAMERAS: usize = 2;
/// Signs every answer.
const SIGN: &str = "【卯家湾综治中心】";

/// A message that is an instruction and no report.
#[derive(Debug, PartialEq, Eq)]
enum Word<'t> {
    /// 1 and 2: a responder takes or gives back a task.
    Task,
    /// 查 and a case code.
    Ask(&'t str),
    /// 停: no more notices.
    Stop,
    /// 谢谢, 收到, 好的.
    Thanks,
}

/// What became of a message.
enum Outcome {
    /// Kept for a person to look at; asks nobody.
    Kept,
    /// Kept; this is the answer.
    Answer(String),
    /// It belongs to this alarm.
    Alarm(AlarmId),
}

fn word(text: &str) -> Option<Word<'_>> {
    let text = text.trim().trim_end_matches(['。', '！', '!', '.', '~']);
    match text {
        "1" | "2" | "１" | "２" => return Some(Word::Task),
        "停" | "退订" | "TD" | "td" | "T" | "停止" => return Some(Word::Stop),
        "谢谢" | "谢谢你" | "谢谢您" | "谢谢你们" | "多谢" | "感谢" | "收到" | "好" | "好的" | "嗯" | "知道了"
        | "ok" | "OK" => {
            return Some(Word::Thanks);
        }
        _ => {}
    }
    let code = text.strip_prefix('查')?.trim_start_matches(['+', '＋', ' ', ':', '：', '询']).trim();
    let like = (6..=10).contains(&code.len()) && code.chars().all(|c| c.is_ascii_alphanumeric());
    like.then_some(Word::Ask(code))
}

impl Draft<'_> {
    /// The gateway took an outgoing message, or gave up.
    pub(crate) fn message_sent(&mut self, message: MessageId, ok: bool) -> Result<(), Refusal> {
        self.base.messages.get(&message).ok_or(Refusal::new(Code::NoMessage))?;
        self.emit(MessageEvent::Sent { message, ok });
        Ok(())
    }

    /// A message is kept, joins or raises an alarm where it can, and is answered. One without a person is a call that was
    /// refused elsewhere: it only waits for somebody to look at it.
    pub(crate) fn message_in(
        &mut self,
        from: &str,
        person: Option<String>,
        text: &str,
        place: Option<&Place>,
    ) -> Result<(), Refusal> {
        self.by = By::Resident;
        let id = MessageId(self.counters.message);
        let subject = person.clone().map_or(Subject::Message(id), Subject::Person);
        let sealed = self.text(subject.clone(), text, Code::TextMissing, "text")?;
        let phone = self.seal(subject.clone(), SecretKind::Phone, from);
        self.counters.message += 1;
        let answers = person.is_none() || self.answered(person.as_deref()) < ANSWERS;
        let mut message = Message {
            id,
            inbound: true,
            at: self.now(),
            phone,
            person,
            text: sealed,
            place: place.cloned(),
            alarm: None,
            reply_to: None,
            sent: None,
        };
        let outcome = self.understand(&mut message, text)?;
        let answer = match outcome {
            Outcome::Kept => None,
            Outcome::Answer(words) => Some((words, None)),
            Outcome::Alarm(alarm) => {
                message.alarm = Some(alarm);
                self.out.refs.alarm = Some(alarm);
                let found = self.alarm(alarm)?;
                let code = found.code.clone();
                let words = if found.place.is_unknown() {
                    format!("{SIGN}已报警，编号{code}。请马上回复具体地点，如“12栋2单元601”，并拨打119、110、120。")
                } else {
                    format!("{SIGN}已收到，受理编号 {code}。紧急情况请同时拨打 110、119、120。")
                };
                Some((words, Some(code)))
            }
        };
        let person = message.person.clone();
        self.emit(MessageEvent::Kept { message });
        self.out.refs.message = Some(id);
        if let Some((words, code)) = answer.filter(|_| answers && receives_answers(from)) {
            self.answer(id, phone, person, subject, &words);
            self.out.refs.code = code.or(self.out.refs.code.take());
        }
        Ok(())
    }

    fn understand(&mut self, message: &mut Message, text: &str) -> Result<Outcome, Refusal> {
        if message.person.is_none() && message.place.is_none() {
            return Ok(Outcome::Kept);
        }
        match word(text) {
            Some(Word::Thanks) => return Ok(Outcome::Kept),
            Some(Word::Stop) => {
                return Ok(Outcome::Answer(format!("{SIGN}不再向您发送一般通知，紧急通知除外。")));
            }
            Some(Word::Task) => {
                let words = format!("{SIGN}没有等待此号码签收的任务。报告情况请写明地点和事情。");
                return Ok(Outcome::Answer(words));
            }
            Some(Word::Ask(code)) => return Ok(Outcome::Answer(self.state_of(code))),
            None => {}
        }
        let corrects = text.trim_start().starts_with('改');
        let site = self.site()?;
        let kind = site.kind_of_words(text);
        let reading = match &message.place {
            Some(place) => Reading::At(place.clone()),
            None => gazetteer::read(site, text),
        };
        let earlier = message.person.as_deref().and_then(|p| self.earlier(p));
        if let Reading::At(place) = reading {
            message.place = Some(place.clone());
            return self.placed(message, &place, kind, earlier, corrects).map(Outcome::Alarm);
        }
        let urgent = kind.filter(|k| site.class(&k.class).is_some_and(|c| c.level == Level::Red));
        // About what the same number wrote before, unless it speaks of another emergency.
        if let Some(alarm) = earlier
            && self.same_matter(alarm, kind)
        {
            self.join(alarm, message, kind)?;
            return Ok(Outcome::Alarm(alarm));
        }
        let candidates = if let Reading::Unclear(places) = reading { places } else { Vec::new() };
        if let Some(kind) = urgent {
            let id = match gazetteer::around(&candidates) {
                Some(place) => self.evidence(&place, said(message, self.now(), kind))?,
                None => self.raise_unplaced(said(message, self.now(), kind))?,
            };
            return Ok(Outcome::Alarm(id));
        }
        let words = if candidates.is_empty() {
            format!("{SIGN}已收到。请补充地点，如“12栋2单元”，以便尽快处理。")
        } else {
            format!("{SIGN}已收到。地点不够明确，请只写一处，如“12栋2单元”。")
        };
        Ok(Outcome::Answer(words))
    }

    /// A message with a place completes or joins what its number wrote before, or is a condition of its own.
    fn placed(
        &mut self,
        message: &Message,
        place: &Place,
        kind: Option<&AlarmKind>,
        earlier: Option<AlarmId>,
        corrects: bool,
    ) -> Result<AlarmId, Refusal> {
        if let Some(id) = earlier.filter(|id| self.same_matter(*id, kind)) {
            let before = self.alarm(id)?.place.clone();
            let vague = before.building.is_none() && before.landmark.is_none();
            let same = before.building.is_some() && before.building == place.building;
            let finer = same && before.unit.is_none() && place.unit.is_some();
            if vague || corrects || finer {
                self.emit(AlarmEvent::Placed { alarm: id, place: place.clone() });
                self.follow(id, place)?;
            }
            if vague || corrects || same {
                self.join(id, message, kind)?;
                return Ok(id);
            }
        }
        let kind = match kind {
            Some(kind) => kind.clone(),
            None => self.kind(&AlarmKindId::new("message"))?.clone(),
        };
        self.evidence(place, said(message, self.now(), &kind))
    }

    /// The incident goes where its alarm was found to be, and the cameras there keep their film.
    fn follow(&mut self, id: AlarmId, place: &Place) -> Result<(), Refusal> {
        let incident = self.alarm(id)?.incident.and_then(|i| self.incident(i).ok());
        if let Some(found) = incident.filter(|i| i.open() && i.alarms.first() == Some(&id)) {
            let (incident, before) = (found.id, Some(found.place.clone()));
            self.emit(IncidentEvent::PlaceCorrected { incident, place: place.clone(), before });
        }
        let now = self.now();
        for camera in self.site()?.nearest_cameras(place, CAMERAS) {
            let (from, to) = (now + Millis::seconds(-10), now + Millis::seconds(20));
            self.out.outgoing.push(Outgoing::Clip { alarm: id, camera, from, to });
        }
        Ok(())
    }

    /// A person tells where an alarm is.
    pub(crate) fn place_alarm(&mut self, id: AlarmId, place: &Place) -> Result<(), Refusal> {
        self.check_place(place)?;
        let alarm = self.alarm_in_mode(id)?;
        let handled = |i: IncidentId| self.incident(i).is_ok_and(|i| i.open());
        if alarm.judged.is_some() && !alarm.incident.is_some_and(handled) {
            return Err(Code::AlreadyJudged.into());
        }
        self.emit(AlarmEvent::Placed { alarm: id, place: place.clone() });
        self.out.refs.alarm = Some(id);
        self.follow(id, place)
    }

    /// A person tells where a message of the inbox is about: it becomes an alarm there, or joins one.
    pub(crate) fn place_message(
        &mut self,
        id: MessageId,
        place: &Place,
        class: Option<&ClassId>,
    ) -> Result<(), Refusal> {
        self.check_place(place)?;
        let kept = self.base.messages.get(&id).filter(|m| m.inbound).ok_or(Refusal::new(Code::NoMessage))?;
        if let Some(alarm) = kept.alarm {
            return self.place_alarm(alarm, place);
        }
        let mut message = Message { place: Some(place.clone()), ..kept.clone() };
        let kind = match class {
            Some(class) => {
                self.class(class)?;
                self.site()?.kind_of_report(class).ok_or(Refusal::field(Code::NoRule, "class"))?.clone()
            }
            None => self.kind(&AlarmKindId::new("message"))?.clone(),
        };
        let alarm = self.evidence(place, said(&message, self.now(), &kind))?;
        message.alarm = Some(alarm);
        self.emit(MessageEvent::Kept { message });
        self.out.refs.message = Some(id);
        Ok(())
    }

    /// The newest alarm that still goes on to which this number wrote shortly before.
    fn earlier(&self, person: &str) -> Option<AlarmId> {
        let now = self.now();
        let recent = self.base.messages.values().rev().take_while(|m| now - m.at <= SAME_MATTER);
        let mut own = recent.filter(|m| m.inbound && m.person.as_deref() == Some(person)).filter_map(|m| m.alarm);
        own.find(|id| {
            let goes_on = |a: &Alarm| match (&a.judged, a.incident) {
                (None, _) => true,
                (_, Some(incident)) => self.incident(incident).is_ok_and(|i| i.open()),
                _ => false,
            };
            self.alarm(*id).is_ok_and(|a| a.mode == self.mode && goes_on(a))
        })
    }

    /// A text of this kind may be about that alarm: it speaks of nothing else.
    fn same_matter(&self, alarm: AlarmId, kind: Option<&AlarmKind>) -> bool {
        let Some(kind) = kind else { return true };
        let family = |id: &AlarmKindId| self.kind(id).map(|k| k.family.clone()).unwrap_or_default();
        self.alarm(alarm).is_ok_and(|a| {
            let own = family(&a.kind);
            // 救命 is said of everything, and what began as plain words may turn out to be a fire.
            own == kind.family || kind.family == "sos" || own == "sos" || own == "message"
        })
    }

    /// A text that names no matter of its own is of the alarm's family, as people's words are.
    fn join(&mut self, id: AlarmId, message: &Message, kind: Option<&AlarmKind>) -> Result<(), Refusal> {
        let shown = self.kind(&self.alarm(id)?.kind)?.clone();
        let words = self.site()?.alarm_kinds.iter().find(|k| k.family == shown.family && !k.words.is_empty());
        let kind = kind.or(words).unwrap_or(&shown).clone();
        let evidence = said(message, self.now(), &kind);
        self.add_evidence(id, evidence, &kind)
    }

    /// It rings, though nobody knows where: it correlates with nothing until it has a place.
    pub(crate) fn raise_unplaced(&mut self, evidence: Evidence) -> Result<AlarmId, Refusal> {
        let level = self.kind(&evidence.kind)?.level;
        let alarm = AlarmId(self.counters.alarm);
        self.counters.alarm += 1;
        let (kind, code) = (evidence.kind.clone(), self.case_code());
        self.emit(AlarmEvent::Raised { alarm, kind, level, place: gazetteer::unknown(), code, evidence });
        Ok(alarm)
    }

    /// How far the case of a code is; nothing personal.
    fn state_of(&self, code: &str) -> String {
        let code = code.to_ascii_uppercase();
        let incident = self.base.incidents.values().rev().find(|i| i.code == code);
        let alarm = self.base.alarms.values().rev().find(|a| a.code == code);
        let incident = incident.or_else(|| alarm.and_then(|a| a.incident).and_then(|i| self.base.incidents.get(&i)));
        let words = match (incident.map(|i| i.stage), alarm) {
            (Some(Stage::Closed), _) => "已办结",
            (Some(Stage::Rejected), _) => "未予受理",
            (Some(Stage::Merged), _) => "已并入同一事件办理",
            (Some(Stage::Reported | Stage::Accepted), _) => "已受理",
            (Some(_), _) => "正在办理",
            (None, Some(alarm)) if alarm.judged.is_some() => "已核实处理",
            (None, Some(_)) => "正在核实",
            (None, None) => return format!("{SIGN}没有查到编号 {code}，请核对后重发。"),
        };
        format!("{SIGN}编号 {code}：{words}。")
    }

    /// Answers that a number got in the last hour.
    fn answered(&self, person: Option<&str>) -> usize {
        let now = self.now();
        let recent = self.base.messages.values().rev().take_while(|m| now - m.at <= HOUR);
        recent.filter(|m| !m.inbound && m.reply_to.is_some() && m.person.as_deref() == person).count()
    }

    fn answer(&mut self, to: MessageId, phone: VaultId, person: Option<String>, subject: Subject, words: &str) {
        let text = self.seal(subject, SecretKind::Text, words);
        let id = MessageId(self.counters.message);
        self.counters.message += 1;
        let message = Message {
            id,
            inbound: false,
            at: self.now(),
            phone,
            person,
            text,
            place: None,
            alarm: None,
            reply_to: Some(to),
            sent: None,
        };
        self.emit_as(By::System, MessageEvent::Kept { message });
        self.send(Outgoing::Sms { message: id });
    }
}

fn said(message: &Message, at: crate::time::Timestamp, kind: &AlarmKind) -> Evidence {
    Evidence { source: Source::Message(message.id), kind: kind.id.clone(), at, value: None, text: Some(message.text) }
}
