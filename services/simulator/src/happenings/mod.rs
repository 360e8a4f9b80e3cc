//! Happenings: what can be made to happen, and what that means for sensors, cameras, departments and phones. Making a
//! plan is pure: the same request, site and dice give the same plan; `world` carries it out.

mod script;

#[cfg(test)]
mod tests;

use std::time::Duration;

use domain::{
    ids::{CameraId, SensorId},
    site::Site,
};
use serde::{Deserialize, Serialize};

use crate::{departments::Condition, faults::CameraFault, records::Flat, seed::Dice};

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $zh:literal, $en:literal, $needs:ident;)*) => {
        /// What can happen.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind { $($(#[$doc])* $name,)* }
        impl Kind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
            /// Id in requests.
            pub const fn id(self) -> &'static str { match self { $(Self::$name => $id,)* } }
            /// Chinese.
            pub const fn zh(self) -> &'static str { match self { $(Self::$name => $zh,)* } }
            /// English.
            pub const fn en(self) -> &'static str { match self { $(Self::$name => $en,)* } }
            /// What a request for it names.
            pub const fn needs(self) -> Needs { match self { $(Self::$name => Needs::$needs,)* } }
        }
    };
}

/// What a request names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Needs {
    /// `building`, by default 12.
    Building,
    /// `camera` (1 to 237), by default the outdoor camera of `building`.
    Camera,
    /// `department`, by default fire.
    Department,
    /// Nothing.
    Nothing,
}

kinds! {
    /// Smoke rises, a call point is pressed, the camera sees flames, a resident writes.
    Fire = "fire", "火情", "Fire", Building;
    /// A single smoke detector, as when somebody cooks.
    FalseSmoke = "false_smoke", "烟感误报", "False smoke alarm", Building;
    /// Gas rises.
    GasLeak = "gas_leak", "燃气泄漏", "Gas leak", Building;
    /// People trapped in a lift.
    LiftTrapped = "lift_trapped", "电梯困人", "People trapped in a lift", Building;
    /// A lift stops.
    LiftFault = "lift_fault", "电梯故障", "Lift fault", Building;
    /// A help button is pressed.
    Sos = "sos", "一键求助", "Call for help", Building;
    /// Water rises.
    Flooding = "flooding", "水位上涨", "Water rises", Building;
    /// Hydrant pressure falls.
    LowPressure = "low_pressure", "消防水压偏低", "Low hydrant pressure", Building;
    /// Residual current rises.
    Electrical = "electrical", "电气隐患", "Electrical hazard", Building;
    /// A manhole cover is moved.
    Manhole = "manhole", "井盖位移", "Manhole cover moved", Building;
    /// A car stands in a fire lane.
    FireLane = "fire_lane", "消防通道占用", "Fire lane blocked", Building;
    /// An e-bike charges too much.
    Ebike = "ebike", "电动车充电异常", "E-bike charging fault", Building;
    /// A resident complains about noise.
    Noise = "noise", "噪声短信", "Message about noise", Building;
    /// A resident writes about a burst pipe.
    WaterBurst = "water_burst", "水管爆裂短信", "Message about a burst pipe", Building;
    /// Forty messages in twenty seconds.
    SmsFlood = "sms_flood", "短信洪峰", "Flood of messages", Building;
    /// A department reports something.
    Report = "department_report", "部门上报", "Report of a department", Department;
    /// Energy and housing disagree about a flat.
    EmptyFlat = "empty_flat_power", "空置房用电异常", "Power used in an empty flat", Building;
    /// A camera is dead.
    CameraDead = "camera_dead", "摄像头断电", "Camera dead", Camera;
    /// A camera sends nothing.
    CameraSilent = "camera_silent", "摄像头无数据", "Camera silent", Camera;
    /// A camera's picture stands still.
    CameraFrozen = "camera_frozen", "画面停滞", "Picture frozen", Camera;
    /// A camera's picture is black.
    CameraBlack = "camera_black", "画面黑屏", "Picture black", Camera;
    /// A camera is out of focus.
    CameraBlurred = "camera_blurred", "画面模糊", "Picture blurred", Camera;
    /// A camera dribbles.
    CameraSlow = "camera_slow", "摄像头缓慢", "Camera slow", Camera;
    /// A camera's password was changed.
    CameraUnauthorised = "camera_unauthorised", "摄像头密码错误", "Camera unauthorised", Camera;
    /// A camera's parameters change.
    CameraParameters = "camera_parameters", "码流参数变化", "Stream parameters change", Camera;
    /// All cameras are dead at once.
    CamerasAll = "cameras_all", "全部摄像头断电", "All cameras dead", Nothing;
    /// A department's server answers 503.
    DepartmentDown = "department_down", "部门系统中断", "Department down", Department;
    /// A department's server takes twenty seconds.
    DepartmentSlow = "department_slow", "部门系统缓慢", "Department slow", Department;
    /// All gateways lose the broker.
    BrokerDrop = "broker_drop", "物联网断线", "Broker connections drop", Nothing;
}

