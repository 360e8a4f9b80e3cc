//! Place words in what people write: `12栋2单元6层`, `12-2-602`, `三社区广场`, local names, `12栋604`.
//!
//! A place that is only understood in part is unclear and never another place: a number is read whole or not at all, and
//! of several places none is chosen unless the words tell which one is meant.

mod inside;
mod tokens;

use crate::{
    ids::{CommunityId, GridId},
    site::{Building, Landmark, Place, Point, Precision, Site},
};
use tokens::{Number, Token, tokens};

/// Candidates further apart than this (metres) have no middle that would help anybody.
const APART: f64 = 250.0;

/// What a text says about where.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// Nothing.
    Nowhere,
    /// Something, but not which place; the places that it may mean, as far as they are known.
    Unclear(Vec<Place>),
    /// One place.
    At(Place),
}

/// The place that `text` names, as exactly as it does; `None` if it names none or leaves open which.
pub fn locate(site: &Site, text: &str) -> Option<Place> {
    match read(site, text) {
        Reading::At(place) => Some(place),
        Reading::Unclear(_) | Reading::Nowhere => None,
    }
}

/// What `text` says about where.
pub fn read(site: &Site, text: &str) -> Reading {
    let tokens = tokens(text);
    let mut mentions = Vec::new();
    numbered(site, &tokens, &mut mentions);
    named(site, &tokens, &mut mentions);
    decide(site, &tokens, longest(mentions))
}

/// Around the places that a text may mean: a point without a building, estimated. `None` when they are far apart.
pub fn around(places: &[Place]) -> Option<Place> {
    let first = places.first()?;
    if places.iter().any(|a| places.iter().any(|b| a.point.distance(b.point) > APART)) {
        return None;
    }
    let n = u32::try_from(places.len()).ok()?;
    let (x, y) = places.iter().fold((0.0, 0.0), |(x, y), p| (x + p.point.x, y + p.point.y));
    let middle = Point { x: x / f64::from(n), y: y / f64::from(n) };
    Some(Place::about(first.grid.clone(), middle))
}

/// What stands for a place that nobody knows yet: without a grid, and outside of the plane, so that nothing is near it.
pub fn unknown() -> Place {
    Place::about(GridId::new(""), Point { x: -10_000.0, y: -10_000.0 })
}

/// What a part of the text names.
#[derive(Clone, Copy, Debug)]
enum Target<'s> {
    Building(&'s Building),
    Landmark(&'s Landmark),
    Community(&'s CommunityId),
    Grid(&'s GridId),
    /// A number of a building, community or grid that is not understood, or that the site does not have.
    Unknown,
}

impl Target<'_> {
    fn same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Building(a), Self::Building(b)) => a.id == b.id,
            (Self::Landmark(a), Self::Landmark(b)) => a.id == b.id,
            (Self::Community(a), Self::Community(b)) => a == b,
            (Self::Grid(a), Self::Grid(b)) => a == b,
            (Self::Unknown, Self::Unknown) => true,
            _ => false,
        }
    }
}

/// A part of the text that names something. `from..to` are tokens; the details of a building come after `to`.
#[derive(Clone, Copy, Debug)]
struct Mention<'s> {
    from: usize,
    to: usize,
    target: Target<'s>,
}

fn other(tokens: &[Token], at: usize) -> Option<char> {
    match tokens.get(at) {
        Some(Token::Other(c)) => Some(*c),
        _ => None,
    }
}

fn number(tokens: &[Token], at: usize) -> Option<Number> {
    tokens.get(at).and_then(|t| t.number())
}

/// Joins numbers into a list, a range, a decimal, a date or a time, or stands where something was lost.
fn joins(c: char) -> bool {
    " -/.:、,~和与及或到至#+&跟同*_|\u{fffd}".contains(c)
}

/// The number at `at` is a part of something longer, so it may be only a part of what it names.
fn broken(tokens: &[Token], at: usize) -> bool {
    let Some(before) = at.checked_sub(1) else { return false };
    match other(tokens, before) {
        Some('B') => before.checked_sub(1).and_then(|n| other(tokens, n)).is_some_and(|c| c.is_ascii_alphanumeric()),
        Some(c) if c.is_ascii_alphabetic() => true,
        Some(c) if joins(c) => {
            let further = before.checked_sub(1);
            // A telephone number before it is another matter.
            further.and_then(|n| number(tokens, n)).is_some_and(|n| n.length < 5)
        }
        _ => false,
    }
}

