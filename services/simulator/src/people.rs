//! Synthetic households. No name or number here belongs to a person: names are a surname and 某, telephone numbers lie
//! in the range 199 0000 0000 to 199 0000 9999, which the simulator keeps for itself.

use domain::{
    ids::BuildingId,
    site::{Building, Site},
};

use crate::seed::Dice;

/// Surnames, common ones more often.
const SURNAMES: [&str; 24] = [
    "李", "王", "张", "陈", "杨", "刘", "马", "罗", "周", "赵", "吴", "孙", "朱", "何", "胡", "林", "郭", "唐", "蒋",
    "邓", "陶", "龙", "卯", "彭",
];
/// How many of one name are told apart, as 某甲, 某乙 …
const MARKS: [&str; 6] = ["", "甲", "乙", "丙", "丁", "戊"];

/// A person who does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Surname and 某.
    pub name: String,
    /// Age, years.
    pub age: u8,
    /// Needs care in an emergency.
    pub care: bool,
}

/// A household that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Household {
    /// Building.
    pub building: BuildingId,
    /// Stairwell unit, from 1.
    pub unit: u8,
    /// Floor, from 1.
    pub floor: u8,
    /// Flat of the floor, from 1.
    pub flat: u8,
    /// Telephone, 11 digits of the synthetic range.
    pub phone: String,
    /// Members, the head first.
    pub people: Vec<Person>,
}

impl Household {
    /// The flat as people say it, e.g. `0604`.
    pub fn door(&self) -> String {
        format!("{:02}{:02}", self.floor, self.flat)
    }
}

/// The households of one building: as many, with as many people, minors and care needs, as the site says. Flats
/// beyond the number of households stay empty. The same seed gives the same people.
pub fn households(site: &Site, seed: u64, building: &BuildingId) -> Vec<Household> {
    let Some(b) = site.building(building) else { return Vec::new() };
    let mut dice = Dice::new(seed, &format!("people {building}"));
    let mut doors = doors(b);
    while doors.len() > usize::from(b.households) {
        let empty = dice.below(doors.len());
        doors.remove(empty);
    }
    let sizes = sizes(&mut dice, usize::from(b.people), doors.len());
    let mut homes: Vec<_> = doors
        .into_iter()
        .zip(sizes)
        .map(|((unit, floor, flat), size)| Household {
            building: b.id.clone(),
            unit,
            floor,
            flat,
            phone: format!("1990000{:04}", dice.below(10_000)),
            people: family(&mut dice, size),
        })
        .collect();
    young(&mut dice, &mut homes, usize::from(b.minors));
    cared(&mut dice, &mut homes, usize::from(b.care_needs));
    homes
}

fn doors(b: &Building) -> Vec<(u8, u8, u8)> {
    let floors = (1..=b.floors).flat_map(|f| (1..=b.flats_per_floor).map(move |flat| (f, flat)));
    let floors: Vec<_> = floors.collect();
    (1..=b.units).flat_map(|u| floors.iter().map(move |(f, flat)| (u, *f, *flat))).collect()
}

/// Sizes from 1 to 9 that add up to `people` (as far as nine a home allow).
fn sizes(dice: &mut Dice, people: usize, homes: usize) -> Vec<usize> {
    let mut sizes = vec![1; homes];
    let mut left = people.saturating_sub(homes).min(homes * 8);
    while left > 0 {
        let at = dice.below(homes);
        if let Some(size) = sizes.get_mut(at).filter(|s| **s < 9) {
            *size += 1;
            left -= 1;
        }
    }
    sizes
}

fn family(dice: &mut Dice, size: usize) -> Vec<Person> {
    let surname = |dice: &mut Dice| dice.pick(&SURNAMES).copied().unwrap_or("李");
    let own = surname(dice);
    (0..size)
        .map(|i| {
            let surname = if i == 1 { surname(dice) } else { own };
            let mark = if i == 0 { "" } else { MARKS.get(i % MARKS.len()).copied().unwrap_or("") };
            let age = u8::try_from(20 + dice.below(62)).unwrap_or(40);
            Person { name: format!("{surname}某{mark}"), age, care: false }
        })
        .collect()
}

/// Makes `count` people minors, never the head of a household while another can be.
fn young(dice: &mut Dice, homes: &mut [Household], count: usize) {
    let mut members: Vec<_> = homes.iter_mut().flat_map(|h| h.people.iter_mut().skip(1)).collect();
    for _ in 0..count.min(members.len()) {
        let person = members.swap_remove(dice.below(members.len()));
        person.age = u8::try_from(dice.below(18)).unwrap_or(10);
    }
}

/// Marks `count` people as in need of care: the oldest and the very young more often.
fn cared(dice: &mut Dice, homes: &mut [Household], count: usize) {
    let mut people: Vec<_> = homes.iter_mut().flat_map(|h| h.people.iter_mut()).collect();
    people.sort_by_key(|p| std::cmp::Reverse(p.age));
    for _ in 0..count.min(people.len()) {
        let at = dice.below(people.len().div_ceil(4));
        people.remove(at).care = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_building_has_the_households_and_people_that_the_site_counts() {
        let site = site::built_in();
        let (mut homes, mut people) = (0, 0);
        for b in &site.buildings {
            let all = households(&site, 1, &b.id);
            assert_eq!(all.len(), usize::from(b.households), "{}", b.id);
            let members: Vec<_> = all.iter().flat_map(|h| &h.people).collect();
            assert_eq!(members.len(), usize::from(b.people), "{}", b.id);
            assert_eq!(members.iter().filter(|p| p.age < 18).count(), usize::from(b.minors), "{}", b.id);
            assert_eq!(members.iter().filter(|p| p.care).count(), usize::from(b.care_needs), "{}", b.id);
            assert!(all.iter().all(|h| h.people.first().is_some_and(|p| p.age >= 18)), "{}", b.id);
            homes += all.len();
            people += members.len();
        }
        assert_eq!((homes, people), (9_100, 39_106));
    }

    #[test]
    fn nobody_is_real_and_a_seed_repeats() {
        let site = site::built_in();
        let id = BuildingId::new("b12");
        let all = households(&site, 1, &id);
        assert!(all.iter().all(|h| h.phone.len() == 11 && h.phone.starts_with("1990000")));
        assert!(all.iter().flat_map(|h| &h.people).all(|p| p.name.contains('某')));
        assert_eq!(all, households(&site, 1, &id));
        assert_ne!(all, households(&site, 2, &id));
        assert!(households(&site, 1, &BuildingId::new("none")).is_empty());
    }
}
