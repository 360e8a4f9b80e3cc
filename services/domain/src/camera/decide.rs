//! What the media role says of a camera becomes its facts, and an alarm once it lasts.

use crate::{
    alarm::{Evidence, Source},
    camera::CameraEvent,
    decide::Draft,
    ids::*,
    refusal::{Code, Refusal},
    site::{Place, Precision},
    time::Timestamp,
};

impl Draft<'_> {
    /// A fault that has stood long enough is an alarm of the kind `alarm`.
    pub(crate) fn camera(
        &mut self,
        camera: &CameraId,
        state: &str,
        fault: Option<&str>,
        since: Timestamp,
        alarm: Option<&AlarmKindId>,
    ) -> Result<(), Refusal> {
        let found = self.site()?.camera(camera).ok_or(Refusal::new(Code::NoDevice))?;
        let known = self.base.cameras.get(camera);
        if known.is_none_or(|k| k.state != state || k.fault.as_deref() != fault) {
            let (camera, state, fault) = (camera.clone(), state.to_owned(), fault.map(str::to_owned));
            self.emit(CameraEvent::Changed { camera, state, fault, since });
        }
        let source = Source::Camera(camera.clone());
        match alarm {
            Some(kind) => {
                let place = Place {
                    building: found.building.clone(),
                    precision: Precision::Verified,
                    ..Place::about(found.grid.clone(), found.at)
                };
                let evidence = Evidence { source, kind: kind.clone(), at: since, value: None, text: None };
                self.evidence(&place, evidence)?;
            }
            None if state == "online" && fault.is_none() => self.source_cleared(&source),
            // Not well, only not for long enough in this way: an alarm that stands goes on.
            None => {}
        }
        Ok(())
    }
}
