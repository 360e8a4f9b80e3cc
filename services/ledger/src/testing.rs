//! For tests
