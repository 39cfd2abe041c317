//! Timed data: the cue points and texts that publishers send beside pictures and sound.
//!
//! A message is a name and an object; what the object holds is read as texts, one level of objects
//! inside it too. `onFI`, a time code with every picture, is none of these: it would cost a packet
//! each. What cannot be read as text is passed over. Source: FLV E.5 (`onCuePoint`, `onTextData`).

use crate::limits::CUE_PROPERTIES_MAX;
use crate::wire::amf0::{Object, Value, Values};
use crate::wire::rtmp::command::whole;
use core::fmt::Write as _;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CueKind {
    /// `onCuePoint`
    CuePoint,
    /// `onTextData`
    TextData,
}

/// A message of timed data.
#[derive(Clone, Copy, Debug)]
pub struct Cue<'a> {
    /// What it is.
    pub kind: CueKind,
    object: Object<'a>,
}

/// A property of it: the object inside that it belongs to, or nothing; its name; its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Property<'a> {
    /// Name of the object inside the message's, or empty.
    pub group: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its value as text.
    pub value: &'a str,
}

/// Text of a number.
type Decimal = heapless::String<24>;

impl<'a> Cue<'a> {
    /// Reads a data message, from its name on; `None` if it is no timed data.
    #[must_use]
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let mut values = Values::new(body);
        let mut name = values.next()?.ok()?.string()?;
        if name == b"@setDataFrame" {
            name = values.next()?.ok()?.string()?;
        }
        let kind = match name {
            b"onCuePoint" => CueKind::CuePoint,
            b"onTextData" => CueKind::TextData,
            _ => return None,
        };
        let object = values.next()?.ok()?.object()?;
        Some(Self { kind, object })
    }

    /// The name of the message.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.kind {
            CueKind::CuePoint => "onCuePoint",
            CueKind::TextData => "onTextData",
        }
    }

    /// How long it lasts, milliseconds, if it says so.
    #[must_use]
    pub fn duration_ms(&self) -> Option<u64> {
        let seconds = self.object.get("duration")?.number()?;
        whole((seconds * 1000.0).round()).map(u64::from)
    }

    /// Shows each property, at most `CUE_PROPERTIES_MAX`; a reference is none.
    pub fn each(&self, see: &mut dyn FnMut(Property<'_>)) {
        let mut left = CUE_PROPERTIES_MAX;
        for (name, value) in &self.object {
            if let Some(inner) = value.object() {
                for (inner_name, value) in &inner {
                    show(name, inner_name, value, &mut left, see);
                }
            } else {
                show(b"", name, value, &mut left, see);
            }
        }
    }
}

fn show(
    group: &[u8],
    name: &[u8],
    value: Value<'_>,
    left: &mut usize,
    see: &mut dyn FnMut(Property<'_>),
) {
    let (Ok(group), Ok(name)) = (core::str::from_utf8(group), core::str::from_utf8(name)) else {
        return;
    };
    let number = value.number().and_then(decimal);
    let flag = value.boolean().map(|flag| if flag { "true" } else { "false" });
    let Some(value) = number.as_deref().or(flag).or(value.text()) else { return };
    if let Some(less) = left.checked_sub(1) {
        *left = less;
        see(Property { group, name, value });
    }
}

/// A number as text, to the thousandth; `None` where it is beyond what 32 bits count.
fn decimal(number: f64) -> Option<Decimal> {
    let sign = if number < 0.0 { "-" } else { "" };
    let size = number.abs();
    let mut text = Decimal::new();
    let written = match whole((size * 1000.0).round()) {
        Some(millis) if millis % 1000 == 0 => write!(text, "{sign}{}", millis / 1000),
        Some(millis) => write!(text, "{sign}{}.{:03}", millis / 1000, millis % 1000),
        None => write!(text, "{sign}{}", whole(size.round())?),
    };
    written.ok().map(|()| text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::amf0::Emitter;
    use crate::wire::writer::Writer;
    use proptest::prelude::*;

    fn message(name: &str, properties: usize) -> Vec<u8> {
        let mut room = vec![0; 4096];
        let mut w = Writer::new(&mut room);
        let mut e = Emitter::new(&mut w);
        e.string(name.as_bytes()).unwrap();
        e.object().unwrap();
        for n in 0..properties {
            e.key(format!("k{n}").as_bytes()).unwrap();
            e.number(f64::from(u32::try_from(n).unwrap()) + 0.25).unwrap();
        }
        e.end().unwrap();
        w.written().to_vec()
    }

    fn shown(body: &[u8]) -> Vec<(String, String, String)> {
        let mut all = Vec::new();
        let owned = |text: &str| text.to_owned();
        Cue::parse(body)
            .unwrap()
            .each(&mut |p| all.push((owned(p.group), owned(p.name), owned(p.value))));
        all
    }

    #[test]
    fn cue_points_are_read_as_texts_with_their_parameters() {
        let mut room = [0; 512];
        let mut w = Writer::new(&mut room);
        let mut e = Emitter::new(&mut w);
        e.string(b"@setDataFrame").unwrap();
        e.string(b"onCuePoint").unwrap();
        e.object().unwrap();
        e.key(b"name").unwrap();
        e.string("Br\u{fc}cke".as_bytes()).unwrap();
        e.key(b"duration").unwrap();
        e.number(1.5).unwrap();
        e.key(b"odd").unwrap();
        e.string(b"\xff").unwrap();
        e.key(b"parameters").unwrap();
        e.object().unwrap();
        e.key(b"live").unwrap();
        e.boolean(true).unwrap();
        e.key(b"offset").unwrap();
        e.number(-3.0).unwrap();
        e.end().unwrap();
        e.end().unwrap();
        let cue = Cue::parse(w.written()).unwrap();
        assert_eq!((cue.kind, cue.name()), (CueKind::CuePoint, "onCuePoint"));
        assert_eq!(cue.duration_ms(), Some(1_500));
        let want = [
            ("", "name", "Br\u{fc}cke"),
            ("", "duration", "1.500"),
            ("parameters", "live", "true"),
            ("parameters", "offset", "-3"),
        ];
        let want = want.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(shown(w.written()), want);
    }

    #[test]
    fn other_messages_are_no_timed_data() {
        assert!(Cue::parse(&message("onTextData", 1)).is_some());
        for name in ["onFI", "onMetaData", ""] {
            assert!(Cue::parse(&message(name, 1)).is_none(), "{name}");
        }
        assert!(Cue::parse(b"\x02\x00\x0aonCuePoint\x05").is_none(), "null is no object");
    }

    #[test]
    fn cue_is_read_up_to_so_many_properties() {
        assert_eq!(shown(&message("onTextData", 3)).len(), 3);
        assert_eq!(shown(&message("onTextData", 40)).len(), CUE_PROPERTIES_MAX);
    }

    #[test]
    fn numbers_are_written_to_the_thousandth() {
        for (number, want) in [
            (0.0, Some("0")),
            (-0.0004, Some("-0")),
            (12.3456, Some("12.346")),
            (4_294_967_295.0, Some("4294967295")),
            (1e10, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
        ] {
            assert_eq!(decimal(number).as_deref(), want, "{number}");
        }
    }

    proptest! {
        #[test]
        fn reading_any_message_never_panics(tail in prop::collection::vec(any::<u8>(), 0..200)) {
            let body = [b"\x02\x00\x0aonTextData\x03\x00\x01a".as_slice(), &tail].concat();
            if let Some(cue) = Cue::parse(&body) {
                let mut count = 0;
                cue.each(&mut |_| count += 1);
                prop_assert!(count <= CUE_PROPERTIES_MAX);
            }
        }
    }
}
