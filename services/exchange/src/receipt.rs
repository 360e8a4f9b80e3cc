//! What an answer must say to be a receipt: by connector, as data. Many systems answer 200 and put the truth into the
//! body. Pure.

use serde::Deserialize;
use serde_json::Value;

use crate::http::CallError;

/// Longest code of an answer that is repeated in a reason, characters.
const CODE: usize = 32;
/// Longest words of an answer that a person is shown, characters.
const WORDS: usize = 100;

/// `receipt = { at = "/errcode", ok = ["0"] }`: which answers with a status of 2xx are a delivery. Values are compared as
/// text without case; `0`, `0.0` and `"0"` are the same.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptRule {
    /// JSON pointer to the value that tells; empty = the whole answer, which may be plain text.
    pub at: String,
    /// Values that mean that it was taken.
    pub ok: Vec<String>,
    /// Values that mean that we call too often.
    #[serde(default)]
    pub busy: Vec<String>,
    /// How long such an answer makes us wait, seconds.
    #[serde(default = "busy_s")]
    pub busy_s: u32,
    /// Values that mean that our credentials are refused, as status 401 and 403 do.
    #[serde(default)]
    pub denied: Vec<String>,
    /// JSON pointer to what the other side says about an error; shown to people of the centre.
    #[serde(default)]
    pub words: Option<String>,
    /// JSON pointer to the receiver's own number of the task.
    #[serde(default = "number")]
    pub number: String,
}

fn busy_s() -> u32 {
    60
}

fn number() -> String {
    "/external_number".to_owned()
}

impl ReceiptRule {
    /// What is wrong with the rule, in both languages.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let pointers = [Some(&self.at), self.words.as_ref(), Some(&self.number)];
        if pointers.into_iter().flatten().any(|p| !p.is_empty() && !p.starts_with('/')) {
            return Err("须为 JSON 指针 must be JSON pointers");
        }
        if self.ok.is_empty() {
            return Err("须写明哪些值表示已收到 it must say which values mean taken");
        }
        let all = || self.ok.iter().chain(&self.busy).chain(&self.denied);
        if all().enumerate().any(|(i, v)| all().take(i).any(|o| o.eq_ignore_ascii_case(v))) {
            return Err("同一个值只能有一个含义 a value can mean one thing only");
        }
        Ok(())
    }
}

/// The receiver's own number in an answer that is a receipt under `rule`.
///
/// # Errors
/// The answer says that nothing was taken, or does not say that something was.
pub(crate) fn read(rule: Option<&ReceiptRule>, body: &[u8]) -> Result<Option<String>, CallError> {
    let answer: Option<Value> = serde_json::from_slice(body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)).ok();
    let Some(rule) = rule else { return Ok(of(answer.as_ref(), &number())) };
    let code = match &answer {
        Some(answer) => answer.pointer(&rule.at).and_then(text),
        None if rule.at.is_empty() => std::str::from_utf8(body).ok().map(|t| t.trim().to_owned()),
        None => None,
    };
    let is = |values: &[String]| code.as_ref().is_some_and(|c| values.iter().any(|v| v.eq_ignore_ascii_case(c)));
    if is(&rule.ok) {
        return Ok(of(answer.as_ref(), &rule.number));
    }
    let told = code.as_ref().map_or_else(|| "no code".to_owned(), |c| format!("code {}", clean(c, CODE)));
    if is(&rule.busy) {
        return Err(CallError::Wait { why: told, ms: i64::from(rule.busy_s.max(1)) * 1_000 });
    }
    let words = rule.words.as_ref().and_then(|w| answer.as_ref()?.pointer(w)?.as_str());
    let words = words.map(|w| clean(w, WORDS)).unwrap_or_default();
    Err(if is(&rule.denied) { CallError::Denied(told) } else { CallError::NotTaken { code: told, words } })
}

fn of(answer: Option<&Value>, pointer: &str) -> Option<String> {
    let number = answer?.pointer(pointer)?;
    text(number).filter(|n| (1..=64).contains(&n.chars().count()))
}

/// A scalar as text.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s.trim().to_owned()).filter(|s| !s.is_empty()),
        Value::Number(n) => Some(match n.as_f64() {
            Some(f) if !n.is_i64() && !n.is_u64() && f.fract() == 0.0 => format!("{f:.0}"),
            _ => n.to_string(),
        }),
        Value::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}

