//! How many files and sockets the process may hold.
//!
//! Source: getrlimit(2).

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the process's own limit to `need` descriptors, if it is lower. Says how many there may
/// be then: fewer when the system does not allow so many.
///
/// # Errors
/// The kernel's.
pub fn allow(need: u64) -> Result<u64, Errno> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= need {
        return Ok(soft);
    }
    let wanted = need.min(hard);
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_never_made_fewer() {
        let (before, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(allow(1), Ok(before));
        assert!(allow(before).unwrap() >= before);
    }
}
