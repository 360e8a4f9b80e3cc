//! Records as departments really give them: tables in GB18030, lists in wrappers, pages, odd cells. What cannot be read is
//! set aside with its reason; the rest counts.

use domain::input::Observation;
use exchange::{
    Config, SourceFacts,
    config::{Connector, Source},
    preview::PreviewError,
};
use serde_json::{Value, json};

use crate::support::{Centre, Department, config, wait};

fn source(text: &str, url: &str) -> Source {
    let text = format!("id = 'daily'\nurl = '{url}'\nevery_s = 300\n{text}");
    runtime::config::parse("source.toml", &text).unwrap()
}

fn connector<'c>(config: &'c mut Config, unit: &str) -> &'c mut Connector {
    config.departments.iter_mut().find(|c| c.unit == unit).unwrap()
}

fn mapping(fields: &str) -> exchange::config::Mapping {
    let text = format!("key = ['building', 'unit', 'flat']\n[fields]\n{fields}");
    runtime::config::parse("mapping.toml", &text).unwrap()
}

fn facts(centre: &Centre, unit: &str, id: &str) -> SourceFacts {
    let facts = centre.exchange.facts().into_iter().find(|f| f.unit.as_str() == unit).unwrap();
    facts.sources.into_iter().find(|s| s.id == id).unwrap_or_default()
}

/// Waits until a source was asked so often and has dealt with the answers.
async fn rounds(centre: &Centre, department: &Department, n: u64, done: impl Fn() -> bool) {
    wait(&department.seen, |seen| *seen >= n).await;
    // The centre looks at the answer after the server has given it; its clock stands.
    while !done() {
        tokio::task::yield_now().await;
        assert!(centre.exchange.facts().len() == 3);
    }
}

const HOME: &str = "building = { at = '/楼栋', as = 'door' }\nunit = { at = '/单元', as = 'door' }\n\
                    flat = { at = '/房号', as = 'door' }\nplace = '/地址'\n\
                    status = { at = '/状态', words = { '空置' = 'empty', '自住' = 'occupied' } }";
const POWER: &str = "building = { at = '/b', as = 'door' }\nunit = { at = '/u', as = 'door' }\n\
                     flat = { at = '/f', as = 'door' }\nkwh_week = { at = '/kwh', as = 'number', units = ['度', 'kWh'] }";

#[tokio::test]
async fn two_departments_that_write_doors_and_numbers_in_their_own_ways_meet() {
    let (housing, energy) =
        (Department::start("housing-secret-for-tests").await, Department::start("energy-secret-for-tests!").await);
    let table = "房屋台账\r\n楼栋,单元,房号,地址,状态\r\n12,2,0604,12栋2单元0604,空置\r\n12,2,605,12栋2单元0605,自住\r\n\
                 12,2,0606,12栋2单元0606,出租\r\n";
    housing.pages(vec![(200, encoding_rs::GB18030.encode(table).0.into_owned())]);
    let list = json!({"code": 0, "data": {"rows": [
        {"b": 12.0, "u": "02", "f": 604.0, "kwh": "1,088.5度"},
        {"b": "12", "u": 2, "f": "0605", "kwh": "1吨"},
        {"b": "12", "u": 2, "kwh": 1},
    ]}});
    energy.pages(vec![(200, list.to_string().into_bytes())]);
    let mut config = config();
    let home = connector(&mut config, "housing");
    home.pull = None;
    home.sources = vec![source("kind = 'occupancy'\nlayout = { format = 'csv', skip = 1 }", &housing.url())];
    home.records.insert("occupancy".to_owned(), mapping(HOME));
    let power = connector(&mut config, "energy");
    let receipt = "receipt = { at = '/code', ok = ['0'], words = '/msg' }\nlayout = { records = '/data/rows' }";
    power.sources = vec![source(&format!("kind = 'electricity'\n{receipt}"), &energy.url())];
    power.records.insert("electricity".to_owned(), mapping(POWER));
    let centre = Centre::new(config).unwrap();
    let running = centre.run();
    rounds(&centre, &housing, 1, || facts(&centre, "housing", "daily").kept == 2).await;
    rounds(&centre, &energy, 1, || facts(&centre, "energy", "daily").kept == 1).await;
    let told = |unit: &str| facts(&centre, unit, "daily").rows.iter().map(exchange::SetAside::zh).collect::<Vec<_>>();
    assert_eq!(told("housing"), ["第 5 行“状态”：不在对照表中"]);
    assert_eq!(told("energy"), ["第 2 行“kwh”：单位不是度、kWh", "第 3 行“f”：缺少值"]);
    assert_eq!(facts(&centre, "energy", "daily").set_aside, 2);
    let advance = centre.clock_runs();
    let hit = |o: &Observation| matches!(o, Observation::RuleHit { rule, .. } if rule.as_str() == "vacant_power");
    wait(&centre.writer.seen, |o| o.iter().any(hit)).await;
    drop(advance);
    let hits: Vec<_> = centre
        .writer
        .observations()
        .into_iter()
        .filter_map(|o| match o {
            Observation::RuleHit { rule, text, .. } if rule.as_str() == "vacant_power" => text,
            _ => None,
        })
        .collect();
    assert_eq!(hits, ["登记空置的住房有用电：12栋2单元0604，一周用电 1088.5 度"]);
    running.stop().await;
}

