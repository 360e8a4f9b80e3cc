//! Place words in what people write: `12栋2单元6层`, `三社区广场`, local names, `12栋604`.

use crate::site::{Building, Landmark, Place, Point, Site};

/// The place that `text` names, as exactly as it does; `None` if it names none or more than one building.
pub fn locate(site: &Site, text: &str) -> Option<Place> {
    let text = normalise(text);
    if let Some((building, rest)) = find_building(site, &text) {
        return Some(inside(building, rest));
    }
    find_landmark(site, &text).map(at_landmark).or_else(|| find_community(site, &text))
}

/// Full-width and Chinese digits as ASCII, `幢`/`号楼` as `栋`, no blanks.
fn normalise(text: &str) -> String {
    let narrow = text.chars().filter(|c| !c.is_whitespace()).map(|c| match c {
        '０'..='９' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        '幢' | '棟' => '栋',
        '楼' => '层',
        '－' | '—' => '-',
        other => other,
    });
    let narrow: String = narrow.collect();
    digits(&narrow.replace("号层", "栋").replace("号栋", "栋"))
}

/// Numbers up to 99 in Chinese digits before a counting word become ASCII: 十二栋 → 12栋.
fn digits(text: &str) -> String {
    let value = |c: char| "零一二三四五六七八九".chars().position(|d| d == c).or((c == '两').then_some(2));
    let mut out = String::new();
    let chars: Vec<char> = text.chars().collect();
    let mut i = 0;
    while let Some(&c) = chars.get(i) {
        let start = i;
        while chars.get(i).is_some_and(|&c| c == '十' || value(c).is_some()) {
            i += 1;
        }
        if start == i {
            out.push(c);
            i += 1;
            continue;
        }
        let run = chars.get(start..i).unwrap_or(&[]);
        let counted = chars.get(i).is_some_and(|c| "栋单层室号".contains(*c));
        match number(run, value).filter(|_| counted) {
            Some(n) => out.push_str(&n.to_string()),
            None => out.extend(run),
        }
    }
    out
}

fn number(run: &[char], value: impl Fn(char) -> Option<usize>) -> Option<usize> {
    let one = |part: &[char], empty| match part {
        [] => Some(empty),
        [c] => value(*c),
        _ => None,
    };
    match run.iter().position(|c| *c == '十') {
        Some(ten) => {
            let (tens, ones) = (run.get(..ten)?, run.get(ten + 1..)?);
            Some(one(tens, 1)? * 10 + one(ones, 0)?)
        }
        None => one(run, 0).filter(|_| !run.is_empty()),
    }
}

/// The building and what follows its name.
fn find_building<'s, 't>(site: &'s Site, text: &'t str) -> Option<(&'s Building, &'t str)> {
    let mut found: Option<(&Building, &str)> = None;
    for (at, _) in text.match_indices('栋') {
        let head = text.get(..at).unwrap_or("");
        let number: String = head.chars().rev().take_while(char::is_ascii_digit).collect();
        let number: String = number.chars().rev().collect();
        let Some(building) = number.parse().ok().and_then(|n: u16| site.buildings.iter().find(|b| b.number == n))
        else {
            continue;
        };
        match found {
            Some((other, _)) if other.id != building.id => return None,
            _ => found = Some((building, text.get(at + '栋'.len_utf8()..).unwrap_or(""))),
        }
    }
    found.or_else(|| {
        site.buildings.iter().find_map(|b| {
            b.aliases
                .iter()
                .map(|a| normalise(a))
                .filter(|a| !a.is_empty())
                .find_map(|a| text.find(a.as_str()).map(|at| (b, text.get(at + a.len()..).unwrap_or(""))))
        })
    })
}

fn inside(building: &Building, rest: &str) -> Place {
    let unit = before(rest, "单元").and_then(|n| u8::try_from(n).ok()).filter(|u| (1..=building.units).contains(u));
    let tail = rest.find("单元").map_or(rest, |at| rest.get(at + "单元".len()..).unwrap_or(""));
    let floor = before(tail, "层").and_then(|n| i8::try_from(n).ok());
    let room = floor.is_none().then(|| room(tail)).flatten();
    let floor = floor.or(room.map(|r| r.0)).filter(|f| i16::from(*f) <= i16::from(building.floors) && *f >= 1);
    let flat = room.map(|r| r.1).filter(|f| floor.is_some() && (1..=building.flats_per_floor).contains(f));
    Place {
        building: Some(building.id.clone()),
        unit,
        floor,
        flat,
        ..Place::about(building.grid.clone(), building.center)
    }
}

/// The number right before `word`.
fn before(text: &str, word: &str) -> Option<u16> {
    let head = text.get(..text.find(word)?)?;
    let digits: String = head.chars().rev().take_while(char::is_ascii_digit).collect();
    digits.chars().rev().collect::<String>().parse().ok()
}

/// `604` or `1204` as floor and flat.
fn room(text: &str) -> Option<(i8, u8)> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let digits: String = text.get(start..)?.chars().take_while(char::is_ascii_digit).collect();
    if !(3..=4).contains(&digits.len()) {
        return None;
    }
    let (floor, flat) = digits.split_at(digits.len() - 2);
    Some((floor.parse().ok()?, flat.parse().ok()?))
}

fn find_landmark<'s>(site: &'s Site, text: &str) -> Option<&'s Landmark> {
    // The longest name wins: 学校正门 before 学校.
    let named = site.landmarks.iter().flat_map(|l| {
        let names = std::iter::once(&l.name.zh).chain(&l.aliases);
        names.filter(|n| !n.is_empty() && text.contains(normalise(n).as_str())).map(move |n| (n.len(), l))
    });
    named.max_by_key(|(len, _)| *len).map(|(_, l)| l)
}

fn at_landmark(landmark: &Landmark) -> Place {
    Place { landmark: Some(landmark.id.clone()), ..Place::about(landmark.grid.clone(), landmark.center) }
}

fn find_community(site: &Site, text: &str) -> Option<Place> {
    let community = site.communities.iter().find(|c| {
        let short = c.name.zh.trim_start_matches('第');
        text.contains(&c.name.zh) || text.contains(short)
    })?;
    let grids: Vec<_> = site.grids.iter().filter(|g| g.community == community.id).collect();
    let named =
        grids.iter().find(|g| text.contains(g.name.zh.as_str()) || text.contains(g.name.zh.trim_start_matches('第')));
    let grid = named.or(grids.first())?;
    let point = if named.is_some() { middle(&grid.outline).unwrap_or(community.label) } else { community.label };
    Some(Place::about(grid.id.clone(), point))
}

fn middle(outline: &[Point]) -> Option<Point> {
    let n = u32::try_from(outline.len()).ok().filter(|n| *n > 0)?;
    let (x, y) = outline.iter().fold((0.0, 0.0), |(x, y), p| (x + p.x, y + p.y));
    Some(Point { x: x / f64::from(n), y: y / f64::from(n) })
}
