//! Settings: one table, the kinds of value in it, its text form. Pure: reads no file.

pub mod document;
pub mod group;
mod markdown;
pub mod networks;
pub mod relay;
pub mod rights;
pub mod secret;
pub mod settings;
pub mod sizes;
pub mod value;
