//! Where in a message something stands: `/params/flood:*/alarm`. A part is a key, a key with one `*` for any letters, `*`
//! for every member or element, a number for one element, or `[]` for every element of a list, or the value itself where a
//! device sends one in place of a list. The empty path is the whole message.

use serde::Deserialize;
use serde_json::Value;

/// A path that was read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Glob(String, String),
    Each,
}

impl TryFrom<String> for Path {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(format!("路径须以 / 开头 a path begins with /: {text}"));
        };
        let step = |part: &str| match part.split_once('*') {
            _ if part == "[]" => Ok(Step::Each),
            Some((_, behind)) if behind.contains('*') => {
                Err(format!("一段路径最多一个 * a part of a path has one * at most: {text}"))
            }
            Some((before, behind)) => Ok(Step::Glob(before.to_owned(), behind.to_owned())),
            None => Ok(Step::Key(part.replace("~1", "/").replace("~0", "~"))),
        };
        rest.split('/').map(step).collect::<Result<_, _>>().map(Self)
    }
}

impl Path {
    /// Shows each value that stands there, with the first key that a `*` stands for.
    pub(super) fn visit<'a>(&self, value: &'a Value, see: &mut dyn FnMut(&'a Value, Option<&'a str>)) {
        walk(&self.0, value, None, see);
    }

    /// The first one.
    pub(super) fn first<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        let mut found = None;
        self.visit(value, &mut |value, _| {
            found.get_or_insert(value);
        });
        found
    }
}

fn walk<'a>(
    steps: &[Step],
    value: &'a Value,
    caught: Option<&'a str>,
    see: &mut dyn FnMut(&'a Value, Option<&'a str>),
) {
    let Some((step, rest)) = steps.split_first() else { return see(value, caught) };
    match (step, value) {
        (Step::Key(key), Value::Object(all)) => {
            if let Some(value) = all.get(key) {
                walk(rest, value, caught, see);
            }
        }
        (Step::Key(key), Value::Array(all)) => {
            if let Some(value) = key.parse().ok().and_then(|n: usize| all.get(n)) {
                walk(rest, value, caught, see);
            }
        }
        (Step::Glob(before, behind), Value::Object(all)) => {
            let fits = |key: &str| {
                key.len() >= before.len() + behind.len() && key.starts_with(&**before) && key.ends_with(&**behind)
            };
            for (key, value) in all.iter().filter(|(key, _)| fits(key)) {
                walk(rest, value, caught.or(Some(key)), see);
            }
        }
        (Step::Glob(before, behind), Value::Array(all)) if before.is_empty() && behind.is_empty() => {
            all.iter().for_each(|value| walk(rest, value, caught, see));
        }
        (Step::Each, Value::Array(all)) => all.iter().for_each(|value| walk(rest, value, caught, see)),
        (Step::Each, value) => walk(rest, value, caught, see),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn found(path: &str, value: &Value) -> Vec<(Value, Option<String>)> {
        let mut all = Vec::new();
        let path = Path::try_from(path.to_owned()).unwrap();
        path.visit(value, &mut |v, key| all.push((v.clone(), key.map(str::to_owned))));
        all
    }

    #[test]
    fn paths_find_what_they_name() {
        let value = json!({"Switch1": "OFF", "Switch12": "ON", "S": {"a/b": [1, 2]}, "one": {"x": 1}, "two": [{"x": 2}, {"x": 3}]});
        let key = |k: &str| Some(k.to_owned());
        assert_eq!(found("/Switch*", &value), [(json!("OFF"), key("Switch1")), (json!("ON"), key("Switch12"))]);
        assert_eq!(found("/S/a~1b/1", &value), [(json!(2), None)]);
        assert_eq!(found("/two/[]/x", &value), [(json!(2), None), (json!(3), None)]);
        assert_eq!(found("/one/[]/x", &value), [(json!(1), None)], "one object for a list");
        assert_eq!(found("/*/*/x", &value), [(json!(2), key("two")), (json!(3), key("two"))]);
        assert_eq!(found("", &json!("ON")), [(json!("ON"), None)]);
        assert_eq!(found("/x/y", &json!([])), []);
        assert!(Path::try_from("x".to_owned()).is_err() && Path::try_from("/a*b*".to_owned()).is_err());
    }
}
