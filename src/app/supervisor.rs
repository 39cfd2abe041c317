//! Being built.
use crate::config::settings::Config;
pub fn serve(_c: &Config, _t: bool) -> Result<(), std::io::Error> {
    Ok(())
}
