//! What a new site changes in an old one, by kind and id.

use std::collections::BTreeMap;

use domain::site::Site;

/// Ids of one kind that a new site adds, changes or removes, each list in the order of its site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The kind's name in Chinese.
    pub zh: &'static str,
    /// And in English.
    pub en: &'static str,
    /// Ids that only the new site has.
    pub added: Vec<String>,
    /// Ids that both have, not alike.
    pub changed: Vec<String>,
    /// Ids that only the old site has.
    pub removed: Vec<String>,
    /// Both have the same things in another order.
    pub moved: bool,
}

/// The kinds in which two sites differ; none = they are alike but for the version. The head of a site counts as one thing of the site's
/// id, paths are known by name.
pub fn changes(old: &Site, new: &Site) -> Vec<Change> {
    let heads = [old, new].map(|s| [(s.id.to_string(), (&s.id, &s.name, &s.region, s.extent, s.anchor))]);
    let paths = [old, new].map(|s| numbered(s.paths.iter().map(|path| (path.name.zh.clone(), path))));
    let mut all = vec![of("概况", "head", &heads[0], &heads[1]), of("道路", "paths", &paths[0], &paths[1])];
    macro_rules! each {
        ($($list:ident $zh:literal $en:literal),*) => {$({
            let [old, new] = [old, new].map(|s| s.$list.iter().map(|t| (t.id.to_string(), t)).collect::<Vec<_>>());
            all.push(of($zh, $en, &old, &new));
        })*};
    }
    each!(
        communities "社区" "communities", grids "网格" "grids", buildings "楼栋" "buildings",
        landmarks "地点" "landmarks", cameras "摄像头" "cameras", sensors "传感器" "sensors", units "单位" "units",
        classes "事件类别" "classes", alarm_kinds "告警类型" "kinds of alarm", tours "巡线" "tours"
    );
    all.retain(|c| c.moved || !(c.added.is_empty() && c.changed.is_empty() && c.removed.is_empty()));
    all
}

/// Names that come again get a number.
fn numbered<T>(things: impl Iterator<Item = (String, T)>) -> Vec<(String, T)> {
    let mut seen = BTreeMap::new();
    let number = |(name, thing): (String, T)| {
        let count = seen.entry(name.clone()).and_modify(|n| *n += 1).or_insert(1);
        (if *count == 1 { name } else { format!("{name}#{count}") }, thing)
    };
    things.map(number).collect()
}

fn of<T: PartialEq>(zh: &'static str, en: &'static str, old: &[(String, T)], new: &[(String, T)]) -> Change {
    let [before, after] = [old, new].map(|list| list.iter().map(|(id, t)| (id, t)).collect::<BTreeMap<_, _>>());
    let ids = |list: &[(String, T)], wanted: &dyn Fn(&String, &T) -> bool| -> Vec<String> {
        list.iter().filter(|(id, thing)| wanted(id, thing)).map(|(id, _)| id.clone()).collect()
    };
    let order = |list: &[(String, T)], other: &BTreeMap<&String, &T>| -> Vec<String> {
        list.iter().filter(|(id, _)| other.contains_key(id)).map(|(id, _)| id.clone()).collect()
    };
    Change {
        zh,
        en,
        added: ids(new, &|id, _| !before.contains_key(id)),
        changed: ids(new, &|id, thing| before.get(id).is_some_and(|was| *was != thing)),
        removed: ids(old, &|id, _| !after.contains_key(id)),
        moved: order(old, &after) != order(new, &before),
    }
}
