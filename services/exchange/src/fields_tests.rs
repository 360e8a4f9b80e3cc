#![allow(clippy::unwrap_used)]
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn rule(text: &str) -> FieldRule {
    #[derive(Deserialize)]
    struct One {
        field: FieldRule,
    }
    runtime::config::parse::<One>("field.toml", &format!("field = {text}")).unwrap().field
}

fn of(kind: &str, value: Value) -> Result<String, Why> {
    let rule = rule(&format!("{{ at = '/x', as = '{kind}', units = ['度', 'kWh'] }}"));
    read(&rule, Some(&value)).map(|f| f.unwrap().text)
}

fn ok(kind: &str, cases: &[(Value, &str)]) {
    for (value, text) in cases {
        assert_eq!(of(kind, value.clone()).as_deref(), Ok(*text), "{value}");
    }
}

fn refused(kind: &str, why: &Why, values: &[Value]) {
    for value in values {
        assert_eq!(of(kind, value.clone()).as_ref(), Err(why), "{value}");
    }
}

#[test]
fn a_door_is_one_door_however_it_is_written() {
    for value in [
        json!("0607"),
        json!("607"),
        json!(607),
        json!(607.0),
        json!(" ６０７ "),
        json!("607室"),
        json!("607.00"),
        json!("0607号"),
    ] {
        assert_eq!(of("door", value.clone()).as_deref(), Ok("607"), "{value}");
    }
    ok("door", &[(json!("12-2-0602"), "12-2-602"), (json!("b12"), "B12"), (json!(0), "0")]);
    refused("door", &Why::NoDoor, &[json!("楼上"), json!("60 7.5"), json!("12栋"), json!("--5"), json!("x")]);
}

#[test]
fn numbers_lose_their_separators_and_their_own_unit_only() {
    ok(
        "number",
        &[
            (json!("1,234.5"), "1234.5"),
            (json!("１，２３４"), "1234"),
            (json!("88.5度"), "88.5"),
            (json!("88.5 KWH"), "88.5"),
            (json!("-3"), "-3"),
            (json!(" 12 "), "12"),
            (json!("1e3"), "1000"),
            (json!(7), "7"),
        ],
    );
    refused("number", &Why::Unit("度、kWh".into()), &[json!("88.5吨"), json!("3 元")]);
    refused(
        "number",
        &Why::NoNumber,
        &[json!("1,23"), json!("12,34,567"), json!("1.2.3"), json!("约88"), json!("度"), json!(true)],
    );
    let bare = rule("{ at = '/x', as = 'number' }");
    assert_eq!(read(&bare, Some(&json!("88度"))), Err(Why::NoNumber), "no unit is invented");
}

#[test]
fn dates_in_all_their_forms() {
    for value in ["2026-01-05", "2026/1/5", "2026.01.05", "2026年1月5日", "20260105", " 2026-1-5 "] {
        let field = read(&rule("{ at = '/x', as = 'date' }"), Some(&json!(value))).unwrap().unwrap();
        assert_eq!((field.text.as_str(), field.number), ("2026-01-05", Some(1_767_542_400_000.0)), "{value}");
    }
    ok(
        "date",
        &[
            (json!("2026-01-05 08:30"), "2026-01-05T08:30:00+08:00"),
            (json!("2026-01-05T00:30:00Z"), "2026-01-05T08:30:00+08:00"),
            (json!("2022-06-01T09:16:12.123456789Z"), "2022-06-01T17:16:12+08:00"),
            (json!("2022-01-03T10:11:12+01:00"), "2022-01-03T17:11:12+08:00"),
            (json!("2026年1月5日8时30分"), "2026-01-05T08:30:00+08:00"),
            (json!("20260105083000"), "2026-01-05T08:30:00+08:00"),
            (json!(1_700_000_000), "2023-11-15T06:13:20+08:00"),
            (json!(1_700_000_000_000_i64), "2023-11-15T06:13:20+08:00"),
            (json!("1700000000000000"), "2023-11-15T06:13:20+08:00"),
            (json!(46_027), "2026-01-05"),
            (json!(46_027.5), "2026-01-05T12:00:00+08:00"),
            (json!("2024-02-29"), "2024-02-29"),
        ],
    );
    refused(
        "date",
        &Why::NoDate,
        &[
            json!("2026-02-30"),
            json!("26-1-5"),
            json!("昨天"),
            json!("2026-13-01"),
            json!("1/5/2026"),
            json!(7),
            json!("2026-01-05 25:00"),
            json!("20261301"),
        ],
    );
    refused("date", &Why::Missing, &[json!("0001-01-01T00:00:00Z")]);
    let optional = rule("{ at = '/x', as = 'date', optional = true }");
    assert_eq!(read(&optional, Some(&json!("0001-01-01T00:00:00Z"))), Ok(None), "an end that is not there");
}