/// Without control characters and cut: it comes from outside.
fn clean(text: &str, most: usize) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn rule(text: &str) -> ReceiptRule {
        runtime::config::parse("receipt.toml", text).unwrap()
    }

    fn ding() -> ReceiptRule {
        rule(
            "at = '/errcode'\nok = ['0']\nbusy = ['130101']\ndenied = ['310000']\nwords = '/errmsg'\nnumber = '/task_id'",
        )
    }

    /// Answers as they were reported (nightingale#369, PrometheusAlert#369, hippo4j#217), and shapes of the same kinds.
    #[test]
    fn golden_receipts() {
        let wait = |code: &str| Err(CallError::Wait { why: format!("code {code}"), ms: 60_000 });
        let refused =
            |code: &str, words: &str| Err(CallError::NotTaken { code: code.to_owned(), words: words.to_owned() });
        let exact = r#"{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}"#;
        assert_eq!(read(Some(&ding()), exact.as_bytes()), wait("130101"));
        assert_eq!(
            read(Some(&ding()), br#"{"errcode":0,"errmsg":"ok","task_id":256271667526}"#),
            Ok(Some("256271667526".into()))
        );
        assert_eq!(
            read(Some(&ding()), br#"{"errcode":310000,"errmsg":"sign not match"}"#),
            Err(CallError::Denied("code 310000".into()))
        );
        let body = r#"{"errcode":40035,"errmsg":"缺少参数\n json"}"#;
        assert_eq!(read(Some(&ding()), body.as_bytes()), refused("code 40035", "缺少参数  json"));
        let usual = rule("at = '/code'\nok = ['200', '0']\nwords = '/msg'");
        assert_eq!(read(Some(&usual), "\u{feff}{\"code\":\"200\",\"msg\":\"操作成功\"}".as_bytes()), Ok(None));
        assert_eq!(read(Some(&usual), br#"{"code":0.0}"#), Ok(None));
        assert_eq!(read(Some(&usual), r#"{"code":500,"msg":"系统繁忙"}"#.as_bytes()), refused("code 500", "系统繁忙"));
        let truth = rule("at = '/success'\nok = ['true']");
        assert_eq!(read(Some(&truth), br#"{"success":true,"external_number":"XF-1"}"#), Ok(Some("XF-1".into())));
        assert_eq!(read(Some(&truth), br#"{"success":false}"#), refused("code false", ""));
        let plain = rule("at = ''\nok = ['success', 'ok']");
        assert_eq!(read(Some(&plain), b" SUCCESS\r\n"), Ok(None));
        assert_eq!(read(Some(&plain), b"fail"), refused("code fail", ""));
    }

    #[test]
    fn what_does_not_say_that_it_was_taken_is_no_receipt() {
        for body in
            ["", "{}", "null", "<html>200 OK</html>", r#"{"errcode":null}"#, r#"{"errcode":[0]}"#, r#"[{"errcode":0}]"#]
        {
            let found = read(Some(&ding()), body.as_bytes());
            assert_eq!(found, Err(CallError::NotTaken { code: "no code".into(), words: String::new() }), "{body}");
        }
    }

    #[test]
    fn without_a_rule_the_status_is_the_receipt() {
        for (body, number) in [
            ("", None),
            ("<html>", None),
            (r#"{"external_number":"N-1"}"#, Some("N-1".to_owned())),
            (r#"{"errcode":1}"#, None),
        ] {
            assert_eq!(read(None, body.as_bytes()), Ok(number), "{body}");
        }
    }

    #[test]
    fn unsound_rules_are_refused() {
        assert_eq!(ding().check(), Ok(()));
        assert!(ReceiptRule { ok: Vec::new(), ..ding() }.check().is_err());
        assert!(ReceiptRule { at: "errcode".into(), ..ding() }.check().is_err());
        assert!(ReceiptRule { busy: vec!["0".into()], ..ding() }.check().is_err());
    }

    proptest! {
        #[test]
        fn no_answer_panics_and_only_a_good_value_is_taken(body in "\\PC{0,60}", code in any::<i64>()) {
            let _ = read(Some(&ding()), body.as_bytes());
            let found = read(Some(&ding()), format!("{{\"errcode\":{code}}}").as_bytes());
            prop_assert_eq!(found.is_ok(), code == 0);
        }
    }
}
