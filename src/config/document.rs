//! The settings file: TOML text in, settings out; one value changed in place, comments kept.
//!
//! Keys may stand in tables (`[hls]`) or dotted (`hls.segment_ms = 2000`). Sizes and levels are
//! strings. What is not in the table of `settings` is an error with its line: a misspelt setting
//! that is quietly ignored costs a technician an hour. Pure text to text: reads and writes no
//! file. Source: TOML 1.1, by crate `toml_edit`.

use core::fmt;
use core::ops::Range;

use toml_edit::{Array, Document, DocumentMut, Item, Table, TableLike, TomlError, Value as Toml};

use super::group;
use super::relay;
use super::rights;
use super::settings::{Config, Draft, Setting, SettingError, TABLE};
use super::value::Value;
use crate::limits::SETTINGS_TEXT_BYTES_MAX;

/// Reads the text form onto `draft`; what the text does not name keeps its value.
///
/// # Errors
/// The first fault, with its place.
pub fn read(text: &str, draft: &mut Draft) -> Result<(), DocumentError> {
    if text.len() > SETTINGS_TEXT_BYTES_MAX {
        return Err(DocumentError::TooLong { len: text.len(), max: SETTINGS_TEXT_BYTES_MAX });
    }
    let document = Document::parse(text).map_err(|error| DocumentError::syntax(text, &error))?;
    for (name, item) in document.iter() {
        let place = span(document.as_table(), name, item);
        let known = has_sections(name)
            || TABLE.iter().any(|setting| setting.key.split('.').next() == Some(name));
        let Some(group) = item.as_table_like().filter(|_| known) else {
            let cause = SettingError::unknown(name);
            return Err(DocumentError::setting(text, place, cause));
        };
        for (leaf, item) in group.iter() {
            let key = format!("{name}.{leaf}");
            let place = span(group, leaf, item);
            if has_sections(name)
                && let Some(section) = item.as_table_like()
            {
                read_section(text, draft, &key, section)?;
                continue;
            }
            set(draft, &key, item).map_err(|cause| DocumentError::setting(text, place, cause))?;
        }
    }
    Ok(())
}

/// Whether a group has sections of a person's own names.
fn has_sections(name: &str) -> bool {
    relay::is_relay(name) || rights::is_right(name) || group::is_group(name)
}

/// Reads a section, whose name is part of its keys.
fn read_section(
    text: &str,
    draft: &mut Draft,
    name: &str,
    section: &dyn TableLike,
) -> Result<(), DocumentError> {
    for (leaf, item) in section.iter() {
        let place = span(section, leaf, item);
        let value = match item {
            Item::Value(Toml::String(text)) => text.value().clone(),
            Item::Value(Toml::Array(list)) => listed(list),
            Item::Value(_) | Item::None | Item::Table(_) | Item::ArrayOfTables(_) => {
                item.to_string().trim().to_owned()
            }
        };
        draft
            .set(&format!("{name}.{leaf}"), &value)
            .map_err(|cause| DocumentError::setting(text, place, cause))?;
    }
    Ok(())
}

/// The texts of a list, with commas between them; what is no text stands as it is written.
fn listed(list: &Array) -> String {
    let mut all = String::new();
    for value in list {
        let comma = if all.is_empty() { "" } else { "," };
        all.push_str(comma);
        match value.as_str() {
            Some(text) => all.push_str(text),
            None => all.push_str(value.to_string().trim()),
        }
    }
    all
}

/// The checked configuration that the text form alone means.
///
/// # Errors
/// As `read`, and when the settings contradict each other.
pub fn config(text: &str) -> Result<Config, DocumentError> {
    let mut draft = Draft::new();
    read(text, &mut draft)?;
    draft.check().map_err(DocumentError::Together)
}

/// The text with one setting changed; every comment and all other lines stay as they are. The
/// result is a configuration that passes its checks; so one wrong value can be put right.
///
/// # Errors
/// The text, the new value, or both together are not right.
pub fn edit(text: &str, key: &str, value: &str) -> Result<String, DocumentError> {
    let Some(setting) = Setting::find(key) else {
        return Err(DocumentError::Together(SettingError::unknown(key)));
    };
    let value = setting.parse(value).map_err(DocumentError::Together)?;
    let mut document: DocumentMut =
        text.parse().map_err(|error| DocumentError::syntax(text, &error))?;
    let (group, name) = setting.key.split_once('.').unwrap_or(("", setting.key));
    let table = document.as_table_mut();
    let group = table.entry(group).or_insert_with(|| Item::Table(Table::new()));
    let Some(group) = group.as_table_like_mut() else {
        return Err(DocumentError::Together(SettingError::unknown(key)));
    };
    put(group, name, toml(&value));
    let edited = document.to_string();
    config(&edited)?;
    Ok(edited)
}