#[test]
fn numbers_that_a_table_rewrote_are_refused() {
    ok(
        "digits",
        &[
            (json!(13_800_000_001_i64), "13800000001"),
            (json!("1.3800000001E10"), "13800000001"),
            (json!("13800000001.0"), "13800000001"),
            (json!("0870-1234567"), "08701234567"),
            (json!("+86 138 0000 0001"), "+8613800000001"),
            (json!("6222020200001234000"), "6222020200001234000"),
        ],
    );
    refused("digits", &Why::Rewritten, &[json!("1.38E+10"), json!("4.40981E+17"), json!(440_981_199_001_011_000_i64)]);
    refused("digits", &Why::NoDigits, &[json!("张三"), json!("138x")]);
}

#[test]
fn identity_numbers_are_checked() {
    ok(
        "id_card",
        &[(json!("61232119840210062x"), "61232119840210062X"), (json!("11010519491231002X"), "11010519491231002X")],
    );
    refused("id_card", &Why::Rewritten, &[json!("4.40981E+17"), json!(440_981_199_001_011_000_i64)]);
    refused(
        "id_card",
        &Why::NoIdCard,
        &[json!("110105194912310021"), json!("1101051949123100"), json!("61232119840216192x"), json!("身份证")],
    );
}

#[test]
fn words_are_theirs_for_ours() {
    let status = rule("{ at = '/x', words = { '空置' = 'empty', '自住' = 'occupied' } }");
    assert_eq!(read(&status, Some(&json!(" 空置 "))).unwrap().unwrap().text, "empty");
    assert_eq!(read(&status, Some(&json!("出租"))), Err(Why::NoWord));
    ok("truth", &[(json!("是"), "true"), (json!(false), "false"), (json!(1), "true"), (json!("否"), "false")]);
    refused("truth", &Why::NoTruth, &[json!("大概"), json!(2)]);
}

#[test]
fn what_is_not_there_is_missing() {
    for value in [json!(null), json!(""), json!(" - "), json!("N/A"), json!("无"), json!("nan")] {
        for kind in ["plain", "door", "number", "date", "digits"] {
            assert_eq!(of(kind, value.clone()), Err(Why::Missing), "{kind} {value}");
        }
    }
    assert_eq!(read(&rule("'/x'"), None), Err(Why::Missing));
    assert_eq!(of("plain", json!([1])), Err(Why::NoScalar));
    assert_eq!(of("plain", json!("x".repeat(257))), Err(Why::TooLong));
    assert_eq!(read(&rule("{ at = '/x', optional = true }"), Some(&json!(null))), Ok(None));
}

proptest! {
    #[test]
    fn no_value_panics(kind in prop::sample::select(vec!["plain", "door", "number", "date", "truth", "digits", "id_card"]),
                       text in "(\\PC{0,20}|[0-9,.:/年月日T +-]{0,24}|[0-9]{1,3}(e|E)[0-9+]{0,4})", number in any::<f64>()) {
        let _ = of(kind, json!(text));
        let _ = of(kind, json!(number));
    }

    #[test]
    fn doors_with_and_without_zeros_are_equal(door in 1_u32..9_999, zeros in 0_usize..3) {
        let padded = format!("{}{door}", "0".repeat(zeros));
        prop_assert_eq!(of("door", json!(padded)), of("door", json!(f64::from(door))));
    }

    #[test]
    fn a_number_reads_back_through_its_separators(whole in 0_i64..1_000_000_000, cents in 0_u32..100) {
        let digits = whole.to_string();
        let mut grouped = String::new();
        for (i, c) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i) % 3 == 0 {
                grouped.push(',');
            }
            grouped.push(c);
        }
        let expect: f64 = format!("{whole}.{cents:02}").parse().unwrap();
        prop_assert_eq!(of("number", json!(format!("{grouped}.{cents:02}度"))), Ok(expect.to_string()));
    }
}
