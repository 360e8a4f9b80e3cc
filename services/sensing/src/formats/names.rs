//! Which sensors of the site a device is: by its own name, or by what the configuration says. One device with several
//! channels may be several sensors.

use std::collections::{BTreeMap, HashMap};

use domain::site::SensorKind;

/// Names of devices and their sensors.
#[derive(Debug, Clone, Default)]
pub struct Names {
    devices: HashMap<String, (usize, SensorKind)>,
    /// Channels of a device that are sensors of their own.
    channels: HashMap<String, Vec<(String, usize, SensorKind)>>,
}

/// A sensor that a device tells about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// Its number.
    pub(super) device: usize,
    pub(super) kind: SensorKind,
    /// The channel that it is, when the device has others.
    pub(super) channel: Option<&'a str>,
}

impl Names {
    /// Of the sensors of a site in their order, and of devices that the configuration names, `device` or `device/channel`.
    pub fn new<'a>(sensors: impl IntoIterator<Item = (&'a str, SensorKind)>, named: &BTreeMap<String, String>) -> Self {
        let mut names = Self::default();
        for (number, (id, kind)) in sensors.into_iter().enumerate() {
            names.devices.insert(id.to_owned(), (number, kind));
        }
        for (name, sensor) in named {
            let Some((number, kind)) = names.devices.get(sensor).copied() else { continue };
            if let Some((device, channel)) = name.rsplit_once('/') {
                let of = names.channels.entry(device.to_owned()).or_default();
                of.push((channel.to_owned(), number, kind));
            }
            names.devices.insert(name.clone(), (number, kind));
        }
        names
    }

    /// Number and kind of a sensor.
    pub fn get(&self, device: &str) -> Option<(usize, SensorKind)> {
        self.devices.get(device).copied()
    }

    /// The sensors that a message of this device, and of this channel, is about.
    pub(super) fn targets(&self, device: &str, channel: Option<&str>) -> Vec<Target<'_>> {
        let channels = self.channels.get(device).map(Vec::as_slice).unwrap_or_default();
        let own = self.get(device).map(|(device, kind)| Target { device, kind, channel: None });
        match channel {
            None => {
                let channels = channels.iter().map(|(channel, device, kind)| Target {
                    device: *device,
                    kind: *kind,
                    channel: Some(channel),
                });
                own.into_iter().chain(channels).collect()
            }
            Some(channel) => {
                let named = channels.iter().find(|(c, ..)| c == channel);
                let whole = named.map(|(_, device, kind)| Target { device: *device, kind: *kind, channel: None });
                let by_id = || self.get(&format!("{device}/{channel}"));
                let by_id = || by_id().map(|(device, kind)| Target { device, kind, channel: None });
                whole.or_else(by_id).or(own).into_iter().collect()
            }
        }
    }
}
