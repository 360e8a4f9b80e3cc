//! Classes of incident with their response plans and limits, and the kinds of alarm that lead to them. All of it is
//! data: a site may change every row.

use domain::{
    ids::{AlarmKindId, ClassId},
    site::{AlarmKind, Class, Level, Limits, Name},
    time::Millis,
};

use super::name;

/// Reference limits of a level: 10 min to file and push when urgent, 30 otherwise; red is acknowledged in 60 s.
fn limits(level: Level) -> Limits {
    let [m, h] = [Millis::minutes, Millis::hours];
    match level {
        Level::Red => Limits {
            collect: m(2),
            analyse: m(10),
            approve: m(30),
            push: m(10),
            acknowledge: Millis::seconds(60),
            arrive: m(5),
            handle: h(2),
            verify: h(1),
            decline: Millis(0),
            attend: Some(Millis::seconds(60)),
        },
        Level::Yellow => Limits {
            collect: m(5),
            analyse: m(10),
            approve: m(10),
            push: m(10),
            acknowledge: m(15),
            arrive: m(30),
            handle: h(4),
            verify: h(4),
            decline: m(15),
            attend: Some(m(3)),
        },
        Level::Normal => Limits {
            collect: m(30),
            analyse: m(30),
            approve: m(30),
            push: m(30),
            acknowledge: m(30),
            arrive: h(2),
            handle: h(24),
            verify: h(24),
            decline: m(60),
            attend: Some(m(3)),
        },
    }
}

struct Row {
    id: &'static str,
    zh: &'static str,
    en: &'static str,
    level: Level,
    intake: bool,
    lead: &'static str,
    assists: &'static [&'static str],
    steps: &'static [(&'static str, &'static str)],
}

