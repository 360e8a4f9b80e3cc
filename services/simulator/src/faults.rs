//! What happenings ask of the cameras. The camera simulator implements it; without one every request is refused.

use async_trait::async_trait;
use domain::ids::CameraId;
use serde::{Deserialize, Serialize};

use crate::cameras::{self, Cameras, Fault, Scene};

/// What can be wrong with a camera, one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CameraFault {
    /// Nothing listens.
    Dead,
    /// Answers, sends no picture.
    Silent,
    /// The picture stands still.
    Frozen,
    /// A black picture.
    Black,
    /// Out of focus.
    Blurred,
    /// Bytes dribble.
    Slow,
    /// The password has been changed.
    Unauthorised,
    /// The stream changes its parameter sets.
    Parameters,
}

/// Why a camera did not change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("摄像头模拟器未就绪或无此摄像头 no such camera, or the camera simulator is not running: {0}")]
pub struct CameraRefusal(pub String);

/// Faults and scenes of simulated cameras.
#[async_trait]
pub trait CameraFaults: Send + Sync {
    /// Gives a camera a fault in place of any that it has, or ends it.
    async fn set_fault(&self, camera: &CameraId, fault: Option<CameraFault>) -> Result<(), CameraRefusal>;
    /// Gives all cameras a fault, or ends all faults.
    async fn set_all(&self, fault: Option<CameraFault>) -> Result<(), CameraRefusal>;
    /// Lets a camera see the fire, or its own scene again.
    async fn set_fire(&self, camera: &CameraId, burning: bool) -> Result<(), CameraRefusal>;
    /// Whether there are cameras.
    fn available(&self) -> bool {
        true
    }
}

/// A site without simulated cameras.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCameras;

#[async_trait]
impl CameraFaults for NoCameras {
    async fn set_fault(&self, camera: &CameraId, _: Option<CameraFault>) -> Result<(), CameraRefusal> {
        Err(CameraRefusal(camera.to_string()))
    }
    async fn set_all(&self, _: Option<CameraFault>) -> Result<(), CameraRefusal> {
        Err(CameraRefusal("*".to_owned()))
    }
    async fn set_fire(&self, camera: &CameraId, _: bool) -> Result<(), CameraRefusal> {
        Err(CameraRefusal(camera.to_string()))
    }
    fn available(&self) -> bool {
        false
    }
}

impl From<CameraFault> for Fault {
    fn from(fault: CameraFault) -> Self {
        match fault {
            CameraFault::Dead => Self::Dead,
            CameraFault::Silent => Self::Silent,
            CameraFault::Frozen => Self::Frozen,
            CameraFault::Black => Self::Black,
            CameraFault::Blurred => Self::Blurred,
            CameraFault::Slow => Self::Slow,
            CameraFault::Unauthorised => Self::Unauthorised,
            CameraFault::Parameters => Self::Parameters,
        }
    }
}

fn told(camera: &str, outcome: Result<(), cameras::Error>) -> Result<(), CameraRefusal> {
    outcome.map_err(|error| CameraRefusal(format!("{camera}: {error}")))
}

#[async_trait]
impl CameraFaults for Cameras {
    async fn set_fault(&self, camera: &CameraId, fault: Option<CameraFault>) -> Result<(), CameraRefusal> {
        let outcome = match fault {
            Some(fault) => Self::set_fault(self, camera, fault.into()).await,
            None => self.clear(camera).await,
        };
        told(camera.as_str(), outcome)
    }
    async fn set_all(&self, fault: Option<CameraFault>) -> Result<(), CameraRefusal> {
        told("*", Self::set_all(self, fault.map(Fault::from)).await)
    }
    async fn set_fire(&self, camera: &CameraId, burning: bool) -> Result<(), CameraRefusal> {
        let outcome = if burning { self.set_scene(camera, Scene::Fire).await } else { self.reset_scene(camera).await };
        told(camera.as_str(), outcome)
    }
}