fn rows(flats: &[u32]) -> Vec<u8> {
    let rows: Vec<Value> = flats.iter().map(|f| json!({"b": 12, "u": 1, "f": f, "kwh": 1})).collect();
    json!(rows).to_string().into_bytes()
}

fn paged(energy: &Department, text: &str) -> Config {
    let mut config = config();
    let power = connector(&mut config, "energy");
    power.sources = vec![source(&format!("kind = 'electricity'\n{text}"), &energy.url())];
    power.records.insert("electricity".to_owned(), mapping(POWER));
    config
}

#[tokio::test]
async fn a_round_that_breaks_off_goes_on_where_it_was() {
    let energy = Department::start("energy-secret-for-tests!").await;
    energy.pages(vec![
        (200, rows(&[1, 2])),
        (503, Vec::new()),
        (200, rows(&[3, 4])),
        (200, rows(&[5])),
        (200, rows(&[1])),
    ]);
    let centre = Centre::new(paged(&energy, "pages = { by = 'page', param = 'p', size = 2 }")).unwrap();
    let running = centre.run();
    rounds(&centre, &energy, 2, || facts(&centre, "energy", "daily").problem.is_some()).await;
    assert_eq!(facts(&centre, "energy", "daily").problem.as_deref(), Some("应答状态 503"));
    let advance = centre.clock_runs();
    wait(&energy.seen, |n| *n >= 5).await;
    drop(advance);
    let asked: Vec<_> = energy.asked().into_iter().take(5).map(|(uri, _, _)| uri).collect();
    assert_eq!(asked, ["/?p=1", "/?p=2", "/?p=2", "/?p=3", "/?p=1"], "then from the beginning");
    running.stop().await;
}

#[tokio::test]
async fn pages_that_do_not_change_end_the_round() {
    let energy = Department::start("energy-secret-for-tests!").await;
    energy.pages(vec![(200, rows(&[1, 2])), (200, rows(&[1, 2]))]);
    let centre = Centre::new(paged(&energy, "pages = { by = 'page', size = 2 }")).unwrap();
    let running = centre.run();
    rounds(&centre, &energy, 2, || facts(&centre, "energy", "daily").problem.is_some()).await;
    assert_eq!(facts(&centre, "energy", "daily").problem.as_deref(), Some("翻页后内容没有变化"));
    assert_eq!((energy.asked().len(), facts(&centre, "energy", "daily").kept), (2, 2));
    running.stop().await;
}

