//! Plans, without carrying them out.
#![allow(clippy::unwrap_used)]

use super::*;

fn site() -> &'static Site {
    static SITE: std::sync::OnceLock<std::sync::Arc<Site>> = std::sync::OnceLock::new();
    SITE.get_or_init(site::built_in)
}

fn planned(request: &Request) -> Result<Plan, Refusal> {
    plan(site(), 1, &mut Dice::new(1, "happenings"), request, 1.0)
}

#[test]
fn a_fire_in_building_twelve_has_two_sources_a_camera_and_a_resident() {
    let plan = planned(&Request::at(Kind::Fire, 12)).unwrap();
    assert_eq!(plan.place, "12栋2单元6层");
    let smoke: Vec<_> = plan
        .deeds
        .iter()
        .filter_map(|(at, d)| match d {
            Deed::Force(s, v) if s.as_str() == "smoke-b12-2-06" => Some((at.as_secs(), *v)),
            _ => None,
        })
        .collect();
    assert!(smoke.len() >= 4 && smoke.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1), "{smoke:?}");
    assert!(plan.deeds.contains(&(Duration::from_secs(20), Deed::Force("call-b12-2-06".into(), 1.0))));
    assert!(plan.deeds.iter().any(|(_, d)| matches!(d, Deed::Fire(_, true))));
    let text = plan.deeds.iter().find_map(|(_, d)| match d {
        Deed::Text { from, text } => Some((from.clone(), text.clone())),
        _ => None,
    });
    let (from, text) = text.unwrap();
    assert!(from.starts_with("1990000") && text.starts_with("12栋2单元6楼"));
    let undo = plan.undo();
    assert!(
        undo.contains(&Deed::Release("smoke-b12-2-06".into())) && undo.contains(&Deed::Release("call-b12-2-06".into()))
    );
    assert_eq!(undo.iter().filter(|d| matches!(d, Deed::Fire(_, false))).count(), 1);
}

#[test]
fn every_kind_can_happen_everywhere_and_ids_are_unique() {
    let ids: std::collections::BTreeSet<_> = Kind::ALL.iter().map(|k| k.id()).collect();
    assert_eq!(ids.len(), Kind::ALL.len());
    for kind in Kind::ALL {
        for building in [1, 12, 40, 76] {
            let plan = planned(&Request::at(*kind, building)).unwrap();
            assert!(!plan.deeds.is_empty() && !plan.place.is_empty(), "{}", kind.id());
        }
    }
}

#[test]
fn every_fire_has_both_sources_on_one_floor() {
    let site = site();
    for b in &site.buildings {
        let plan = planned(&Request::at(Kind::Fire, b.number)).unwrap();
        let places: std::collections::BTreeSet<_> = plan
            .deeds
            .iter()
            .filter_map(|(_, d)| match d {
                Deed::Force(s, _) => site.sensor(s).map(|s| (s.place.building.clone(), s.place.unit, s.place.floor)),
                _ => None,
            })
            .collect();
        assert_eq!(places.len(), 1, "{}", b.id);
        assert_eq!(places.first().unwrap().0.as_ref(), Some(&b.id));
    }
}

#[test]
fn the_same_dice_give_the_same_plan_and_pace_scales_it() {
    let request = Request::at(Kind::SmsFlood, 5);
    let site = site();
    let make = |pace| plan(site, 1, &mut Dice::new(9, "x"), &request, pace).unwrap();
    assert_eq!(make(1.0), make(1.0));
    assert_eq!(make(0.1).deeds.last().unwrap().0 * 10, make(1.0).deeds.last().unwrap().0);
    assert_eq!(make(1.0).deeds.len(), 40);
}

#[test]
fn bad_requests_are_refused() {
    let kind = |k: &str| Request { kind: k.to_owned(), ..Request::default() };
    assert_eq!(planned(&kind("meteor")).unwrap_err().code(), "kind_unknown");
    assert_eq!(planned(&Request::at(Kind::Fire, 77)).unwrap_err().code(), "target_unknown");
    let camera = Request { camera: Some(238), ..kind("camera_dead") };
    assert_eq!(planned(&camera).unwrap_err().code(), "target_unknown");
    let department = Request { department: Some("property".to_owned()), ..kind("department_down") };
    assert_eq!(planned(&department).unwrap_err().code(), "target_unknown");
    for minutes in [0.0, -1.0, 241.0, f64::NAN] {
        let request = Request { minutes: Some(minutes), ..kind("fire") };
        assert_eq!(planned(&request).unwrap_err(), Refusal::Minutes);
    }
}