const CLASSES: &[Row] = &[
    Row {
        id: "fire",
        zh: "火情",
        en: "Fire",
        level: Level::Red,
        intake: true,
        lead: "fire",
        assists: &["police", "property"],
        steps: &[
            ("看附近摄像头，核实火点和楼层", "Look at the nearest cameras, confirm seat and floor"),
            ("移交119并记录接警员答复", "Hand over to 119 and record the answer"),
            ("推送消防、公安、物业", "Push to fire, police and property"),
            ("核对在册人数和需照护人员", "Check registered people and care needs"),
            ("电话报告带班领导", "Report to the duty leader by phone"),
            ("确认消防通道畅通", "Confirm that the fire lane is free"),
            ("物业开单元门、停电梯、广播疏散", "Property opens doors, stops lifts, announces evacuation"),
            ("能源切断本单元燃气", "Energy cuts the unit's gas"),
            ("社区清点人数，报送集结点", "Community counts people at the assembly point"),
        ],
    },
    Row {
        id: "gas_leak",
        zh: "燃气泄漏",
        en: "Gas leak",
        level: Level::Red,
        intake: true,
        lead: "energy",
        assists: &["fire", "police", "property"],
        steps: &[
            ("通知住户开窗、勿动开关", "Tell residents to open windows and touch no switch"),
            ("能源关闭本单元阀门", "Energy closes the unit's valve"),
            ("物业疏散本单元并看守入口", "Property clears the unit and guards the door"),
            ("消防到场检测浓度", "Fire measures the concentration"),
            ("复测为零后恢复供气", "Restore supply after a zero reading"),
        ],
    },
    Row {
        id: "lift_trapped",
        zh: "电梯困人",
        en: "People trapped in a lift",
        level: Level::Red,
        intake: true,
        lead: "lift_firm",
        assists: &["property", "fire"],
        steps: &[
            ("对讲安抚，问人数和身体状况", "Speak to them, ask number and condition"),
            ("推送维保和物业", "Push to the lift firm and property"),
            ("超过15分钟未到请消防支援", "Ask fire for help after 15 minutes"),
            ("救出后停梯检修并张贴告示", "Take the lift out of service and post a notice"),
        ],
    },
    Row {
        id: "sos",
        zh: "一键求助",
        en: "Call for help",
        level: Level::Red,
        intake: true,
        lead: "police",
        assists: &["property"],
        steps: &[
            ("看最近摄像头", "Look at the nearest camera"),
            ("回拨并保持通话", "Call back and stay on the line"),
            ("推送一格一警和网格组", "Push to the grid's officer and team"),
            ("需要时移交110或120", "Hand over to 110 or 120 if needed"),
        ],
    },
    Row {
        id: "water_burst",
        zh: "水管爆裂",
        en: "Burst water pipe",
        level: Level::Yellow,
        intake: true,
        lead: "housing",
        assists: &["property"],
        steps: &[
            ("物业关阀止水", "Property closes the valve"),
            ("告知停水范围和时间", "Announce where and how long water is off"),
            ("修复后通水并拍照", "Restore and photograph"),
        ],
    },
    Row {
        id: "power",
        zh: "停电及电气隐患",
        en: "Power failure or electrical hazard",
        level: Level::Yellow,
        intake: true,
        lead: "energy",
        assists: &["property"],
        steps: &[
            ("核实停电范围", "Find the extent"),
            ("查看电梯是否有人被困", "Check the lifts for people"),
            ("断开故障回路并检修", "Isolate and repair the circuit"),
            ("恢复供电并复查", "Restore and check again"),
        ],
    },
    Row {
        id: "lift_fault",
        zh: "电梯故障",
        en: "Lift fault",
        level: Level::Yellow,
        intake: true,
        lead: "lift_firm",
        assists: &["property"],
        steps: &[
            ("确认轿厢无人", "Confirm that the car is empty"),
            ("停梯挂牌", "Take out of service, post a sign"),
            ("修复并试运行", "Repair and test"),
        ],
    },
    Row {
        id: "noise",
        zh: "噪声纠纷",
        en: "Noise dispute",
        level: Level::Yellow,
        intake: true,
        lead: "police",
        assists: &["environment"],
        steps: &[
            ("核实声源", "Find the source"),
            ("上门劝止", "Ask them to stop"),
            ("当面或电话回访报告人", "Call the reporter back"),
        ],
    },
    Row {
        id: "fire_lane",
        zh: "消防通道占用",
        en: "Fire lane blocked",
        level: Level::Yellow,
        intake: true,
        lead: "property",
        assists: &["police", "fire"],
        steps: &[
            ("联系车主移车", "Call the owner"),
            ("无法联系时由交警拖移", "Tow if there is no answer"),
            ("拍照确认畅通", "Photograph the free lane"),
        ],
    },
    Row {
        id: "clutter",
        zh: "楼道堆物",
        en: "Clutter in a stairwell",
        level: Level::Normal,
        intake: true,
        lead: "property",
        assists: &["fire"],
        steps: &[("上门劝清", "Ask the owner to clear it"), ("限期清理并拍照", "Clear by the date and photograph")],
    },
    Row {
        id: "street_light",
        zh: "路灯不亮",
        en: "Street light out",
        level: Level::Normal,
        intake: true,
        lead: "urban_management",
        assists: &["energy"],
        steps: &[("现场核实灯杆编号", "Check the pole number"), ("修复并夜间复查", "Repair, check again at night")],
    },
    Row {
        id: "manhole",
        zh: "井盖松动",
        en: "Loose manhole cover",
        level: Level::Yellow,
        intake: true,
        lead: "urban_management",
        assists: &["property"],
        steps: &[
            ("先设围挡和警示", "Fence it first"),
            ("复位或更换井盖", "Reset or replace the cover"),
            ("拍照恢复通行", "Photograph and open again"),
        ],
    },
    Row {
        id: "garbage",
        zh: "垃圾未清运",
        en: "Rubbish not collected",
        level: Level::Normal,
        intake: true,
        lead: "urban_management",
        assists: &["property"],
        steps: &[("核实点位", "Check the place"), ("清运并冲洗", "Collect and wash"), ("拍照反馈", "Photograph")],
    },
    Row {
        id: "flooding",
        zh: "积水",
        en: "Flooding",
        level: Level::Yellow,
        intake: true,
        lead: "housing",
        assists: &["urban_management", "property"],
        steps: &[
            ("封闭低洼处和地下车库", "Close low places and the underground garage"),
            ("架泵抽排，疏通管网", "Pump and clear the drains"),
            ("水位回落后恢复通行", "Open again when the level is down"),
        ],
    },
    Row {
        id: "vending",
        zh: "占道经营",
        en: "Vending on the road",
        level: Level::Normal,
        intake: true,
        lead: "urban_management",
        assists: &[],
        steps: &[("劝导至规定摊区", "Direct to the market area"), ("恢复道路并拍照", "Clear the road and photograph")],
    },
    Row {
        id: "ebike",
        zh: "电动车违停充电",
        en: "E-bike parked or charging unsafely",
        level: Level::Yellow,
        intake: true,
        lead: "property",
        assists: &["fire"],
        steps: &[
            ("断电并移出楼道", "Cut the power, move it out"),
            ("联系车主，引导到充电棚", "Call the owner, show the charging shed"),
            ("复查无隐患并拍照", "Check again and photograph"),
        ],
    },
    Row {
        id: "school",
        zh: "校园周边",
        en: "Around the school",
        level: Level::Yellow,
        intake: true,
        lead: "police",
        assists: &["urban_management", "transport"],
        steps: &[
            ("看校门摄像头", "Look at the gate cameras"),
            ("到场疏导或制止", "Go there, direct or stop"),
            ("告知学校值班老师", "Tell the teacher on duty"),
        ],
    },
    Row {
        id: "dispute",
        zh: "矛盾纠纷",
        en: "Dispute",
        level: Level::Normal,
        intake: true,
        lead: "petitions",
        assists: &["police"],
        steps: &[
            ("分别听取双方", "Hear both sides"),
            ("楼栋长或网格例会调解", "Mediate by the building head or grid meeting"),
            ("登记结果并约定回访", "Record the result and a follow-up"),
        ],
    },
    Row {
        id: "camera_fault",
        zh: "摄像头故障",
        en: "Camera fault",
        level: Level::Normal,
        intake: false,
        lead: "property",
        assists: &["police"],
        steps: &[
            ("查电源和网络", "Check power and network"),
            ("恢复画面并核对时间", "Restore the picture, check the clock"),
        ],
    },
    Row {
        id: "data_check",
        zh: "数据核查",
        en: "Data check",
        level: Level::Normal,
        intake: false,
        lead: "housing",
        assists: &["energy"],
        steps: &[
            ("两部门核对记录", "Both departments compare records"),
            ("网格员入户核实", "Grid staff visit"),
            ("更正台账", "Correct the register"),
        ],
    },
    Row {
        id: "enquiry",
        zh: "咨询",
        en: "Enquiry",
        level: Level::Normal,
        intake: true,
        lead: "petitions",
        assists: &[],
        steps: &[("查明答复口径", "Find the answer"), ("一个工作日内回复", "Reply within a working day")],
    },
];