/// The number that stands before the one at `at` in a list or range.
fn earlier(tokens: &[Token], at: usize) -> Option<u16> {
    let join = at.checked_sub(1).and_then(|n| other(tokens, n))?;
    let first = at.checked_sub(2).filter(|_| "-/、,~和与及或到至跟同".contains(join))?;
    let alone = !broken(tokens, first);
    number(tokens, first).filter(|n| alone && n.length < 5).and_then(|n| n.value)
}

/// The number at `at` tells where in a building that was named before it, however that was written.
fn within(tokens: &[Token], at: usize) -> bool {
    let filler = |at: &usize| other(tokens, *at).is_some_and(|c| " ,、的-#".contains(c));
    let before = (0..at).rev().take(3).find(|n| !filler(n));
    before.and_then(|n| other(tokens, n)).is_some_and(|c| "栋座元号楼层室".contains(c))
}

/// Buildings, communities and grids by their numbers.
fn numbered<'s>(site: &'s Site, tokens: &[Token], found: &mut Vec<Mention<'s>>) {
    for at in 0..tokens.len() {
        let Some(written) = number(tokens, at) else { continue };
        let building = || site.buildings.iter().find(|b| Some(b.number) == written.value);
        let prefixed = at.checked_sub(1).filter(|n| other(tokens, *n) == Some('B'));
        let known = |target: Option<Target<'s>>| {
            if broken(tokens, at) { Target::Unknown } else { target.unwrap_or(Target::Unknown) }
        };
        match other(tokens, at + 1) {
            Some('栋') => {
                let counts = counted(tokens, at, written);
                let target = building().filter(|_| !counts).map(Target::Building);
                // 12、13栋 names both.
                let first = earlier(tokens, at).and_then(|n| site.buildings.iter().find(|b| b.number == n));
                if let (Some(first), Some(target)) = (first, target) {
                    found.push(Mention { from: at - 2, to: at - 1, target: Target::Building(first) });
                    found.push(Mention { from: at, to: at + 2, target });
                    continue;
                }
                found.push(Mention { from: prefixed.unwrap_or(at), to: at + 2, target: known(target) });
            }
            Some('社' | '网') => {
                let word = if other(tokens, at + 1) == Some('社') { '区' } else { '格' };
                if other(tokens, at + 2) == Some(word) {
                    // A name takes its place where the site has one.
                    found.push(Mention { from: at, to: at + 3, target: Target::Unknown });
                }
            }
            next => {
                let chain = inside::chain(tokens, at) && !within(tokens, at);
                let hash = next == Some('#') && !written.chinese;
                let letter =
                    prefixed.is_some() && !next.is_some_and(|c| c.is_ascii_alphabetic() || "层楼车停库.".contains(c));
                let spelled = building().filter(|b| chain && inside::fits(b, tokens, at + 1));
                match spelled {
                    Some(b) if !broken(tokens, at) => {
                        found.push(Mention { from: prefixed.unwrap_or(at), to: at + 1, target: Target::Building(b) });
                    }
                    _ if hash || letter => {
                        let to = if hash { at + 2 } else { at + 1 };
                        let target = known(building().map(Target::Building));
                        found.push(Mention { from: prefixed.unwrap_or(at), to, target });
                    }
                    _ => {}
                }
            }
        }
    }
}

/// 一栋楼, 有三栋, 两栋: how many, not which.
fn counted(tokens: &[Token], at: usize, written: Number) -> bool {
    let before = at.checked_sub(1).and_then(|n| other(tokens, n));
    let after = other(tokens, at + 2);
    let single = written.chinese && written.length == 1;
    let two = written.value == Some(2) && single && matches!(after, Some('都' | '楼'));
    let whole = single && matches!(after, Some('楼' | '房' | '大' | '居' | '住' | '建'));
    whole || two || (single && before.is_some_and(|c| "有这那另每哪某整几数共".contains(c))) || before == Some('数')
}

/// Everything that the site has a name for.
fn named<'s>(site: &'s Site, tokens: &[Token], found: &mut Vec<Mention<'s>>) {
    for b in &site.buildings {
        for name in std::iter::once(&b.name.zh).chain(&b.aliases) {
            matches(name, Target::Building(b), tokens, found);
        }
    }
    for l in &site.landmarks {
        for name in std::iter::once(&l.name.zh).chain(&l.aliases) {
            matches(name, Target::Landmark(l), tokens, found);
        }
    }
    for c in &site.communities {
        matches(&c.name.zh, Target::Community(&c.id), tokens, found);
        matches(c.name.zh.trim_start_matches('第'), Target::Community(&c.id), tokens, found);
    }
    for g in &site.grids {
        matches(&g.name.zh, Target::Grid(&g.id), tokens, found);
        matches(g.name.zh.trim_start_matches('第'), Target::Grid(&g.id), tokens, found);
    }
}

