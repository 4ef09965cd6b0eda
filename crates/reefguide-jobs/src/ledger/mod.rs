//! The ledger: what workers record of their claims in the bucket, so that others resolve what dead ones leave.
//!
//! It needs no runtime and no handlers: [`Recovery`] reads and resolves a ledger from outside, too.

mod deadline;
mod delivery;
mod liveness;
mod record;
mod recovery;

pub use deadline::{Limit, Reached};
pub use delivery::{DeliveryError, DeliveryObserver, deliver};
pub use record::{ClaimGuard, ClaimRecord, RecordError, Records, escape_id};
pub use recovery::{Recovery, RecoveryError, Resolution, SweepReport};