#[tokio::test]
async fn a_post_carries_its_headers_and_place_and_an_error_in_a_good_status_is_told() {
    let energy = Department::start("energy-secret-for-tests!").await;
    energy.pages(vec![(200, r#"{"code":500,"msg":"系统繁忙"}"#.into())]);
    let text = "method = 'post'\nbody = '{\"pageNum\":{page},\"pageSize\":{size}}'\nheaders = { X-App = 'mjw' }\n\
                secret_headers = { Authorization = 'Bearer abc' }\npages = { by = 'page', size = 100, first = 0 }\n\
                receipt = { at = '/code', ok = ['200'], words = '/msg' }";
    let config = paged(&energy, text);
    assert!(!format!("{config:?}").contains("Bearer"), "a secret prints nowhere");
    let centre = Centre::new(config).unwrap();
    let running = centre.run();
    rounds(&centre, &energy, 1, || facts(&centre, "energy", "daily").problem.is_some()).await;
    assert_eq!(facts(&centre, "energy", "daily").problem.as_deref(), Some("应答表示未收到（code 500：系统繁忙）"));
    let (_, headers, body) = energy.asked().remove(0);
    assert_eq!(
        (&headers["x-app"], &headers["authorization"]),
        (&"mjw".parse().unwrap(), &"Bearer abc".parse().unwrap())
    );
    assert_eq!(body, r#"{"pageNum":0,"pageSize":100}"#);
    running.stop().await;
}

#[tokio::test]
async fn a_source_that_refuses_us_raises_an_alarm_of_its_own() {
    let energy = Department::start("energy-secret-for-tests!").await;
    energy.pages(vec![(401, Vec::new())]);
    let centre = Centre::new(paged(&energy, "")).unwrap();
    let running = centre.run();
    let told = |o: &Observation| matches!(o, Observation::RuleHit { key, text: Some(text), .. } if key == "energy/daily/denied" && text.contains("数据源“daily”暂停更新"));
    wait(&centre.writer.seen, |o| o.iter().any(told)).await;
    let energy = centre.exchange.facts().into_iter().find(|f| f.unit.as_str() == "energy").unwrap();
    assert!(energy.denied_ms.is_some());
    running.stop().await;
}

#[tokio::test]
async fn a_bad_record_of_a_call_is_set_aside_and_a_call_of_bad_ones_is_refused() {
    let centre = Centre::new(config()).unwrap();
    let call = |records: Value| json!({"type": "records", "kind": "electricity", "records": records}).to_string();
    let good = json!({"building": "12", "unit": 2, "flat": "0604", "kwh_week": 3});
    let (status, answer) = centre.call("energy", "k1", &call(json!([good, {"building": "12"}]))).await;
    assert_eq!((status.as_u16(), &answer["kept"]), (200, &json!(1)));
    assert_eq!(answer["set_aside"], json!([{"row": 2, "column": "flat", "why": "第 2 行“flat”：缺少值"}]));
    let (status, problem) = centre.call("energy", "k2", &call(json!([{"building": "12"}]))).await;
    assert_eq!((status.as_u16(), &problem["field"]), (422, &json!("records.0.flat")));
    let push = facts(&centre, "energy", "push");
    assert_eq!((push.kept, push.set_aside), (1, 2));
}

#[test]
fn sources_that_cannot_work_are_refused() {
    let refused = |text: &str, key: &str| {
        let mut config = config();
        connector(&mut config, "energy").sources = vec![source(text, "http://10.0.0.1/list")];
        let error = config.check().unwrap_err().to_string();
        assert!(error.starts_with(&format!("exchange.departments.energy.sources.daily{key}: ")), "{error}");
    };
    refused("kind = 'water'", ".kind");
    refused("kind = 'electricity'\nbody = 'x'", ".body");
    refused("headers = { 'a b' = 'x' }", ".headers");
    refused("secret_headers = { Token = \"a\\nb\" }", ".headers");
    refused("pages = { by = 'page', size = 0 }", ".pages");
    refused("pages = { by = 'link', at = 'next' }", ".pages");
    refused("layout = { records = 'data' }", ".layout");
    refused("layout = { format = 'csv', delimiter = '\"' }", ".layout");
    refused("receipt = { at = '/code', ok = [] }", ".receipt");
}

#[tokio::test]
async fn a_mapping_is_tried_on_a_sample_without_keeping_it() {
    let mut config = config();
    let power = connector(&mut config, "energy");
    let layout = "kind = 'electricity'\nlayout = { records = '/data' }";
    power.sources = vec![source(layout, "http://127.0.0.1:9/list")];
    power.records.insert("electricity".to_owned(), mapping(POWER));
    let centre = Centre::new(config).unwrap();
    let ask = |more: Value| {
        let mut ask =
            json!({"unit": "energy", "sample": r#"{"data":[{"b":12,"u":1,"f":"0607","kwh":"88.5度"},{"b":12}]}"#});
        ask.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        centre.exchange.preview(&serde_json::from_value(ask).unwrap())
    };
    let tried = ask(json!({"source": "daily"})).unwrap();
    assert_eq!((tried.kept, tried.set_aside), (1, 1));
    assert_eq!(tried.rows[0].fields["flat"].text, "607");
    assert_eq!(tried.aside.iter().map(|a| a.column.as_deref().unwrap()).collect::<Vec<_>>(), ["f", "kwh", "u"]);
    let own = json!({"source": "daily", "fields": {"door": {"at": "/f", "optional": true}}});
    assert_eq!(ask(own).unwrap().kept, 2, "a mapping that is not saved yet");
    let table = json!({"kind": "electricity", "layout": {"format": "csv"}, "base64": true, "sample": "YixmLHUsa3doCjEyLDEsMSwyCg=="});
    assert_eq!(ask(table).unwrap().kept, 1);
    for (wrong, error) in [
        (json!({"unit": "water"}), PreviewError::NoDepartment),
        (json!({"source": "weekly"}), PreviewError::NoSource),
        (json!({}), PreviewError::NoKind),
        (json!({"source": "daily", "fields": {"door": "f"}}), PreviewError::BadFields),
        (json!({"source": "daily", "layout": {"records": "data"}}), PreviewError::BadLayout),
        (json!({"source": "daily", "base64": true}), PreviewError::BadSample),
    ] {
        assert_eq!(ask(wrong), Err(error));
    }
    assert_eq!(facts(&centre, "energy", "daily").kept, 0);
    assert!(centre.writer.taken().is_empty());
}