fn matches<'s>(name: &str, target: Target<'s>, text: &[Token], found: &mut Vec<Mention<'s>>) {
    let name = tokens(name);
    if name.is_empty() || (name.len() == 2 && matches!(name.as_slice(), [Token::Number(_), Token::Other('栋')])) {
        return;
    }
    for (from, part) in text.windows(name.len()).enumerate() {
        if part.iter().zip(&name).all(|(a, b)| a.matches(*b)) {
            let cut = number(text, from).is_some() && broken(text, from);
            found.push(Mention { from, to: from + name.len(), target: if cut { Target::Unknown } else { target } });
        }
    }
}

/// Of mentions that overlap the longest; what is understood before what is not.
fn longest(mut mentions: Vec<Mention<'_>>) -> Vec<Mention<'_>> {
    mentions.sort_by_key(|m| (std::cmp::Reverse(m.to - m.from), matches!(m.target, Target::Unknown), m.from));
    let mut kept: Vec<Mention<'_>> = Vec::new();
    for m in mentions {
        let over = kept.iter_mut().find(|k| m.from < k.to && k.from < m.to);
        match over {
            None => kept.push(m),
            // Two places of one name.
            Some(k)
                if (k.from, k.to) == (m.from, m.to)
                    && !k.target.same(m.target)
                    && !matches!(m.target, Target::Unknown) =>
            {
                k.target = Target::Unknown;
            }
            Some(_) => {}
        }
    }
    kept.sort_by_key(|m| m.from);
    kept
}

fn decide(site: &Site, tokens: &[Token], mentions: Vec<Mention<'_>>) -> Reading {
    let is_building = |m: &&Mention<'_>| matches!(m.target, Target::Building(_));
    let is_landmark = |m: &&Mention<'_>| matches!(m.target, Target::Landmark(_));
    let exact: Vec<Mention<'_>> = mentions.iter().filter(|m| is_building(m) || is_landmark(m)).copied().collect();
    let meant = meant(tokens, &exact);
    // A building is where it is, whatever else is named beside it.
    let buildings: Vec<_> = meant.iter().filter(is_building).copied().collect();
    let chosen = if buildings.is_empty() { meant } else { buildings };
    let mut places: Vec<Place> = Vec::new();
    for m in &chosen {
        let Some(place) = place(site, tokens, m) else { continue };
        match places.iter_mut().find(|p| p.building == place.building && p.landmark == place.landmark) {
            Some(known) => *known = common(known, place),
            None => places.push(place),
        }
    }
    // What is named beside a chosen place only to say where it is need not be understood.
    let unknown = mentions.iter().any(|m| matches!(m.target, Target::Unknown));
    let opposite = chosen.iter().any(|m| matches!(relation(tokens, m), Some(Relation::Opposite)));
    match places.as_slice() {
        _ if unknown => Reading::Unclear(places),
        [] => area(site, &mentions),
        [place] if !opposite && belongs(site, place, &mentions) => Reading::At(place.clone()),
        _ => Reading::Unclear(places),
    }
}

/// How a place is named only to tell where another one is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Relation {
    Beside,
    Opposite,
}

fn relation(tokens: &[Token], m: &Mention<'_>) -> Option<Relation> {
    let after: String = tokens
        .iter()
        .skip(m.to)
        .take(3)
        .filter_map(|t| if let Token::Other(c) = t { Some(*c) } else { None })
        .collect();
    let after = after.trim_start_matches('的');
    if after.starts_with("对面") || after.starts_with("斜对") || after.starts_with("隔壁") {
        return Some(Relation::Opposite);
    }
    let beside = ["旁", "附近", "后面", "前面", "背后", "边上", "东边", "西边", "南边", "北边"];
    beside.iter().any(|w| after.starts_with(w)).then_some(Relation::Beside)
}

/// The clause before a mention.
fn before(tokens: &[Token], m: &Mention<'_>) -> String {
    let head = tokens.get(..m.from).unwrap_or(&[]);
    let head: Vec<char> = head.iter().map(|t| if let Token::Other(c) = t { *c } else { '0' }).collect();
    let clause = head.rsplit(|c| ",。;!?！，；".contains(*c)).next().unwrap_or(&[]);
    clause.iter().skip(clause.len().saturating_sub(8)).collect()
}

