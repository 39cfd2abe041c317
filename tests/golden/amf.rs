//! AMF0 and AMF3: the vectors of the specifications' types, limits, hostile cases, properties.
//!
//! Vectors without another origin were computed from AMF0 §2 and AMF3 §1.3, §3 by a script that
//! shares no code with this program.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "shared by tests; the settings allow it in test functions alone"
)]

use crate::vectors::hex;
use proptest::prelude::*;
use rillcast::limits::{
    AMF_DEPTH_MAX, AMF_PROPERTIES_MAX, AMF3_OBJECTS_MAX, AMF3_STRINGS_MAX, AMF3_TRAITS_MAX,
};
use rillcast::wire::amf0::{self, AmfError, Value, Values};
use rillcast::wire::amf3::{self, Tree};
use rillcast::wire::writer::Writer;

/// Bytes that hold any value written here.
const ROOM: usize = 16 << 20;

fn one(bytes: &[u8]) -> Value<'_> {
    let mut values = Values::new(bytes);
    let value = values.next().unwrap().unwrap();
    assert!(values.next().is_none());
    value
}

fn error(bytes: &[u8]) -> AmfError {
    Values::new(bytes).find_map(Result::err).unwrap()
}

fn emitted0(value: &Value<'_>) -> Vec<u8> {
    let mut buffer = vec![0; ROOM];
    let mut w = Writer::new(&mut buffer);
    value.emit(&mut amf0::Emitter::new(&mut w)).unwrap();
    w.written().to_vec()
}

fn emitted3(write: impl FnOnce(&mut amf3::Emitter<'_, '_>)) -> Vec<u8> {
    let mut buffer = vec![0; 4096];
    let mut w = Writer::new(&mut buffer);
    write(&mut amf3::Emitter::new(&mut w));
    w.written().to_vec()
}

#[test]
fn amf0_scalars_match_vectors_both_ways() {
    let cases = [
        ("00 0000000000000000", Value::Number(0.0)),
        ("00 3ff0000000000000", Value::Number(1.0)),
        ("00 c09f400000000000", Value::Number(-2000.0)),
        ("0101", Value::Boolean(true)),
        ("0100", Value::Boolean(false)),
        ("02 0007 636f6e6e656374", Value::String(b"connect")),
        ("020000", Value::String(b"")),
        ("05", Value::Null),
        ("06", Value::Undefined),
        ("0b 408f400000000000 0000", Value::Date { ms: 1000.0, zone: 0 }),
        ("0d", Value::Unsupported),
        ("0f 00000003 3c612f", Value::Xml(b"<a/")),
        ("11 06 0b 68656c6c6f", Value::Avm(b"\x06\x0bhello")),
    ];
    for (text, value) in cases {
        let bytes = hex(text);
        assert_eq!(one(&bytes), value, "{text}");
        assert_eq!(emitted0(&value), bytes, "{text}");
    }
}

#[test]
fn amf0_containers_match_vectors_both_ways() {
    for text in [
        "0a 00000002 003ff0000000000000 02000161",
        "03 0001 61 003ff0000000000000 000009",
        "08 00000001 0001 61 003ff0000000000000 000009",
        "10 0003 466f6f 0001 61 003ff0000000000000 000009",
        "03 000009",
        "0a 00000000",
    ] {
        let bytes = hex(text);
        assert_eq!(emitted0(&one(&bytes)), bytes, "{text}");
    }
    let bytes = hex("08 00000001 0001 61 003ff0000000000000 000009");
    let object = one(&bytes).object().unwrap();
    assert_eq!(object.get("a"), Some(Value::Number(1.0)));
    assert_eq!(object.get("b"), None);
    let bytes = hex("0a 00000002 003ff0000000000000 02000161");
    let Value::StrictArray(array) = one(&bytes) else { panic!("not an array") };
    assert_eq!(array.len(), 2);
    let items: Vec<_> = array.iter().collect();
    assert_eq!(items, [Value::Number(1.0), Value::String(b"a")]);
    let bytes = hex("10 0003 466f6f 0001 61 003ff0000000000000 000009");
    let Value::Typed { class, object } = one(&bytes) else { panic!("not a typed object") };
    assert_eq!(class, b"Foo");
    assert_eq!(object.iter().count(), 1);
}

#[test]
fn amf0_messages_of_several_values_match_vectors() {
    let bytes = hex("0200117c52746d7053616d706c6541636365737301010101");
    let values: Vec<_> = Values::new(&bytes).map(Result::unwrap).collect();
    let want = [Value::String(b"|RtmpSampleAccess"), Value::Boolean(true), Value::Boolean(true)];
    assert_eq!(values, want);
    let written: Vec<u8> = want.iter().flat_map(emitted0).collect();
    assert_eq!(written, bytes);
}

#[test]
fn amf0_string_is_long_from_65536_bytes() {
    for (length, marker) in [(65_535, 0x02), (65_536, 0x0c)] {
        let text = vec![b'x'; length];
        let bytes = emitted0(&Value::String(&text));
        assert_eq!(bytes[0], marker);
        assert_eq!(one(&bytes), Value::String(&text));
    }
    let long = hex("0c 00000002 6869");
    assert_eq!(one(&long).text(), Some("hi"));
}

