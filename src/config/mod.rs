//! Settings: one table, its text form. Pure: reads no file.

pub mod document;
pub mod settings;