/// A text form in which every setting stands with its help and default, commented out.
#[must_use]
pub fn default_text() -> String {
    DefaultText.to_string()
}

/// Why a text form is not a configuration.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DocumentError {
    /// Exhausted: longer than any settings file.
    #[error("settings are {len} bytes long: allowed is {max}; is this the right file?")]
    TooLong {
        /// Bytes of the text.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Malformed: not TOML.
    #[error("{place}: {message}; write key = number or key = \"text\"")]
    Syntax {
        /// Where.
        place: Place,
        /// What the parser says.
        message: Box<str>,
    },
    /// A setting is unknown or its value is not allowed.
    #[error("{place}: {cause}")]
    Setting {
        /// Where.
        place: Place,
        /// Which and why.
        cause: SettingError,
    },
    /// The settings are right one by one and not together.
    #[error(transparent)]
    Together(SettingError),
}

impl DocumentError {
    fn syntax(text: &str, error: &TomlError) -> Self {
        Self::Syntax {
            place: Place::new(text, error.span()),
            message: error.message().lines().next().unwrap_or_default().into(),
        }
    }

    fn setting(text: &str, span: Option<Range<usize>>, cause: SettingError) -> Self {
        let place = Place::new(text, span);
        Self::Setting { place, cause }
    }
}

/// A place in the text, both numbers from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