pub(super) fn classes() -> Vec<Class> {
    let names = |rows: &[(&str, &str)]| -> Vec<Name> { rows.iter().map(|(zh, en)| name(*zh, *en)).collect() };
    CLASSES
        .iter()
        .map(|row| Class {
            id: ClassId::new(row.id),
            name: name(row.zh, row.en),
            level: row.level,
            intake: row.intake,
            lead: row.lead.into(),
            assists: row.assists.iter().map(|u| (*u).into()).collect(),
            steps: names(row.steps),
            limits: limits(row.level),
        })
        .collect()
}

/// Id, Chinese, English, level, class, opens with, family, radius (m), window (min).
type KindRow = (&'static str, &'static str, &'static str, Level, &'static str, Option<u8>, &'static str, f64, i64);

const KINDS: &[KindRow] = &[
    ("smoke", "烟感", "Smoke", Level::Yellow, "fire", Some(2), "fire", 40.0, 5),
    ("call_point", "手动报警", "Fire call point", Level::Red, "fire", Some(2), "fire", 40.0, 5),
    ("gas", "可燃气体", "Combustible gas", Level::Red, "gas_leak", Some(2), "gas", 30.0, 10),
    ("electrical_fire", "电气火灾监测", "Electrical fire monitor", Level::Yellow, "power", None, "power", 30.0, 30),
    ("hydrant_pressure", "消防水压偏低", "Low hydrant pressure", Level::Yellow, "water_burst", None, "water", 60.0, 60),
    ("lift_trapped", "电梯困人", "People trapped in a lift", Level::Red, "lift_trapped", Some(1), "lift", 20.0, 30),
    ("lift_fault", "电梯故障", "Lift fault", Level::Yellow, "lift_fault", None, "lift", 20.0, 30),
    ("manhole", "井盖位移", "Manhole cover moved", Level::Yellow, "manhole", None, "manhole", 15.0, 60),
    ("water_level", "水位偏高", "High water level", Level::Yellow, "flooding", None, "flooding", 80.0, 60),
    ("sos", "一键求助", "Call for help", Level::Red, "sos", Some(1), "sos", 20.0, 10),
    ("fire_lane", "消防通道占用", "Fire lane blocked", Level::Yellow, "fire_lane", None, "fire_lane", 25.0, 30),
    ("ebike_charging", "电动车充电异常", "E-bike charging fault", Level::Yellow, "ebike", None, "ebike", 25.0, 30),
    ("camera_frozen", "画面停滞", "Picture frozen", Level::Yellow, "camera_fault", None, "camera", 1.0, 10),
    ("camera_black", "画面黑屏", "Picture black", Level::Yellow, "camera_fault", None, "camera", 1.0, 10),
    ("camera_offline", "摄像头离线", "Camera offline", Level::Normal, "camera_fault", None, "camera", 1.0, 10),
    (
        "connector_fault",
        "部门接口故障",
        "Department connection fault",
        Level::Yellow,
        "data_check",
        None,
        "connector",
        1.0,
        10,
    ),
    ("data_rule", "数据比对", "Data rule", Level::Normal, "data_check", None, "data", 20.0, 1_440),
    ("message", "群众短信", "Message from a resident", Level::Normal, "enquiry", None, "message", 50.0, 15),
    ("department", "部门上报", "Report of a department", Level::Normal, "enquiry", None, "department", 50.0, 30),
];

pub(super) fn alarm_kinds() -> Vec<AlarmKind> {
    KINDS
        .iter()
        .map(|&(id, zh, en, level, class, opens_with, family, radius, window)| AlarmKind {
            id: AlarmKindId::new(id),
            name: name(zh, en),
            level,
            class: class.into(),
            opens_with,
            family: family.to_owned(),
            radius,
            window: Millis::minutes(window),
            words: Vec::new(),
        })
        .chain(REPORTS.iter().filter_map(reported))
        .collect()
}

/// What people say of each class, the more telling words first: class, family, radius (m), window (min), words. A report
/// of a family joins the condition that its sensors noticed; it is never the second sensor.
type ReportRow = (&'static str, &'static str, f64, i64, &'static [&'static str]);

