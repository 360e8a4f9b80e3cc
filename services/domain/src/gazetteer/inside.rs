//! Unit, floor and flat, directly after the words for a building.

use super::{Token, at_building, number, other};
use crate::site::{Building, Place};

/// The parts of a place within a building.
#[derive(Clone, Copy, Default)]
struct Parts {
    unit: Option<u16>,
    floor: Option<i16>,
    flat: Option<u16>,
}

/// The place in `building` that the tokens from `at` on tell; what does not fit the building is left out.
pub(super) fn place(building: &Building, tokens: &[Token], at: usize) -> Place {
    let parts = spelled(tokens, at).or_else(|| worded(tokens, at)).unwrap_or_default();
    let unit = parts.unit.and_then(|u| u8::try_from(u).ok()).filter(|u| (1..=building.units).contains(u));
    let fits = parts.unit.is_none() || unit.is_some();
    let floor = parts.floor.and_then(|f| i8::try_from(f).ok()).filter(|f| fits && floor_fits(building, *f));
    let flat = parts.flat.and_then(|f| u8::try_from(f).ok()).filter(|f| (1..=building.flats_per_floor).contains(f));
    Place { unit, floor, flat: flat.filter(|_| floor.is_some()), ..at_building(building) }
}

fn floor_fits(building: &Building, floor: i8) -> bool {
    floor != 0 && floor >= -2 && i16::from(floor) <= i16::from(building.floors)
}

/// Whether the numbers from `at` on are an address in `building`, each of them.
pub(super) fn fits(building: &Building, tokens: &[Token], at: usize) -> bool {
    let Some(parts) = spelled(tokens, at) else { return false };
    let unit = parts.unit.is_none_or(|u| u >= 1 && u <= u16::from(building.units));
    let floor = parts.floor.and_then(|f| i8::try_from(f).ok()).is_some_and(|f| floor_fits(building, f));
    let flat = parts.flat.is_none_or(|f| f >= 1 && f <= u16::from(building.flats_per_floor));
    unit && floor && flat
}

/// Whether the number at `at` begins an address in digits alone: 12-2-6, 12-602, 12 2 601; two numbers with a blank only
/// where nothing else is written.
pub(super) fn chain(tokens: &[Token], at: usize) -> bool {
    let (Some(first), Some(join), Some(second)) = (number(tokens, at), other(tokens, at + 1), number(tokens, at + 2))
    else {
        return false;
    };
    if first.chinese || !" -#".contains(join) {
        return false;
    }
    let third = other(tokens, at + 3).filter(|c| " -".contains(*c)).and_then(|_| number(tokens, at + 4));
    let room = second.length >= 3;
    third.is_some() || join == '#' || (room && (join == '-' || (at == 0 && tokens.len() == 3)))
}

/// `-2-602`, `-2-6`, `-602`, ` 2 601`: from the joint on.
fn spelled(tokens: &[Token], at: usize) -> Option<Parts> {
    let joint = |at: usize| other(tokens, at).is_some_and(|c| " -#".contains(c));
    // `12栋2-6` and `12#2-6` have no joint before the unit.
    let first_at = if joint(at) { at + 1 } else { at };
    let first = number(tokens, first_at).filter(|n| !n.chinese)?;
    let second = joint(first_at + 1).then(|| number(tokens, first_at + 2)).flatten();
    let third = joint(first_at + 3).then(|| number(tokens, first_at + 4)).flatten();
    match (second, third) {
        (Some(_), Some(third)) if joint(first_at + 5) && number(tokens, first_at + 6).is_some() => {
            let _ = third;
            None
        }
        (Some(floor), Some(flat)) => Some(Parts { unit: first.value, floor: signed(floor.value), flat: flat.value }),
        (Some(second), None) if first.length <= 2 => {
            if second.length >= 3 {
                let (floor, flat) = room(second.value, second.length)?;
                return ended(tokens, first_at + 3).then_some(Parts {
                    unit: first.value,
                    floor: Some(floor),
                    flat: Some(flat),
                });
            }
            ended(tokens, first_at + 3).then_some(Parts { unit: first.value, floor: signed(second.value), flat: None })
        }
        (None, _) if first.length >= 3 => {
            let (floor, flat) = room(first.value, first.length)?;
            ended(tokens, first_at + 1).then_some(Parts { unit: None, floor: Some(floor), flat: Some(flat) })
        }
        _ => None,
    }
}

/// Not a number of people, minutes or yuan.
fn ended(tokens: &[Token], at: usize) -> bool {
    !other(tokens, at).is_some_and(|c| "个人分秒点时元块月日年米度%号栋单".contains(c) && c != '号')
}

fn signed(value: Option<u16>) -> Option<i16> {
    value.and_then(|v| i16::try_from(v).ok())
}

/// `604` or `1204` as floor and flat.
fn room(value: Option<u16>, length: usize) -> Option<(i16, u16)> {
    let value = value.filter(|_| (3..=4).contains(&length))?;
    Some((i16::try_from(value / 100).ok()?, value % 100))
}

/// `2单元6层`, `2单元604室`, `6楼4号`, `地下1层`.
fn worded(tokens: &[Token], at: usize) -> Option<Parts> {
    let mut at = skip(tokens, at);
    let mut parts = Parts::default();
    if other(tokens, at + 1) == Some('单') && other(tokens, at + 2) == Some('元') {
        parts.unit = Some(number(tokens, at)?.value?);
        // 2单元和3单元 is neither.
        let next = at + 3;
        if other(tokens, next).is_some_and(super::joins) && other(tokens, next + 2) == Some('单') {
            return Some(Parts::default());
        }
        at = skip(tokens, next);
        let rest = spelled_room(tokens, at);
        if rest.is_some() {
            return rest.map(|(floor, flat)| Parts { floor: Some(floor), flat: Some(flat), ..parts });
        }
    }
    let below = match (other(tokens, at), other(tokens, at + 1)) {
        (Some('负'), _) => Some(1),
        (Some('地'), Some('下')) => Some(2),
        _ => None,
    };
    at += below.unwrap_or(0);
    let storey = matches!(other(tokens, at + 1), Some('层' | '楼'));
    if let (true, Some(floor)) = (storey, number(tokens, at).and_then(|n| signed(n.value))) {
        parts.floor = Some(if below.is_some() { -floor } else { floor });
        let flat = skip(tokens, at + 2);
        parts.flat = match (number(tokens, flat), other(tokens, flat + 1)) {
            (Some(n), Some('号' | '室' | '户')) if n.length <= 2 => n.value,
            (Some(n), _) if n.length >= 3 => room(n.value, n.length).filter(|r| r.0 == floor).map(|r| r.1),
            _ => None,
        };
        return Some(parts);
    }
    if parts.unit.is_none() {
        return spelled_room(tokens, at).map(|(floor, flat)| Parts { floor: Some(floor), flat: Some(flat), ..parts });
    }
    // 2单元6: the floor, as in 2-6.
    let bare = number(tokens, at).filter(|n| n.length <= 2 && !n.chinese && ended(tokens, at + 1));
    parts.floor = bare.and_then(|n| signed(n.value));
    Some(parts)
}

fn spelled_room(tokens: &[Token], at: usize) -> Option<(i16, u16)> {
    let n = number(tokens, at).filter(|n| !n.chinese)?;
    room(n.value, n.length).filter(|_| ended(tokens, at + 1))
}

fn skip(tokens: &[Token], at: usize) -> usize {
    let filler = |at: usize| other(tokens, at).is_some_and(|c| " ,，、的第-".contains(c));
    (at..).take(3).find(|n| !filler(*n)).unwrap_or(at)
}