impl Place {
    /// Place of the first byte of `span`; the end of the text when there is none.
    fn new(text: &str, span: Option<Range<usize>>) -> Self {
        let at = span.map_or(text.len(), |span| span.start);
        let before = text.get(..at).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |feed| feed + 1);
        Self {
            line: 1 + before.matches('\n').count(),
            column: 1 + before.get(start..).map_or(0, |line| line.chars().count()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

struct DefaultText;

impl fmt::Display for DefaultText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Settings of rillcast. What is commented out has the default shown.")?;
        let mut last = "";
        for setting in TABLE {
            let (group, name) = setting.key.split_once('.').unwrap_or(("", setting.key));
            if group != last {
                writeln!(f, "\n[{group}]")?;
                last = group;
            }
            let value = toml(&setting.default_value());
            let (kind, applies) = (setting.kind, setting.applies);
            writeln!(f, "# {} {kind}; {applies}.", setting.help())?;
            writeln!(f, "# {name} = {value}")?;
        }
        Ok(())
    }
}

fn set(draft: &mut Draft, key: &str, item: &Item) -> Result<(), SettingError> {
    if has_sections(key) {
        return draft.set(key, "");
    }
    let Some(setting) = Setting::find(key) else {
        return Err(SettingError::unknown(key));
    };
    match item {
        Item::Value(Toml::String(text)) => draft.set(setting.key, text.value()),
        Item::Value(Toml::Boolean(flag)) => draft.set(setting.key, &flag.value().to_string()),
        Item::Value(Toml::Integer(number)) => draft.set(setting.key, &number.value().to_string()),
        Item::Value(_) | Item::None | Item::Table(_) | Item::ArrayOfTables(_) => {
            // A kind takes no text that looks like these, so its own refusal says what it takes.
            draft.set(setting.key, item.to_string().trim())
        }
    }
}

/// Where an item's key stands, or the item itself when its key has no place of its own.
fn span(table: &dyn TableLike, name: &str, item: &Item) -> Option<Range<usize>> {
    table.key(name).and_then(toml_edit::Key::span).or_else(|| item.span())
}

/// Replaces or adds a value; the comment behind an old value stays.
fn put(group: &mut dyn TableLike, name: &str, mut value: Toml) {
    if let Some(Item::Value(old)) = group.get_mut(name) {
        *value.decor_mut() = old.decor().clone();
        *old = value;
    } else {
        group.insert(name, Item::Value(value));
    }
}

/// Counts are TOML integers and flags its booleans; all else is a string, so that `4MiB` can be
/// written.
fn toml(value: &Value) -> Toml {
    match value {
        Value::Number(number) => i64::from(*number).into(),
        Value::Flag(flag) => (*flag).into(),
        Value::Address(_)
        | Value::Folder(_)
        | Value::Bytes(_)
        | Value::Level(_)
        | Value::Networks(_)
        | Value::Port(_)
        | Value::File(_)
        | Value::Track(_)
        | Value::Encryption(_)
        | Value::Word(_) => value.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "# the box in the lobby\n\
        log.level = \"warn\" # quiet\n\
        \n\
        [hls]\n\
        # short, for the doorbell\n\
        segment_ms = 1_000 # one second\n\
        window_segments = 8\n\
        \n\
        [limits]\n\
        ring_bytes = \"2MiB\"\n\
        slot_bytes = 1048576\n";

    fn error(text: &str) -> String {
        config(text).unwrap_err().to_string()
    }

    #[test]
    fn document_reads_tables_dotted_keys_numbers_and_sizes() {
        let config = config(TEXT).unwrap();
        assert_eq!(config.log_level, log::LevelFilter::Warn);
        assert_eq!(config.hls_segment_ms, 1000);
        assert_eq!(config.hls_window_segments, 8);
        assert_eq!(config.limits_ring_bytes, 2 << 20);
        assert_eq!(config.limits_slot_bytes, 1 << 20);
        assert_eq!(config.limits_streams, 4);
    }

    #[test]
    fn sections_of_upstreams_are_read_by_their_names() {
        let text = "[push.cloud]\nstream = \"live/cam\"\nurl = \"rtmp://h/a/k\"\n\
            [pull.door]\nstream = \"live/door\"\nurl = \"rtmp://h/a/d\"\nidle_s = 9\n";
        let relays = config(text).unwrap().relays;
        assert_eq!(relays.len(), 2);
        assert_eq!((relays[0].name.as_str(), relays[0].stream.as_str()), ("cloud", "live/cam"));
        assert_eq!((relays[1].name.as_str(), relays[1].idle_s), ("door", 9));
        let wrong = text.replace("live/door", "door");
        assert!(error(&wrong).starts_with("line 5, column 1: pull.door.stream takes"));
        assert!(error("push = 1\n").contains("unknown setting"));
        assert!(error("[push]\nurl = \"x\"\n").contains("write it like push.NAME.url"));
    }

    #[test]
    fn sections_of_streams_and_users_are_read_by_their_names() {
        let text = "[stream.\"live/cam.1\"]\npublish_key = \"k\"\npublish_users = \"bob\"\n\
            [stream.\"live/*\"]\nplay_from = \"any\"\n[user.bob]\npassword = 1234\n";
        let rights = config(text).unwrap().rights;
        let [cam, others] = &rights.streams[..] else { panic!() };
        assert_eq!((cam.path.as_str(), others.path.as_str()), ("live/cam.1", "live/*"));
        assert_eq!(rights.users[0].password.as_ref().unwrap().expose(), "1234");
        let wrong = text.replace("\"k\"", "\"secret key\"");
        let line = error(&wrong);
        assert!(line.starts_with("line 2, column 1: stream.live/cam.1.publish_key"), "{line}");
        assert!(!line.contains("secret"), "{line}");
        assert!(error(&text.replace("[user.bob]", "[user.eve]")).contains("user.bob.password"));
        assert!(error("[stream]\npublish_key = \"secret\"\n").contains("no setting of a stream"));
    }

    #[test]
    fn sections_of_groups_are_read_with_their_lists() {
        let text = "[group.\"live/cam\"]\nvariants = [\"live/hi\", # sharp\n \"live/lo\"]\n\
            audio = [\"live/hi en English\", \"live/de de Deutsch\"]\n\
            audio_only = \"live/de\"\n";
        let groups = config(text).unwrap().groups;
        let [cam] = &groups[..] else { panic!() };
        assert_eq!((cam.path.as_str(), cam.variants.len()), ("live/cam", 2));
        assert_eq!(cam.audio[1].name, "Deutsch");
        assert_eq!(cam.audio_only.as_deref(), Some("live/de"));
        let wrong = error(&text.replace("live/lo", "lo"));
        let place = "line 2, column 1: group.live/cam.variants takes paths of streams, like ";
        assert!(wrong.starts_with(place), "{wrong}");
        let wrong = error(&text.replace("de Deutsch", "Deutsch"));
        assert!(
            wrong.starts_with("line 4, column 1: group.live/cam.audio takes STREAM"),
            "{wrong}"
        );
        assert!(error(&text.replace("\"live/lo\"", "{a = 1}")).contains("variants takes paths"));
        assert!(error(&text.replace("live/lo", "live/cam")).contains("live/cam is a group and"));
        assert!(error("[group]\nvariants = \"live/a\"\n").contains("no setting of a group"));
    }

    #[test]
    fn edit_changes_one_value_and_nothing_else() {
        let edited = edit(TEXT, "hls.segment_ms", "1500").unwrap();
        assert_eq!(edited, TEXT.replace("1_000", "1500"));
        let edited = edit(TEXT, "log.level", "debug").unwrap();
        assert_eq!(edited, TEXT.replace("warn", "debug"));
        let edited = edit(TEXT, "limits.ring_bytes", "1048576").unwrap();
        assert_eq!(edited, TEXT.replace("2MiB", "1MiB"));
    }

    #[test]
    fn edit_adds_what_is_missing() {
        let edited = edit("", "hls.segment_ms", "1000").unwrap();
        assert_eq!(edited, "[hls]\nsegment_ms = 1000\n");
        let edited = edit(TEXT, "limits.viewers", "9").unwrap();
        assert_eq!(edited, format!("{TEXT}viewers = 9\n"));
        let edited = edit("hls = { segment_ms = 1000 }\n", "hls.dir", "/run/x").unwrap();
        assert_eq!(edited, "hls = { segment_ms = 1000 , dir = \"/run/x\" }\n");
    }

    #[test]
    fn edit_refuses_what_would_not_start() {
        assert!(edit(TEXT, "hls.segment_ms", "1").is_err());
        assert!(edit(TEXT, "hls.target_duration_s", "30").is_err());
        assert!(edit(TEXT, "hls.segment", "1000").is_err());
        assert!(edit("hls = 5", "hls.segment_ms", "1000").is_err());
    }

    #[test]
    fn edit_puts_a_wrong_value_right() {
        let wrong = "[hls]\nsegment_ms = \"fast\"\n";
        assert!(config(wrong).is_err());
        let edited = edit(wrong, "hls.segment_ms", "1000").unwrap();
        assert_eq!(edited, "[hls]\nsegment_ms = 1000\n");
    }

    #[test]
    fn default_text_means_the_defaults_with_and_without_its_comments() {
        let text = default_text();
        let defaults = Draft::new().check().unwrap();
        assert_eq!(config(&text).unwrap(), defaults);
        assert_eq!(text.matches("\n# ").count(), 2 * TABLE.len());
        let live: String = text
            .lines()
            .filter_map(|line| {
                let line = line.strip_prefix("# ").unwrap_or(line);
                (line.starts_with('[') || line.contains(" = ")).then(|| format!("{line}\n"))
            })
            .collect();
        assert_eq!(live.matches(" = ").count(), TABLE.len());
        assert_eq!(config(&live).unwrap(), defaults);
    }

    #[test]
    fn errors_tell_line_column_and_cure() {
        for (text, line) in [
            (
                "\n[hls]\n  segment_ms = 5\n",
                "line 3, column 3: hls.segment_ms is \"5\": allowed is 500 to 20000 ms; \
                 set it to 500 or more",
            ),
            (
                "[hls]\nsegmnt_ms = 5\n",
                "line 2, column 1: unknown setting \"hls.segmnt_ms\": did you mean \
                 hls.segment_ms?",
            ),
            (
                "limits.viewers = 2.5",
                "line 1, column 8: limits.viewers is \"2.5\": allowed is 1 to 4096; \
                 write it like 256",
            ),
            (
                "hls = 5",
                "line 1, column 1: unknown setting \"hls\": `rillcast --help` lists all of them",
            ),
            (
                "[upnp]\n",
                "line 1, column 2: unknown setting \"upnp\": `rillcast --help` lists all of them",
            ),
        ] {
            assert_eq!(error(text), line);
        }
    }

    #[test]
    fn syntax_errors_are_one_line_with_their_place() {
        for (text, place) in [
            ("log.level = info\n", "line 1, column 13: "),
            ("[hls]\nsegment_ms 5\n", "line 2, column "),
            ("[hls]\ndir = \"x\n", "line 2, column "),
            ("[hls]\ndir = \"/a/b\"\ndir = \"/a/b\"\n", "line 3, column "),
        ] {
            let line = error(text);
            assert!(line.starts_with(place), "{line}");
            assert_eq!(line.lines().count(), 1, "{line}");
        }
    }

    #[test]
    fn document_longer_than_any_settings_is_refused() {
        let text = "#".repeat(SETTINGS_TEXT_BYTES_MAX + 1);
        assert!(matches!(config(&text), Err(DocumentError::TooLong { .. })));
        assert!(config(&text[1..]).is_ok());
    }

    #[test]
    fn nesting_below_a_setting_is_unknown() {
        assert!(error("[hls.segment_ms]\nx = 1\n").contains("hls.segment_ms is"));
        assert!(error("[[hls]]\nsegment_ms = 1000\n").contains("unknown setting"));
    }

    proptest! {
        #[test]
        fn document_never_panics_on_any_text(text in "([a-z.\\[\\]=\"# \n0-9é]{0,80})") {
            let _ = config(&text);
            let _ = edit(&text, "hls.dir", "/run/x");
        }

        #[test]
        fn document_reads_back_what_was_edited(ms in 500u32..=3000, bytes in 1u32..=1 << 24) {
            let bytes = bytes.max(256 << 10);
            let text = edit(TEXT, "hls.segment_ms", &ms.to_string()).unwrap();
            let text = edit(&text, "limits.slot_bytes", &bytes.to_string()).unwrap();
            let config = config(&text).unwrap();
            prop_assert_eq!(config.hls_segment_ms, ms);
            prop_assert_eq!(config.limits_slot_bytes, bytes);
        }
    }
}