const REPORTS: &[ReportRow] = &[
    ("lift_trapped", "lift", 20.0, 30, &["困在电梯", "电梯困", "被困", "关在电梯", "关在里面"]),
    ("gas_leak", "gas", 30.0, 10, &["燃气", "煤气", "天然气", "液化气"]),
    (
        "fire",
        "fire",
        40.0,
        5,
        &["着火", "起火", "失火", "火灾", "救火", "火苗", "明火", "冒烟", "有烟", "浓烟", "黑烟", "烟雾", "烧起来"],
    ),
    ("sos", "sos", 20.0, 10, &["救命", "求助", "晕倒", "昏倒"]),
    ("lift_fault", "lift", 20.0, 30, &["电梯"]),
    ("water_burst", "water", 60.0, 60, &["水管", "爆管", "漏水", "跑水", "停水", "水压"]),
    ("flooding", "flooding", 80.0, 60, &["积水", "淹水", "内涝", "倒灌", "水位"]),
    ("street_light", "street_light", 50.0, 60, &["路灯", "灯不亮"]),
    ("power", "power", 30.0, 30, &["停电", "跳闸", "没电", "漏电", "线路", "电线"]),
    ("manhole", "manhole", 15.0, 60, &["井盖"]),
    ("fire_lane", "fire_lane", 25.0, 30, &["消防通道", "堵住通道", "违停"]),
    ("ebike", "ebike", 25.0, 30, &["电动车", "电瓶车", "飞线"]),
    ("dispute", "dispute", 30.0, 60, &["纠纷", "吵架", "打架", "闹矛盾"]),
    ("noise", "noise", 30.0, 60, &["吵", "噪", "扰民", "音响", "广场舞"]),
    ("garbage", "garbage", 50.0, 240, &["垃圾"]),
    ("vending", "vending", 50.0, 60, &["摆摊", "占道", "摊贩"]),
    ("school", "school", 80.0, 30, &["校门", "放学", "学校"]),
    ("clutter", "clutter", 30.0, 240, &["杂物", "堆物", "堆放"]),
    ("camera_fault", "camera", 1.0, 60, &["摄像头", "监控坏"]),
    ("data_check", "data", 20.0, 1_440, &["数据核查"]),
    ("enquiry", "enquiry", 50.0, 15, &["咨询", "请问", "怎么办理"]),
];

/// The kind of a row. What is only said is yellow at most until a person judges it.
fn reported(row: &ReportRow) -> Option<AlarmKind> {
    let (class, family, radius, window, words) = *row;
    let class = CLASSES.iter().find(|c| c.id == class)?;
    Some(AlarmKind {
        id: AlarmKindId::new(format!("report_{}", class.id)),
        name: name(format!("{}上报", class.zh), format!("{} reported", class.en)),
        level: class.level.min(Level::Yellow),
        class: class.id.into(),
        opens_with: None,
        family: family.to_owned(),
        radius,
        window: Millis::minutes(window),
        words: words.iter().map(|w| (*w).to_owned()).collect(),
    })
}
