//! What sensors say of themselves, and credentials of devices at the broker.

use crate::{
    alarm::{Evidence, Source},
    decide::Draft,
    device::{CredentialEvent, MAX_BEHIND, MAX_CREDENTIALS, SensorEvent, Voice, is_hash, is_name},
    event::By,
    ids::*,
    refusal::{Code, Refusal},
    text::{SecretKind, Subject},
    time::Timestamp,
};

impl Draft<'_> {
    /// A rule of a sensor crossed its edge: evidence, or the end of it.
    pub(crate) fn sensor_edge(
        &mut self,
        sensor: &SensorId,
        rule: &RuleId,
        kind: &AlarmKindId,
        raised: bool,
        value: Option<f64>,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        self.by = By::Rule(rule.clone());
        let found = self.site()?.sensor(sensor).ok_or(Refusal::new(Code::NoDevice))?;
        let source = Source::Sensor { sensor: sensor.clone(), rule: rule.clone() };
        if raised {
            let evidence = Evidence { source, kind: kind.clone(), at, value, text: None };
            self.evidence(&found.place, evidence)?;
        } else {
            self.source_cleared(&source);
        }
        Ok(())
    }

    pub(crate) fn sensor_link(&mut self, sensor: &SensorId, online: bool) -> Result<(), Refusal> {
        self.site()?.sensor(sensor).ok_or(Refusal::new(Code::NoDevice))?;
        if self.base.sensors.get(sensor).map(|s| s.online) != Some(online) {
            self.emit(SensorEvent::Linked { sensor: sensor.clone(), online });
        }
        Ok(())
    }

    /// In place of any before, so that a lost secret is replaced in one step.
    pub(crate) fn issue_credential(
        &mut self,
        device: &DeviceId,
        voice: Voice,
        behind: &[SensorId],
        hash: &str,
    ) -> Result<(), Refusal> {
        let site = self.site()?;
        let registered = |id: &SensorId| site.sensor(id).is_some();
        match (voice, registered(&device.as_str().into())) {
            (Voice::Own, false) => return Err(Code::NoDevice.into()),
            (Voice::Own, true) | (_, false) => {}
            (_, true) => return Err(Code::DeviceTaken.into()),
        }
        if !is_name(device.as_str()) {
            return Err(Code::BadDevice.into());
        }
        if behind.len() > MAX_BEHIND {
            return Err(Refusal::field(Code::TooMany, "behind"));
        }
        // Those who list their sensors name some, the others none.
        if behind.is_empty() == voice.lists() || !behind.iter().all(registered) {
            return Err(Refusal::field(Code::NoDevice, "behind"));
        }
        if !behind.iter().all(|id| is_name(id.as_str())) {
            return Err(Refusal::field(Code::BadDevice, "behind"));
        }
        if !is_hash(hash) {
            return Err(Code::BadHash.into());
        }
        let known = &self.base.credentials;
        if known.len() >= MAX_CREDENTIALS && !known.contains_key(device) {
            return Err(Code::TooMany.into());
        }
        let hash = self.seal(Subject::Device(device.clone()), SecretKind::Text, hash);
        self.emit(CredentialEvent::Issued { device: device.clone(), voice, behind: behind.to_vec(), hash });
        Ok(())
    }

    pub(crate) fn revoke_credential(&mut self, device: &DeviceId) -> Result<(), Refusal> {
        if self.base.credentials.get(device).is_none_or(|c| c.hash.is_none()) {
            return Err(Code::NoCredential.into());
        }
        self.emit(CredentialEvent::Revoked { device: device.clone() });
        Ok(())
    }
}
