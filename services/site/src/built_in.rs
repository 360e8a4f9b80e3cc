//! The site that is part of the program: the files of `deploy/site/maojiawan`.

use std::sync::{Arc, LazyLock};

use domain::site::Site;

use crate::{fault::Desk, files::Texts, tables};

macro_rules! embedded {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../../deploy/site/maojiawan/", $name)))),*]
    };
}

const FILES: &[(&str, &str)] = embedded!(
    "site.toml" "communities.csv" "grids.csv" "buildings.csv" "landmarks.csv" "cameras.csv" "sensors.csv" "units.csv"
    "classes.toml" "alarm_kinds.toml" "tours.toml" "communities.geojson" "grids.geojson" "buildings.geojson"
    "landmarks.geojson" "paths.geojson"
);

static SITE: LazyLock<Arc<Site>> = LazyLock::new(|| {
    let desk = Desk::default();
    let site = tables::read(&desk, &Texts::embedded(FILES));
    match desk.finish(site) {
        Ok(site) => Arc::new(site),
        Err(faults) => unreachable!("the files of the program hold no fault, a test reads them: {faults}"),
    }
});

/// The site of a centre that names no folder of its own, 卯家湾.
pub fn built_in() -> Arc<Site> {
    SITE.clone()
}