#[test]
fn amf0_ecma_array_tolerates_wrong_count_and_missing_end() {
    for count in ["00000000", "00000009", "ffffffff"] {
        for end in ["", "000009"] {
            let bytes = hex(&format!("08 {count} 0001 61 0101 {end}"));
            let object = one(&bytes).object().unwrap();
            assert_eq!(object.get("a"), Some(Value::Boolean(true)), "{count} {end}");
        }
    }
    let nested = hex("08 00000001 0001 6f 08 00000001 0001 61 0101");
    let inner = one(&nested).object().unwrap().get("o").unwrap();
    assert_eq!(inner.object().unwrap().get("a"), Some(Value::Boolean(true)));
    assert!(matches!(error(&hex("03 0001 61 0101")), AmfError::Short(_)));
    assert!(matches!(error(&hex("08 00000000 0001 61 0101 0000")), AmfError::Short(_)));
}

#[test]
fn amf0_references_are_followed_from_the_start_of_the_message() {
    // {a: {b: 1}, c: reference 1}, reference 0
    let bytes = hex("03 0001 61 03 0001 62 003ff0000000000000 000009 0001 63 070001 000009 070000");
    let mut values = Values::new(&bytes);
    let object = values.next().unwrap().unwrap().object().unwrap();
    let target = object.get("c").unwrap().object().unwrap();
    assert_eq!(target.get("b"), Some(Value::Number(1.0)));
    assert_eq!(values.next(), Some(Ok(Value::Reference(0))));
    let whole = values.resolve(0).unwrap().object().unwrap();
    assert_eq!(whole.iter().count(), 2);
    assert_eq!(whole.iter().nth(1).unwrap().1, Value::Reference(1));
    // A reference to the object it stands in is legal and does not loop.
    let cycle = hex("03 0001 61 070000 000009");
    let object = one(&cycle).object().unwrap();
    assert_eq!(object.get("a").unwrap().object(), Some(object));
    assert_eq!(
        error(&hex("03 000009 070001")),
        AmfError::Reference { format: 0, table: "objects", index: 1, seen: 1 }
    );
}

#[test]
fn amf0_refuses_reserved_and_unknown_markers() {
    for marker in [0x04, 0x0e] {
        assert_eq!(error(&[marker]), AmfError::Reserved { marker });
    }
    assert_eq!(error(&[0x09]), AmfError::StrayEnd);
    for marker in [0x12, 0x80, 0xff] {
        assert_eq!(error(&[marker]), AmfError::Marker { format: 0, marker });
    }
}

#[test]
fn amf0_is_bounded_in_depth_properties_and_counts() {
    let deep = |n: usize| {
        let mut bytes = hex("03 0001 61").repeat(n);
        bytes.push(0x05);
        bytes.extend(hex("000009").repeat(n));
        bytes
    };
    let (max, most) = (AMF_DEPTH_MAX, usize::from(AMF_DEPTH_MAX));
    assert!(one(&deep(most)).object().is_some());
    assert_eq!(error(&deep(most + 1)), AmfError::TooDeep { max });
    assert_eq!(error(&deep(20_000)), AmfError::TooDeep { max });
    let wide = |n: usize| {
        let mut bytes = vec![0x03];
        bytes.extend(hex("0001 61 05").repeat(n));
        bytes.extend(hex("000009"));
        bytes
    };
    let (max, most) = (AMF_PROPERTIES_MAX, usize::try_from(AMF_PROPERTIES_MAX).unwrap());
    assert_eq!(one(&wide(most)).object().unwrap().iter().count(), most);
    assert_eq!(error(&wide(most + 1)), AmfError::TooManyProperties { max });
    assert_eq!(error(&hex("0a ffffffff 05")), AmfError::Count { count: u32::MAX, have: 1 });
}

#[test]
fn amf0_mixed_depth_counts_amf3_too() {
    let max = AMF_DEPTH_MAX;
    let mut bytes = hex("03 0001 61").repeat(usize::from(max));
    bytes.extend(hex("11 0a 0b 01 01"));
    assert_eq!(error(&bytes), AmfError::TooDeep { max });
}

#[test]
fn amf0_is_short_at_every_proper_prefix() {
    let bytes = hex(
        "10 0003 466f6f 0001 61 003ff0000000000000 0001 62 0a 00000001 0b 408f400000000000 0000 \
         0001 63 11 0a 0b 01 09 636f6465 06 03 78 01 0001 64 0c 00000001 78 000009",
    );
    assert_eq!(emitted0(&one(&bytes)), bytes);
    for n in 1..bytes.len() {
        let error = error(&bytes[..n]);
        let ended = matches!(error, AmfError::Short(_) | AmfError::Count { have: 0, .. });
        assert!(ended, "{n}: {error}");
    }
}

#[test]
fn amf3_u29_matches_vectors_both_ways() {
    for (n, text) in [
        (0, "00"),
        (127, "7f"),
        (128, "8100"),
        (16_383, "ff7f"),
        (16_384, "818000"),
        (2_097_151, "ffff7f"),
        (2_097_152, "80c08000"),
        (-1, "ffffffff"),
        ((1 << 28) - 1, "bfffffff"),
        (-(1 << 28), "c0808000"),
    ] {
        let bytes = [vec![0x04], hex(text)].concat();
        assert_eq!(Tree::parse(&bytes).unwrap().root(), Some(amf3::Value::Integer(n)));
        assert_eq!(emitted3(|e| e.integer(n).unwrap()), bytes, "{n}");
    }
    let outside = emitted3(|e| e.integer(1 << 28).unwrap());
    let tree = Tree::parse(&outside).unwrap();
    assert_eq!(tree.root(), Some(amf3::Value::Double(268_435_456.0)));
}

