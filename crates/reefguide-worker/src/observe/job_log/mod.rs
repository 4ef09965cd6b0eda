//! The log of a single job: the lines of its span, in a file until they are stored.
//!
//! The runtime [begins](JobLog::begin) it, the [layer](layer()) adds what is logged in the job's span, and the runtime
//! [stores](store()) it before it reports the job.

mod layer;
mod lines;
mod store;

pub(crate) use layer::layer;
pub(crate) use lines::{JobLog, Lines};
pub use store::JobLogs;
pub(crate) use store::store;
