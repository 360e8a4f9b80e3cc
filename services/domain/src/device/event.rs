//! Events of sensors and of the credentials of devices.

use crate::{device::Voice, event::Happening, ids::*, text::Ref};

/// What happens to the reachability of a sensor.
#[derive(Clone, Debug, PartialEq)]
pub enum SensorEvent {
    /// A sensor became reachable or not.
    Linked {
        /// Which.
        sensor: SensorId,
        /// Reachable.
        online: bool,
    },
}

impl Happening for SensorEvent {
    type Id = SensorId;

    fn name(&self) -> &'static str {
        match self {
            Self::Linked { .. } => "sensor_link",
        }
    }

    fn id(&self) -> SensorId {
        match self {
            Self::Linked { sensor, .. } => sensor.clone(),
        }
    }

    fn blobs(&self) -> Vec<&BlobId> {
        match self {
            Self::Linked { .. } => Vec::new(),
        }
    }
}

/// What happens to the credential of a device.
#[derive(Clone, Debug, PartialEq)]
pub enum CredentialEvent {
    /// A device got a secret to log in with, in place of any before.
    Issued {
        /// Which.
        device: DeviceId,
        /// Whom it speaks for.
        voice: Voice,
        /// The sensors behind a gateway that lists them.
        behind: Vec<SensorId>,
        /// Hash of the secret.
        hash: Ref,
    },
    /// A device's secret was taken back.
    Revoked {
        /// Which.
        device: DeviceId,
    },
}

impl Happening for CredentialEvent {
    type Id = DeviceId;

    fn name(&self) -> &'static str {
        match self {
            Self::Issued { .. } => "device_credential_issued",
            Self::Revoked { .. } => "device_credential_revoked",
        }
    }

    fn id(&self) -> DeviceId {
        match self {
            Self::Issued { device, .. } | Self::Revoked { device } => device.clone(),
        }
    }

    fn blobs(&self) -> Vec<&BlobId> {
        match self {
            Self::Issued { .. } | Self::Revoked { .. } => Vec::new(),
        }
    }
}