#[test]
fn amf3_values_match_vectors_both_ways() {
    assert_eq!(emitted3(|e| e.string(b"hello").unwrap()), hex("06 0b 68656c6c6f"));
    assert_eq!(emitted3(|e| e.string_reference(0).unwrap()), hex("06 00"));

    let object = emitted3(|e| {
        e.object(b"", &[], true).unwrap();
        e.key(b"code").unwrap();
        e.string(b"x").unwrap();
        e.end().unwrap();
    });
    assert_eq!(object, hex("0a 0b 01 09 636f6465 06 03 78 01"));
    let tree = Tree::parse(&object).unwrap();
    let Some(amf3::Value::Object(root)) = tree.root() else { panic!("not an object") };
    assert_eq!(root.class(), b"");
    assert_eq!(tree.get(&root, "code"), Some(amf3::Value::String(b"x")));

    let array = emitted3(|e| {
        e.array(2).unwrap();
        e.end().unwrap();
        e.integer(1).unwrap();
        e.integer(2).unwrap();
    });
    assert_eq!(array, hex("09 05 01 0401 0402"));
    let tree = Tree::parse(&array).unwrap();
    let Some(amf3::Value::Array(root)) = tree.root() else { panic!("not an array") };
    let items: Vec<_> = tree.items(root.dense).collect();
    assert_eq!(items, [amf3::Value::Integer(1), amf3::Value::Integer(2)]);
    assert_eq!(tree.named(&root).count(), 0);
}

#[test]
fn amf3_reads_every_marker() {
    let bytes = emitted3(|e| {
        e.array(16).unwrap();
        e.key(b"name").unwrap();
        e.string_reference(0).unwrap();
        e.end().unwrap();
        e.undefined().unwrap();
        e.null().unwrap();
        e.boolean(false).unwrap();
        e.boolean(true).unwrap();
        e.double(0.5).unwrap();
        e.xml_document(b"<d>").unwrap();
        e.date(1000.0).unwrap();
        e.xml(b"<x>").unwrap();
        e.byte_array(&[1, 2]).unwrap();
        e.vector_int(true, &[-1]).unwrap();
        e.vector_uint(false, &[7]).unwrap();
        e.vector_double(false, &[1.0]).unwrap();
        e.vector_object(false, b"K", 1).unwrap();
        e.null().unwrap();
        e.dictionary(true, 1).unwrap();
        e.string(b"k").unwrap();
        e.integer(5).unwrap();
        e.reference(0x0c, 4).unwrap();
        e.string(b"").unwrap();
    });
    let tree = Tree::parse(&bytes).unwrap();
    let Some(amf3::Value::Array(root)) = tree.root() else { panic!("not an array") };
    let named: Vec<_> = tree.named(&root).collect();
    assert_eq!(named, [(&b"name"[..], amf3::Value::String(b"name"))]);
    let items: Vec<_> = tree.items(root.dense).collect();
    assert_eq!(items[..2], [amf3::Value::Undefined, amf3::Value::Null]);
    assert_eq!(items[4], amf3::Value::Double(0.5));
    assert_eq!(items[5], amf3::Value::XmlDocument(b"<d>"));
    assert_eq!(items[6], amf3::Value::Date(1000.0));
    assert_eq!(items[7], amf3::Value::Xml(b"<x>"));
    assert_eq!(items[9], amf3::Value::VectorInt { fixed: true, items: &[0xff; 4] });
    let amf3::Value::VectorObject { class, items: k, .. } = items[12] else {
        panic!("not a vector")
    };
    assert_eq!((class, tree.items(k).count()), (&b"K"[..], 1));
    let amf3::Value::Dictionary { weak: true, items: pairs } = items[13] else {
        panic!("not a dictionary")
    };
    assert_eq!(tree.items(pairs).count(), 2);
    assert_eq!(items[14], amf3::Value::Reference(4));
    assert_eq!(tree.resolve(items[14]), Some(amf3::Value::ByteArray(&[1, 2])));
    assert_eq!(items[15], amf3::Value::String(b""));
    for n in 0..bytes.len() {
        assert!(Tree::parse(&bytes[..n]).is_err(), "{n}");
    }
}

#[test]
fn amf3_classes_are_shared_by_reference() {
    let bytes = emitted3(|e| {
        e.array(2).unwrap();
        e.end().unwrap();
        e.object(b"P", &[b"x", b"y"], false).unwrap();
        e.integer(1).unwrap();
        e.integer(2).unwrap();
        e.object_of_class(0).unwrap();
        e.integer(3).unwrap();
        e.reference(0x0a, 0).unwrap();
    });
    let tree = Tree::parse(&bytes).unwrap();
    let Some(amf3::Value::Array(root)) = tree.root() else { panic!("not an array") };
    let Some(amf3::Value::Object(second)) = tree.items(root.dense).nth(1) else {
        panic!("not an object")
    };
    assert_eq!(second.class(), b"P");
    assert_eq!(tree.properties(&second).count(), 2);
    assert_eq!(tree.get(&second, "x"), Some(amf3::Value::Integer(3)));
    // The value points back at the array that holds it.
    assert_eq!(tree.get(&second, "y"), Some(amf3::Value::Array(root)));
}

#[test]
fn amf3_tables_start_empty_at_each_value() {
    let bytes = hex("11 06 0b 68656c6c6f 11 06 00");
    let mut values = Values::new(&bytes);
    assert_eq!(values.next().unwrap().unwrap().text(), Some("hello"));
    assert_eq!(
        values.next(),
        Some(Err(AmfError::Reference { format: 3, table: "strings", index: 0, seen: 0 }))
    );
    assert_eq!(values.next(), None);
}

