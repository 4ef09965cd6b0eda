//! What the worker of the kill test and of the soak does for a living.

pub mod work;