/// Leaves out where the caller is, what it is not, and what only tells the way, if something is left.
fn meant<'s>(tokens: &[Token], all: &[Mention<'s>]) -> Vec<Mention<'s>> {
    let denied = |m: &Mention<'_>| {
        let head = before(tokens, m);
        head.ends_with("不是") || head.ends_with("不在") || head.ends_with("并非")
    };
    let own = |m: &Mention<'_>| {
        let head = before(tokens, m);
        ["我住", "我在", "我家", "我是", "我们住", "我们在", "家住", "住在", "本人"].iter().any(|w| head.contains(w))
    };
    let guides =
        |m: &Mention<'_>| relation(tokens, m).is_some() && all.iter().any(|o| o.from >= m.to && o.from <= m.to + 5);
    let mut left = all.to_vec();
    let rules: [&dyn Fn(&Mention<'_>) -> bool; 3] = [&denied, &guides, &own];
    for out in rules {
        let rest: Vec<_> = left.iter().filter(|m| !out(m)).copied().collect();
        if !rest.is_empty() {
            left = rest;
        }
    }
    left
}

/// What two mentions of one place agree in.
fn common(a: &Place, b: Place) -> Place {
    let bare = |p: &Place| p.unit.is_none() && p.floor.is_none();
    match (bare(a), bare(&b)) {
        (true, _) => b,
        (_, true) => a.clone(),
        _ if *a == b => b,
        _ => Place { unit: b.unit.filter(|u| a.unit == Some(*u)), floor: None, flat: None, ..b },
    }
}

fn place(site: &Site, tokens: &[Token], m: &Mention<'_>) -> Option<Place> {
    match m.target {
        Target::Building(b) => Some(inside::place(b, tokens, m.to)),
        Target::Landmark(l) => Some(at_landmark(l)),
        Target::Grid(id) => site.grid(id).and_then(|g| Some(Place::about(g.id.clone(), middle(&g.outline)?))),
        Target::Community(_) | Target::Unknown => None,
    }
}

/// Whether the communities and grids that are named have this place in them.
fn belongs(site: &Site, place: &Place, mentions: &[Mention<'_>]) -> bool {
    mentions.iter().all(|m| match m.target {
        Target::Grid(id) => &place.grid == id,
        Target::Community(id) => site.grid(&place.grid).is_some_and(|g| &g.community == id),
        Target::Building(_) | Target::Landmark(_) | Target::Unknown => true,
    })
}

/// A community or grid, where nothing smaller is named.
fn area(site: &Site, mentions: &[Mention<'_>]) -> Reading {
    let mut communities: Vec<&CommunityId> = Vec::new();
    let mut grids: Vec<&GridId> = Vec::new();
    for m in mentions {
        match m.target {
            Target::Community(id) if !communities.contains(&id) => communities.push(id),
            Target::Grid(id) if !grids.contains(&id) => grids.push(id),
            Target::Community(_) | Target::Grid(_) => {}
            Target::Building(_) | Target::Landmark(_) | Target::Unknown => {}
        }
    }
    let center = |id: &GridId| {
        let grid = site.grid(id)?;
        Some(Place::about(grid.id.clone(), middle(&grid.outline)?))
    };
    match (communities.as_slice(), grids.as_slice()) {
        ([], []) => Reading::Nowhere,
        ([], [grid]) => center(grid).map_or(Reading::Nowhere, Reading::At),
        ([community], [grid]) => match center(grid) {
            Some(place) if site.grid(grid).is_some_and(|g| &&g.community == community) => Reading::At(place),
            place => Reading::Unclear(place.into_iter().collect()),
        },
        ([id], []) => {
            let community = site.communities.iter().find(|c| &&c.id == id);
            let grid = site.grids.iter().find(|g| &&g.community == id);
            match (community, grid) {
                (Some(c), Some(g)) => Reading::At(Place::about(g.id.clone(), c.label)),
                _ => Reading::Nowhere,
            }
        }
        (_, grids) => Reading::Unclear(grids.iter().filter_map(|g| center(g)).collect()),
    }
}

/// A place in or at a building as it is named.
pub(crate) fn at_building(building: &Building) -> Place {
    Place { building: Some(building.id.clone()), ..Place::about(building.grid.clone(), building.center) }
}

fn at_landmark(landmark: &Landmark) -> Place {
    Place {
        landmark: Some(landmark.id.clone()),
        precision: Precision::Estimated,
        ..Place::about(landmark.grid.clone(), landmark.center)
    }
}

fn middle(outline: &[Point]) -> Option<Point> {
    let n = u32::try_from(outline.len()).ok().filter(|n| *n > 0)?;
    let (x, y) = outline.iter().fold((0.0, 0.0), |(x, y), p| (x + p.x, y + p.y));
    Some(Point { x: x / f64::from(n), y: y / f64::from(n) })
}