#[test]
fn amf3_refuses_what_cannot_be_bounded() {
    let error = |text: &str| Tree::parse(&hex(text)).unwrap_err();
    assert_eq!(error("0a 07 03 41"), AmfError::Externalizable);
    assert!(matches!(error("12"), AmfError::Marker { format: 3, .. }));
    assert!(matches!(error("0a 01"), AmfError::Reference { .. }));
    assert!(matches!(error("09 02"), AmfError::Reference { .. }));
    assert!(matches!(error("09 ffffffff 01"), AmfError::Count { .. }));
    assert!(matches!(error("0d ffffffff 00"), AmfError::Count { .. }));
    assert!(matches!(error("0a ffffffe3 01"), AmfError::Count { .. }));
}

#[test]
fn amf3_is_bounded_in_depth_properties_and_tables() {
    let parse = |bytes: Vec<u8>| Tree::parse(&bytes).map(drop);
    let (max, most) = (AMF_DEPTH_MAX, usize::from(AMF_DEPTH_MAX));
    let deep = |n| parse([hex("09 03 01").repeat(n), hex("01")].concat());
    assert_eq!(deep(most), Ok(()));
    assert_eq!(deep(most + 1), Err(AmfError::TooDeep { max }));

    // The first name is in full, the others refer to it.
    let (max, most) = (AMF_PROPERTIES_MAX, usize::try_from(AMF_PROPERTIES_MAX).unwrap());
    let wide = |n| parse([hex("09 01 03 61 01"), hex("00 01").repeat(n - 1), hex("01")].concat());
    assert_eq!(wide(most), Ok(()));
    assert_eq!(wide(most + 1), Err(AmfError::TooManyProperties { max }));

    // An array of as many values, itself one of the objects.
    let array = |n: usize, value: &str| {
        let head = u16::try_from(n << 1 | 1).unwrap();
        let [high, low] = (0x8000 | (head << 1 & 0x7f00) | (head & 0x7f)).to_be_bytes();
        parse([vec![0x09, high, low, 0x01], hex(value).repeat(n)].concat())
    };
    for (value, table, max, before) in [
        ("06 03 61", "strings", AMF3_STRINGS_MAX, 0),
        ("0c 01", "objects", AMF3_OBJECTS_MAX, 1),
        ("0a 03 01", "classes", AMF3_TRAITS_MAX, 0),
    ] {
        assert_eq!(array(max - before, value), Ok(()), "{table}");
        assert_eq!(array(max - before + 1, value), Err(AmfError::TableFull { table, max }));
    }
}

/// What a generated AMF0 value holds, owned. References are any number until `settle`.
#[derive(Clone, Debug, PartialEq)]
enum Model {
    Number(f64),
    Boolean(bool),
    Text(Vec<u8>),
    Object(Pairs),
    Ecma(u32, Pairs),
    Typed(Vec<u8>, Pairs),
    Strict(Vec<Model>),
    Date(f64, i16),
    Null,
    Undefined,
    Unsupported,
    Reference(u16),
    Xml(Vec<u8>),
    Avm(Model3),
}

type Pairs = Vec<(Vec<u8>, Model)>;

impl Model {
    fn emit(&self, w: &mut Writer<'_>) {
        let mut e = amf0::Emitter::new(w);
        match self {
            Self::Number(n) => e.number(*n).unwrap(),
            Self::Boolean(b) => e.boolean(*b).unwrap(),
            Self::Text(t) => e.string(t).unwrap(),
            Self::Object(list) => {
                e.object().unwrap();
                Self::emit_properties(w, list);
            }
            Self::Ecma(count, list) => {
                e.ecma_array(*count).unwrap();
                Self::emit_properties(w, list);
            }
            Self::Typed(class, list) => {
                e.typed_object(class).unwrap();
                Self::emit_properties(w, list);
            }
            Self::Strict(items) => {
                e.strict_array(u32::try_from(items.len()).unwrap()).unwrap();
                for item in items {
                    item.emit(w);
                }
            }
            Self::Date(ms, zone) => e.date(*ms, *zone).unwrap(),
            Self::Null => e.null().unwrap(),
            Self::Undefined => e.undefined().unwrap(),
            Self::Unsupported => e.unsupported().unwrap(),
            Self::Reference(index) => e.reference(*index).unwrap(),
            Self::Xml(text) => e.xml(text).unwrap(),
            Self::Avm(model) => {
                e.avm().unwrap();
                model.emit(&mut Seen::new(&[true]), w);
            }
        }
    }

    fn emit_properties(w: &mut Writer<'_>, list: &Pairs) {
        for (name, value) in list {
            amf0::Emitter::new(w).key(name).unwrap();
            value.emit(w);
        }
        amf0::Emitter::new(w).end().unwrap();
    }