/// A request to make something happen.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Id of the kind.
    pub kind: String,
    /// Building number, 1 to 76.
    #[serde(default)]
    pub building: Option<u16>,
    /// Camera number, 1 to 237.
    #[serde(default)]
    pub camera: Option<u16>,
    /// Department.
    #[serde(default)]
    pub department: Option<String>,
    /// How long it lasts, minutes, up to 240; each kind has its own default.
    #[serde(default)]
    pub minutes: Option<f64>,
}

impl Request {
    /// A request for a kind at a building.
    pub fn at(kind: Kind, building: u16) -> Self {
        Self { kind: kind.id().to_owned(), building: Some(building), ..Self::default() }
    }
}

/// One thing done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Deed {
    Force(SensorId, f64),
    Release(SensorId),
    Fire(CameraId, bool),
    Camera(CameraId, Option<CameraFault>),
    Cameras(Option<CameraFault>),
    Text { from: String, text: String },
    Report { department: String, class: &'static str, place: String, text: &'static str },
    Condition(String, Condition),
    Outage(Duration),
    Empty(Flat),
    Usage(Flat, f64),
}

/// What will be done and when.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    /// Where, as people say it.
    pub(crate) place: String,
    pub(crate) deeds: Vec<(Duration, Deed)>,
    /// When it is over; `None` = at once.
    pub(crate) lasts: Option<Duration>,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such kind.
    #[error("没有这种情况 no such kind: {0}")]
    Kind(String),
    /// No such building, camera or department.
    #[error("没有这个{0} no such {1}")]
    Target(&'static str, &'static str),
    /// The length is out of bounds.
    #[error("持续时间须大于 0 且不超过 240 分钟 minutes must lie above 0 and up to 240")]
    Minutes,
    /// No simulated cameras.
    #[error("摄像头模拟器未运行 the camera simulator is not running")]
    NoCameras,
    /// Too much is happening at once.
    #[error("同时发生的情况过多，请先清除 too much is happening, clear first")]
    Busy,
}

impl Refusal {
    /// A stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Kind(_) => "kind_unknown",
            Self::Target(..) => "target_unknown",
            Self::Minutes => "minutes_invalid",
            Self::NoCameras => "no_cameras",
            Self::Busy => "busy",
        }
    }
}

/// Makes the plan of a request. `pace` scales every delay and the length.
pub(crate) fn plan(site: &Site, seed: u64, dice: &mut Dice, request: &Request, pace: f64) -> Result<Plan, Refusal> {
    let kind = Kind::ALL.iter().copied().find(|k| k.id() == request.kind);
    let kind = kind.ok_or_else(|| Refusal::Kind(request.kind.chars().take(40).collect()))?;
    if request.minutes.is_some_and(|m| !(m > 0.0 && m <= 240.0)) {
        return Err(Refusal::Minutes);
    }
    let mut plan = script::write(site, seed, dice, kind, request)?;
    if let (Some(minutes), Some(_)) = (request.minutes, plan.lasts) {
        plan.lasts = Some(Duration::from_secs_f64(minutes * 60.0));
    }
    for (delay, _) in &mut plan.deeds {
        *delay = delay.mul_f64(pace);
    }
    plan.lasts = plan.lasts.map(|l| l.mul_f64(pace));
    Ok(plan)
}

impl Plan {
    /// What ends it: each sensor, camera and server as before.
    pub(crate) fn undo(&self) -> Vec<Deed> {
        let mut undo: Vec<Deed> = Vec::new();
        for (_, deed) in &self.deeds {
            let back = match deed {
                Deed::Force(sensor, _) => Deed::Release(sensor.clone()),
                Deed::Fire(camera, true) => Deed::Fire(camera.clone(), false),
                Deed::Camera(camera, Some(_)) => Deed::Camera(camera.clone(), None),
                Deed::Cameras(Some(_)) => Deed::Cameras(None),
                Deed::Condition(department, _) => Deed::Condition(department.clone(), Condition::Up),
                _ => continue,
            };
            if !undo.contains(&back) {
                undo.push(back);
            }
        }
        undo
    }
}
