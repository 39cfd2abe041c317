//! Golden vectors of the wire formats, both directions where both exist.
//!
//! One module per family in `tests/golden/`; each vector names the clause or capture it comes from.

#[path = "golden/amf.rs"]
mod amf;
#[path = "golden/codecs.rs"]
mod codecs;
#[path = "golden/flv.rs"]
mod flv;
#[path = "golden/hls.rs"]
mod hls;
#[path = "golden/rtmp.rs"]
mod rtmp;
#[path = "golden/ts.rs"]
mod ts;
#[path = "support/vectors.rs"]
mod vectors;
#[path = "golden/x509.rs"]
mod x509;
