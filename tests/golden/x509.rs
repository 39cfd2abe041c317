//! A certificate that `openssl ca` 3.0 made with the same contents, and its signature.

use crate::vectors::hex;
use rillcast::wire::writer::Writer;
use rillcast::wire::x509::{SelfSigned, emit_signed};

const POINT: &str = "04
    f317d2ed98e70cb71e71eaccce0c27a9960563d3b00760cbe52a7a39b917d4ed
    97e52aaaf2ddf7087b8a3cdc37ae01441710 92fc74d607f1f34ac6dd253fb7ce";

const SIGNED: &str = "
    30820121 a003020102 02101122334455667788990011223344aabb 300a06082a8648ce3d040302
    30133111300f06035504030c0872696c6c63617374
    3020 170d3230303130313030303030305a 180f32313230303130313030303030305a
    30133111300f06035504030c0872696c6c63617374
    3059 301306072a8648ce3d020106082a8648ce3d030107 034200";

const EXTENSIONS: &str = "a3553053 300c0603551d130101ff04023000 300e0603551d0f0101ff040403020780
    30130603551d25040c300a06082b06010505070301
    301e0603551d1104173015820872696c6c636173748209626f782e6c6f63616c";

const SIGNATURE: &str = "3045
    022100e1a12495fab1ca56cfaea1d5848f688a9b87c26a4b670c1b41be6e7f19d8bba5
    02204e54494c7fa6f44746f19604ed68133b916255339f378a70c9eb28d6c80b1040";

#[test]
fn self_signed_certificate_is_that_of_openssl() {
    let point: [u8; 65] = hex(POINT).try_into().unwrap();
    let says = SelfSigned {
        serial: hex("1122334455667788990011223344aabb").try_into().unwrap(),
        common_name: "rillcast",
        dns_names: &["rillcast", "box.local"],
        years: [2020, 2120],
        point: &point,
    };
    let mut buffer = [0; 512];
    let mut w = Writer::new(&mut buffer);
    says.emit(&mut w).unwrap();
    let signed = hex(&[SIGNED, POINT, EXTENSIONS].concat());
    assert_eq!(w.finish(), signed);

    let mut buffer = [0; 512];
    let mut w = Writer::new(&mut buffer);
    emit_signed(&mut w, &signed, &hex(SIGNATURE)).unwrap();
    let parts = ["3082017b", SIGNED, POINT, EXTENSIONS, "300a06082a8648ce3d040302 034800"];
    let whole = hex(&(parts.concat() + SIGNATURE));
    assert_eq!(w.finish(), whole);
}
