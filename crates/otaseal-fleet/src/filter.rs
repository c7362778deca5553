//! Filters of devices.

/// A filter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter;
