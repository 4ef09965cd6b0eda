//! The ledger: workers record their claims in the bucket, so that others can resolve the claims of dead workers.
//!
//! A worker writes a record before it claims a job. It renews the record to show that it is alive, records the outcome
//! when that might be lost, and removes the record once the claim is lost or the source has the outcome. So a claim with a
//! record is not resolved. A ledger needs neither a runtime nor handlers: [`Recovery`] also works in other programs.

mod deadline;
mod delivery;
mod guard;
mod liveness;
mod record;
mod recovery;
mod store;

pub use deadline::{Limit, Reached};
pub use delivery::{DeliveryError, DeliveryObserver, deliver};
pub use guard::ClaimGuard;
pub use record::{ClaimRecord, escape_id};
pub use recovery::{Recovery, RecoveryError, Resolution, SweepReport};
pub use store::{Ledger, LedgerError};