    fn of(value: Value<'_>) -> Self {
        let list = |object: amf0::Object<'_>| {
            let own = |(name, value): (&[u8], _)| (name.to_vec(), Self::of(value));
            object.iter().map(own).collect()
        };
        match value {
            Value::Number(n) => Self::Number(n),
            Value::Boolean(b) => Self::Boolean(b),
            Value::String(t) => Self::Text(t.to_vec()),
            Value::Object(object) => Self::Object(list(object)),
            Value::EcmaArray { count, object } => Self::Ecma(count, list(object)),
            Value::Typed { class, object } => Self::Typed(class.to_vec(), list(object)),
            Value::StrictArray(array) => Self::Strict(array.iter().map(Self::of).collect()),
            Value::Date { ms, zone } => Self::Date(ms, zone),
            Value::Null => Self::Null,
            Value::Undefined => Self::Undefined,
            Value::Unsupported => Self::Unsupported,
            Value::Reference(index) => Self::Reference(index),
            Value::Xml(text) => Self::Xml(text.to_vec()),
            Value::Avm(bytes) => {
                let tree = Tree::parse(bytes).unwrap();
                Self::Avm(Model3::of(&tree, tree.root().unwrap()))
            }
        }
    }

    /// Makes each reference one to a container that began before it; null where there is none.
    fn settle(&mut self, began: &mut u16) {
        match self {
            Self::Reference(_) if *began == 0 => *self = Self::Null,
            Self::Reference(index) => *index %= *began,
            Self::Object(list) | Self::Ecma(_, list) | Self::Typed(_, list) => {
                *began += 1;
                for (_, value) in list {
                    value.settle(began);
                }
            }
            Self::Strict(items) => {
                *began += 1;
                for item in items {
                    item.settle(began);
                }
            }
            _ => {}
        }
    }

    /// What references can stand for, in the order of their numbers.
    fn targets(&self) -> Vec<&Self> {
        let inner: Vec<&Self> = match self {
            Self::Object(list) | Self::Ecma(_, list) | Self::Typed(_, list) => {
                list.iter().flat_map(|(_, value)| value.targets()).collect()
            }
            Self::Strict(items) => items.iter().flat_map(Self::targets).collect(),
            _ => return Vec::new(),
        };
        [vec![self], inner].concat()
    }
}

/// Every number but those that equal nothing.
fn floats() -> impl Strategy<Value = f64> {
    use proptest::num::f64::{INFINITE, NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO | INFINITE
}

/// Any bytes, and some that come again.
fn texts() -> impl Strategy<Value = Vec<u8>> + Clone {
    let word = proptest::sample::select(vec!["", "a", "code", "level"]);
    let word = word.prop_map(|word| word.as_bytes().to_vec());
    prop_oneof![2 => proptest::collection::vec(any::<u8>(), 0..12), 3 => word]
}

/// Texts that the marker of strings has no length for.
fn long_texts() -> impl Strategy<Value = Vec<u8>> {
    (65_536..65_600usize, any::<u8>()).prop_map(|(length, byte)| vec![byte; length])
}

/// The values of a message.
fn models() -> impl Strategy<Value = Vec<Model>> {
    let leaf = prop_oneof![
        4 => floats().prop_map(Model::Number),
        2 => any::<bool>().prop_map(Model::Boolean),
        4 => texts().prop_map(Model::Text),
        1 => long_texts().prop_map(Model::Text),
        2 => (floats(), any::<i16>()).prop_map(|(ms, zone)| Model::Date(ms, zone)),
        1 => Just(Model::Null),
        1 => Just(Model::Undefined),
        1 => Just(Model::Unsupported),
        4 => any::<u16>().prop_map(Model::Reference),
        2 => texts().prop_map(Model::Xml),
        3 => models3(2, 8).prop_map(Model::Avm),
    ];
    let tree = leaf.prop_recursive(4, 40, 6, move |inner| {
        let list = proptest::collection::vec((texts(), inner.clone()), 0..6);
        prop_oneof![
            list.clone().prop_map(Model::Object),
            (any::<u32>(), list.clone()).prop_map(|(count, list)| Model::Ecma(count, list)),
            (texts(), list).prop_map(|(class, list)| Model::Typed(class, list)),
            proptest::collection::vec(inner, 0..6).prop_map(Model::Strict),
        ]
    });
    proptest::collection::vec(tree, 1..4).prop_map(|mut message| {
        let mut began = 0;
        for value in &mut message {
            value.settle(&mut began);
        }
        message
    })
}

/// What a generated AMF3 value holds, owned. References are any number until `settle`.
#[derive(Clone, Debug, PartialEq)]
enum Model3 {
    Integer(i32),
    Double(f64),
    Boolean(bool),
    Null,
    Undefined,
    Text(Vec<u8>),
    XmlDocument(Vec<u8>),
    Date(f64),
    Array(Pairs3, Vec<Model3>),
    Object(Vec<u8>, Pairs3, Pairs3),
    Xml(Vec<u8>),
    Bytes(Vec<u8>),
    Ints(bool, Vec<i32>),
    Uints(bool, Vec<u32>),
    Doubles(bool, Vec<f64>),
    Objects(bool, Vec<u8>, Vec<Model3>),
    Dictionary(bool, Vec<Model3>),
    Reference(u32),
}

type Pairs3 = Vec<(Vec<u8>, Model3)>;

/// Name, names of sealed properties, whether there are others.
type Class<'m> = (&'m [u8], Vec<&'m [u8]>, bool);

/// What of an AMF3 value was written so far, and whether to refer to it: `choices` in turn.
struct Seen<'m> {
    choices: core::iter::Cycle<core::slice::Iter<'m, bool>>,
    strings: Vec<&'m [u8]>,
    classes: Vec<Class<'m>>,
    /// What each complex value began with.
    markers: Vec<u8>,
}

impl<'m> Seen<'m> {
    fn new(choices: &'m [bool]) -> Self {
        let choices = choices.iter().cycle();
        Self { choices, strings: Vec::new(), classes: Vec::new(), markers: Vec::new() }
    }

