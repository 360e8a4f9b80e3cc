//! Events of alarms.

use crate::{
    alarm::{Evidence, Source, Verdict},
    event::Happening,
    ids::*,
    incident::Exhibit,
    site::{Level, Place},
    text::Ref,
    time::Timestamp,
};

/// What happens to an alarm.
#[derive(Clone, Debug, PartialEq)]
pub enum AlarmEvent {
    /// A condition was noticed.
    Raised {
        /// Id.
        alarm: AlarmId,
        /// Kind.
        kind: AlarmKindId,
        /// Priority.
        level: Level,
        /// Where.
        place: Place,
        /// Case code 一事一码 that a reporter can quote.
        code: String,
        /// First evidence.
        evidence: Evidence,
    },
    /// The same condition again, or from a further source.
    EvidenceAdded {
        /// Id.
        alarm: AlarmId,
        /// Priority now; it never falls.
        level: Level,
        /// Kind now: the most telling of the sources.
        kind: AlarmKindId,
        /// Evidence.
        evidence: Evidence,
    },
    /// One source is back to normal; the alarm clears with its last.
    SourceCleared {
        /// Id.
        alarm: AlarmId,
        /// Which source.
        source: Source,
    },
    /// Somebody has seen it 确认.
    Confirmed {
        /// Id.
        alarm: AlarmId,
    },
    /// Confirmed but not judged in time: it sounds again.
    Sounded {
        /// Id.
        alarm: AlarmId,
    },
    /// Judged 判定.
    Judged {
        /// Id.
        alarm: AlarmId,
        /// Verdict.
        verdict: Verdict,
        /// The incident of a genuine one.
        incident: Option<IncidentId>,
        /// Remark.
        text: Option<Ref>,
    },
    /// Shelved 屏蔽 until a time.
    Shelved {
        /// Id.
        alarm: AlarmId,
        /// When it ends by itself.
        until: Timestamp,
        /// Reason.
        reason: Ref,
    },
    /// The shelving ended.
    Unshelved {
        /// Id.
        alarm: AlarmId,
    },
    /// A clip or still of the moment was saved.
    ExhibitAdded {
        /// Id.
        alarm: AlarmId,
        /// What.
        exhibit: Exhibit,
    },
    /// Its incident was merged; it goes on with the other one.
    Moved {
        /// Id.
        alarm: AlarmId,
        /// The incident that goes on.
        incident: IncidentId,
    },
    /// It was found where it is, after it was raised without a place or with a wrong one.
    Placed {
        /// Id.
        alarm: AlarmId,
        /// Where.
        place: Place,
    },
}

impl Happening for AlarmEvent {
    type Id = AlarmId;

    fn name(&self) -> &'static str {
        match self {
            Self::Raised { .. } => "alarm_raised",
            Self::EvidenceAdded { .. } => "alarm_evidence",
            Self::SourceCleared { .. } => "alarm_source_cleared",
            Self::Confirmed { .. } => "alarm_confirmed",
            Self::Sounded { .. } => "alarm_sounded",
            Self::Judged { .. } => "alarm_judged",
            Self::Shelved { .. } => "alarm_shelved",
            Self::Unshelved { .. } => "alarm_unshelved",
            Self::ExhibitAdded { .. } => "alarm_exhibit",
            Self::Moved { .. } => "alarm_moved",
            Self::Placed { .. } => "alarm_placed",
        }
    }

    fn id(&self) -> AlarmId {
        match self {
            Self::Raised { alarm, .. }
            | Self::EvidenceAdded { alarm, .. }
            | Self::SourceCleared { alarm, .. }
            | Self::Confirmed { alarm }
            | Self::Sounded { alarm }
            | Self::Judged { alarm, .. }
            | Self::Shelved { alarm, .. }
            | Self::Unshelved { alarm }
            | Self::ExhibitAdded { alarm, .. }
            | Self::Moved { alarm, .. }
            | Self::Placed { alarm, .. } => *alarm,
        }
    }

    fn blobs(&self) -> Vec<&BlobId> {
        match self {
            Self::ExhibitAdded { exhibit, .. } => vec![&exhibit.blob],
            Self::Raised { .. }
            | Self::EvidenceAdded { .. }
            | Self::SourceCleared { .. }
            | Self::Confirmed { .. }
            | Self::Sounded { .. }
            | Self::Judged { .. }
            | Self::Shelved { .. }
            | Self::Unshelved { .. }
            | Self::Moved { .. }
            | Self::Placed { .. } => Vec::new(),
        }
    }
}
