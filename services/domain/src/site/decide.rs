//! What others ask of the site while they decide.

use crate::{
    decide::Draft,
    refusal::{Code, Refusal},
    site::Place,
};

impl Draft<'_> {
    /// The place is one of the site, and its parts belong together.
    pub(crate) fn check_place(&self, place: &Place) -> Result<(), Refusal> {
        let site = self.site()?;
        let building = place.building.as_ref().map(|b| site.building(b));
        let fits = match building {
            Some(None) => false,
            Some(Some(b)) => {
                b.grid == place.grid
                    && place.unit.is_none_or(|u| (1..=b.units).contains(&u))
                    && place.floor.is_none_or(|f| f >= -2 && i16::from(f) <= i16::from(b.floors))
                    && place.flat.is_none_or(|f| (1..=b.flats_per_floor).contains(&f))
            }
            None => place.unit.is_none() && place.floor.is_none() && place.flat.is_none(),
        };
        let landmark = place.landmark.as_ref().is_none_or(|l| site.landmark(l).is_some());
        let point = place.point.x.is_finite() && place.point.y.is_finite();
        if fits && landmark && point && site.grid(&place.grid).is_some() {
            Ok(())
        } else {
            Err(Refusal::field(Code::NoPlace, "place"))
        }
    }
}