    /// Whether the tables of one value hold all this.
    fn fits(&self) -> bool {
        self.strings.len() <= AMF3_STRINGS_MAX
            && self.classes.len() <= AMF3_TRAITS_MAX
            && self.markers.len() <= AMF3_OBJECTS_MAX
    }

    /// The number to write, or none where the place is to be written itself.
    fn refer(&mut self, place: Option<usize>) -> Option<u32> {
        place.filter(|_| self.choices.next() == Some(&true)).map(|n| u32::try_from(n).unwrap())
    }

    fn string(&mut self, text: &'m [u8]) -> Option<u32> {
        let place = self.strings.iter().position(|seen| *seen == text);
        let number = self.refer(place);
        if number.is_none() {
            self.written(text);
        }
        number
    }

    /// A string was written itself; an empty one gets no number.
    fn written(&mut self, text: &'m [u8]) {
        if !text.is_empty() {
            self.strings.push(text);
        }
    }
}

impl Model3 {
    fn emit<'m>(&'m self, seen: &mut Seen<'m>, w: &mut Writer<'_>) {
        seen.markers.extend(self.marker());
        let mut e = amf3::Emitter::new(w);
        match self {
            Self::Integer(n) => e.integer(*n).unwrap(),
            Self::Double(n) => e.double(*n).unwrap(),
            Self::Boolean(b) => e.boolean(*b).unwrap(),
            Self::Null => e.null().unwrap(),
            Self::Undefined => e.undefined().unwrap(),
            Self::Text(text) => match seen.string(text) {
                Some(number) => e.string_reference(number).unwrap(),
                None => e.string(text).unwrap(),
            },
            Self::XmlDocument(text) => e.xml_document(text).unwrap(),
            Self::Date(ms) => e.date(*ms).unwrap(),
            Self::Xml(text) => e.xml(text).unwrap(),
            Self::Bytes(bytes) => e.byte_array(bytes).unwrap(),
            Self::Ints(fixed, items) => e.vector_int(*fixed, items).unwrap(),
            Self::Uints(fixed, items) => e.vector_uint(*fixed, items).unwrap(),
            Self::Doubles(fixed, items) => e.vector_double(*fixed, items).unwrap(),
            Self::Reference(index) => {
                let marker = seen.markers[usize::try_from(*index).unwrap()];
                e.reference(marker, *index).unwrap();
            }
            Self::Array(..) | Self::Object(..) | Self::Objects(..) | Self::Dictionary(..) => {
                self.emit_container(seen, w);
            }
        }
    }

    fn emit_container<'m>(&'m self, seen: &mut Seen<'m>, w: &mut Writer<'_>) {
        let mut e = amf3::Emitter::new(w);
        let count = |items: &[Self]| u32::try_from(items.len()).unwrap();
        let items = match self {
            Self::Array(pairs, items) => {
                e.array(count(items)).unwrap();
                Self::emit_named(pairs, seen, w);
                items
            }
            Self::Objects(fixed, class, items) => {
                e.vector_object(*fixed, class, count(items)).unwrap();
                seen.written(class);
                items
            }
            Self::Dictionary(weak, items) => {
                e.dictionary(*weak, count(items) / 2).unwrap();
                items
            }
            Self::Object(class, sealed, pairs) => {
                let names: Vec<&[u8]> = sealed.iter().map(|(name, _)| &name[..]).collect();
                let traits = (&class[..], names, !pairs.is_empty());
                let place = seen.classes.iter().position(|known| *known == traits);
                if let Some(number) = seen.refer(place) {
                    e.object_of_class(number).unwrap();
                } else {
                    e.object(class, &traits.1, traits.2).unwrap();
                    seen.written(class);
                    for name in &traits.1 {
                        seen.written(name);
                    }
                    seen.classes.push(traits);
                }
                for (_, value) in sealed {
                    value.emit(seen, w);
                }
                if !pairs.is_empty() {
                    Self::emit_named(pairs, seen, w);
                }
                return;
            }
            other => panic!("holds nothing: {other:?}"),
        };
        for item in items {
            item.emit(seen, w);
        }
    }

    fn emit_named<'m>(pairs: &'m Pairs3, seen: &mut Seen<'m>, w: &mut Writer<'_>) {
        for (name, value) in pairs {
            let mut e = amf3::Emitter::new(w);
            match seen.string(name) {
                Some(number) => e.key_reference(number).unwrap(),
                None => e.key(name).unwrap(),
            }
            value.emit(seen, w);
        }
        amf3::Emitter::new(w).end().unwrap();
    }

    /// What a value begins with that references can stand for.
    const fn marker(&self) -> Option<u8> {
        Some(match self {
            Self::XmlDocument(_) => 0x07,
            Self::Date(_) => 0x08,
            Self::Array(..) => 0x09,
            Self::Object(..) => 0x0a,
            Self::Xml(_) => 0x0b,
            Self::Bytes(_) => 0x0c,
            Self::Ints(..) => 0x0d,
            Self::Uints(..) => 0x0e,
            Self::Doubles(..) => 0x0f,
            Self::Objects(..) => 0x10,
            Self::Dictionary(..) => 0x11,
            _ => return None,
        })
    }

    fn of(tree: &Tree<'_>, value: amf3::Value<'_>) -> Self {
        let own = |(name, value): (&[u8], _)| (name.to_vec(), Self::of(tree, value));
        let list = |items| tree.items(items).map(|value| Self::of(tree, value)).collect();
        match value {
            amf3::Value::Integer(n) => Self::Integer(n),
            amf3::Value::Double(n) => Self::Double(n),
            amf3::Value::Boolean(b) => Self::Boolean(b),
            amf3::Value::Null => Self::Null,
            amf3::Value::Undefined => Self::Undefined,
            amf3::Value::String(t) => Self::Text(t.to_vec()),
            amf3::Value::XmlDocument(t) => Self::XmlDocument(t.to_vec()),
            amf3::Value::Date(ms) => Self::Date(ms),
            amf3::Value::Xml(t) => Self::Xml(t.to_vec()),
            amf3::Value::ByteArray(b) => Self::Bytes(b.to_vec()),
            amf3::Value::Array(array) => {
                Self::Array(tree.named(&array).map(own).collect(), list(array.dense))
            }
            amf3::Value::Object(object) => {
                let mut all: Pairs3 = tree.properties(&object).map(own).collect();
                let class = object.class().to_vec();
                // Sealed names are generated in upper case, dynamic ones in lower case.
                let dynamic = all
                    .iter()
                    .position(|(name, _)| name.first().is_some_and(u8::is_ascii_lowercase))
                    .unwrap_or(all.len());
                let pairs = all.split_off(dynamic);
                Self::Object(class, all, pairs)
            }
            amf3::Value::VectorInt { fixed, items } => {
                Self::Ints(fixed, each(items).map(i32::from_be_bytes).collect())
            }
            amf3::Value::VectorUint { fixed, items } => {
                Self::Uints(fixed, each(items).map(u32::from_be_bytes).collect())
            }
            amf3::Value::VectorDouble { fixed, items } => {
                Self::Doubles(fixed, each(items).map(f64::from_be_bytes).collect())
            }
            amf3::Value::VectorObject { fixed, class, items } => {
                Self::Objects(fixed, class.to_vec(), list(items))
            }
            amf3::Value::Dictionary { weak, items } => Self::Dictionary(weak, list(items)),
            amf3::Value::Reference(index) => Self::Reference(index),
        }
    }

    /// The values in this one, in the order of the bytes.
    fn inner(&mut self) -> Vec<&mut Self> {
        let values = |pairs| {
            let pairs: &mut Pairs3 = pairs;
            pairs.iter_mut().map(|(_, value)| value)
        };
        match self {
            Self::Array(pairs, items) => values(pairs).chain(items).collect(),
            Self::Object(_, sealed, pairs) => values(sealed).chain(values(pairs)).collect(),
            Self::Objects(_, _, items) | Self::Dictionary(_, items) => items.iter_mut().collect(),
            _ => Vec::new(),
        }
    }

    /// Makes each reference one to a complex value that began before it; null where there is none.
    fn settle(&mut self, began: &mut u32) {
        match self {
            Self::Reference(_) if *began == 0 => *self = Self::Null,
            Self::Reference(index) => *index %= *began,
            _ => *began += u32::from(self.marker().is_some()),
        }
        for value in self.inner() {
            value.settle(began);
        }
    }

    /// What references can stand for, in the order of their numbers.
    fn targets(&mut self, found: &mut Vec<Self>) {
        if self.marker().is_some() {
            found.push(self.clone());
        }
        for value in self.inner() {
            value.targets(found);
        }
    }
}

