//! The jobs of the kill tests, the soak and the fault matrix.

pub mod work;
