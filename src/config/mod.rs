//! Settings: one table, the kinds of value in it, its text form. Pure: reads no file.

pub mod budget;
pub mod document;
mod markdown;
pub mod networks;
pub mod relay;
pub mod rights;
pub mod secret;
pub mod settings;
pub mod value;