/// Items of `N` bytes.
fn each<const N: usize>(items: &[u8]) -> impl Iterator<Item = [u8; N]> {
    items.chunks(N).map(|item| item.try_into().unwrap())
}

/// One value that holds others `levels` deep.
fn models3(levels: u32, size: u32) -> impl Strategy<Value = Model3> {
    let ints = proptest::collection::vec(any::<i32>(), 0..6);
    let uints = proptest::collection::vec(any::<u32>(), 0..6);
    let doubles = proptest::collection::vec(floats(), 0..6);
    let leaf = prop_oneof![
        1 => (-(1 << 28)..1 << 28).prop_map(Model3::Integer),
        1 => floats().prop_map(Model3::Double),
        1 => any::<bool>().prop_map(Model3::Boolean),
        1 => Just(Model3::Null),
        1 => Just(Model3::Undefined),
        2 => texts().prop_map(Model3::Text),
        1 => texts().prop_map(Model3::XmlDocument),
        1 => floats().prop_map(Model3::Date),
        1 => texts().prop_map(Model3::Xml),
        1 => texts().prop_map(Model3::Bytes),
        1 => (any::<bool>(), ints).prop_map(|(fixed, items)| Model3::Ints(fixed, items)),
        1 => (any::<bool>(), uints).prop_map(|(fixed, items)| Model3::Uints(fixed, items)),
        1 => (any::<bool>(), doubles).prop_map(|(fixed, items)| Model3::Doubles(fixed, items)),
        2 => any::<u32>().prop_map(Model3::Reference),
    ];
    let tree = leaf.prop_recursive(levels, size, 5, |inner| {
        let name = |range| proptest::collection::vec(range, 1..8);
        let lower = prop_oneof![name(b'a'..b'{'), Just(b"level".to_vec())];
        let lower = proptest::collection::vec((lower, inner.clone()), 0..5);
        let upper = proptest::collection::vec((name(b'A'..b'['), inner.clone()), 0..5);
        let items = proptest::collection::vec(inner, 0..5);
        let class = prop_oneof![1 => texts(), 2 => Just(b"P".to_vec())];
        prop_oneof![
            1 => (lower.clone(), items.clone())
                .prop_map(|(pairs, dense)| Model3::Array(pairs, dense)),
            3 => (class.clone(), upper, lower, proptest::bool::weighted(0.7)).prop_map(
                |(class, mut sealed, mut pairs, alike)| {
                    // So that some classes come again.
                    if alike {
                        sealed.truncate(1);
                        for (name, _) in &mut sealed {
                            *name = b"X".to_vec();
                        }
                        pairs.clear();
                    }
                    Model3::Object(class, sealed, pairs)
                }
            ),
            1 => (any::<bool>(), class, items.clone())
                .prop_map(|(fixed, class, items)| Model3::Objects(fixed, class, items)),
            1 => (any::<bool>(), items).prop_map(|(weak, mut items)| {
                items.truncate(items.len() / 2 * 2);
                Model3::Dictionary(weak, items)
            }),
        ]
    });
    proptest::collection::vec(tree, 1..4).prop_map(|mut values| {
        // Beside one another, so that there is more to refer to.
        let last = if values.len() == 1 { values.pop() } else { None };
        let mut model = last.unwrap_or(Model3::Array(Vec::new(), values));
        model.settle(&mut 0);
        model
    })
}

