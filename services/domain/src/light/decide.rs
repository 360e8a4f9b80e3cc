//! A department's light changes as its connector sees it.

use crate::{
    decide::Draft,
    ids::UnitId,
    light::{Light, LightEvent},
    refusal::{Code, Refusal},
    time::Timestamp,
};

impl Draft<'_> {
    pub(crate) fn light(&mut self, unit: &UnitId, light: Light, last: Option<Timestamp>) -> Result<(), Refusal> {
        self.site()?.unit(unit).ok_or(Refusal::new(Code::NoUnit))?;
        self.emit(LightEvent::Changed { unit: unit.clone(), light, last });
        Ok(())
    }
}
