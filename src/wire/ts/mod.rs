//! MPEG-2 transport stream on the wire: packets, sections, PES headers.

pub mod packet;
pub mod pes;
pub mod psi;