/// Opens everything that can be opened, a bounded number of levels deep.
fn visit0(value: Value<'_>, depth: u8) {
    if depth > 16 {
        return;
    }
    if let Some(object) = value.object() {
        let _ = object.get("a");
        object.iter().for_each(|(_, value)| visit0(value, depth + 1));
    } else if let Value::StrictArray(array) = value {
        assert_eq!(u32::try_from(array.iter().count()).unwrap(), array.len());
        array.iter().for_each(|value| visit0(value, depth + 1));
    } else if let Value::Avm(bytes) = value {
        let tree = Tree::parse(bytes).unwrap();
        visit3(&tree, tree.root().unwrap(), depth);
    }
}

fn visit3(tree: &Tree<'_>, value: amf3::Value<'_>, depth: u8) {
    assert!(depth <= 16);
    match value {
        amf3::Value::Object(object) => {
            let object = &object;
            for (_, value) in tree.properties(object).collect::<Vec<_>>() {
                visit3(tree, value, depth + 1);
            }
        }
        amf3::Value::Array(array) => {
            for (_, value) in tree.named(&array).collect::<Vec<_>>() {
                visit3(tree, value, depth + 1);
            }
            assert_eq!(
                tree.items(array.dense).count(),
                usize::try_from(array.dense.count).unwrap()
            );
        }
        amf3::Value::Reference(_) => assert!(tree.resolve(value).is_some()),
        _ => {}
    }
}

proptest! {
    #[test]
    fn amf0_parse_inverts_emit(message in models()) {
        let mut buffer = vec![0; ROOM];
        let mut w = Writer::new(&mut buffer);
        for model in &message {
            model.emit(&mut w);
        }
        let bytes = w.finish();
        let mut values = Values::new(bytes);
        let read: Vec<_> = values.by_ref().map(Result::unwrap).collect();
        let written: Vec<u8> = read.iter().flat_map(emitted0).collect();
        prop_assert_eq!(&written[..], &*bytes);
        for (index, target) in (0..).zip(message.iter().flat_map(Model::targets)) {
            let found = values.resolve(index).map(Model::of);
            prop_assert_eq!(found.as_ref(), Some(target));
        }
        prop_assert_eq!(read.into_iter().map(Model::of).collect::<Vec<_>>(), message);
    }

    #[test]
    fn amf_parsing_never_panics(
        bytes in proptest::collection::vec(prop_oneof![0..0x13u8, any::<u8>()], 0..120),
    ) {
        for value in Values::new(&bytes).map_while(Result::ok) {
            visit0(value, 0);
        }
        if let Ok(tree) = Tree::parse(&bytes) {
            visit3(&tree, tree.root().unwrap(), 0);
        }
    }

    #[test]
    fn amf3_parse_inverts_emit(
        mut model in models3(4, 40),
        choices in proptest::collection::vec(any::<bool>(), 1..20),
    ) {
        let mut buffer = vec![0; ROOM];
        let mut w = Writer::new(&mut buffer);
        let mut seen = Seen::new(&choices);
        model.emit(&mut seen, &mut w);
        prop_assume!(seen.fits());
        let bytes = w.finish();
        let tree = Tree::parse(bytes).unwrap();
        prop_assert_eq!(Tree::measure(bytes, 0), Ok(bytes.len()));
        let mut targets = Vec::new();
        model.targets(&mut targets);
        for (index, target) in (0..).zip(targets) {
            let found = tree.resolve(amf3::Value::Reference(index)).unwrap();
            prop_assert_eq!(Model3::of(&tree, found), target);
        }
        prop_assert_eq!(Model3::of(&tree, tree.root().unwrap()), model);
    }

    #[test]
    fn amf3_integers_parse_as_emitted(n in any::<i32>()) {
        let bytes = emitted3(|e| e.integer(n).unwrap());
        let value = Value::Avm(&bytes);
        prop_assert_eq!(value.number(), Some(f64::from(n)));
    }
}

#[test]
fn amf0_values_leave_the_rest_where_they_end() {
    let bytes = hex("02 0001 61 05 ff");
    let mut values = Values::new(&bytes);
    values.next().unwrap().unwrap();
    values.next().unwrap().unwrap();
    assert_eq!(values.rest(), [0xff]);
}
