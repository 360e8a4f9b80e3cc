//! Credentials of devices at the broker.

use super::Draft;
use crate::{
    device::{MAX_BEHIND, MAX_CREDENTIALS, Voice, is_hash, is_name},
    event::Body,
    ids::*,
    refusal::{Code, Refusal},
    text::{SecretKind, Subject},
};

impl Draft<'_> {
    /// In place of any before, so that a lost secret is replaced in one step.
    pub(super) fn issue_credential(
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
        self.emit(Body::DeviceCredentialIssued { device: device.clone(), voice, behind: behind.to_vec(), hash });
        Ok(())
    }

    pub(super) fn revoke_credential(&mut self, device: &DeviceId) -> Result<(), Refusal> {
        if self.base.credentials.get(device).is_none_or(|c| c.hash.is_none()) {
            return Err(Code::NoCredential.into());
        }
        self.emit(Body::DeviceCredentialRevoked { device: device.clone() });
        Ok(())
    }
}
