//! A strict reader of media playlists, and the rules between one version of a playlist and the
//! next.
//!
//! Sources: RFC 8216 §4, §6.2; a tag that is not known here is a fault, since our own program wrote
//! it. Does NOT read master playlists.

/// A listed segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub sequence: u64,
    /// EXT-X-DISCONTINUITY-SEQUENCE plus the EXT-X-DISCONTINUITY tags up to here.
    pub discontinuity_sequence: u64,
    pub discontinuity: bool,
    /// Microseconds, exactly as written.
    pub extinf_us: u64,
    pub uri: String,
    pub date: Option<String>,
}

/// A media playlist.
#[derive(Clone, Debug, PartialEq)]
pub struct Playlist {
    pub version: u32,
    pub target_s: u64,
    pub sequence: u64,
    pub discontinuity_sequence: Option<u64>,
    pub kind: Option<String>,
    pub ended: bool,
    pub independent: bool,
    pub entries: Vec<Entry>,
}

impl Playlist {
    pub fn duration_us(&self) -> u64 {
        self.entries.iter().map(|entry| entry.extinf_us).sum()
    }
}

/// Parses strictly; the message names the line.
pub fn parse(text: &str) -> Result<Playlist, String> {
    if !text.starts_with("#EXTM3U\n") {
        return Err("line 1: not `#EXTM3U`".to_owned());
    }
    if !text.ends_with('\n') {
        return Err("the last line has no end".to_owned());
    }
    let mut reader = Reader::default();
    for (number, line) in text.lines().enumerate().skip(1) {
        reader.line(line).map_err(|error| format!("line {}: {error}: `{line}`", number + 1))?;
    }
    reader.finish()
}

#[derive(Default)]
struct Reader {
    version: Option<u32>,
    target_s: Option<u64>,
    sequence: Option<u64>,
    discontinuity_sequence: Option<u64>,
    kind: Option<String>,
    ended: bool,
    independent: bool,
    discontinuity: bool,
    discontinuities: u64,
    extinf: Option<(u64, bool)>,
    date: Option<String>,
    entries: Vec<Entry>,
    any_float: bool,
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), String> {
    if place.is_some() {
        return Err("tag appears twice".to_owned());
    }
    *place = Some(value);
    Ok(())
}

fn number(text: &str) -> Result<u64, String> {
    if text.is_empty() || text.len() > 20 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err("not a decimal integer".to_owned());
    }
    text.parse().map_err(|_| "integer too large".to_owned())
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if line.is_empty() {
            return Ok(());
        }
        if line != line.trim() || line.contains(['\t', '\r']) {
            return Err("white space where none belongs".to_owned());
        }
        if !line.starts_with('#') {
            return self.uri(line);
        }
        let Some(tag) = line.strip_prefix("#EXT") else { return Ok(()) };
        let (name, value) = tag.split_once(':').map_or((tag, None), |(n, v)| (n, Some(v)));
        let early = self.entries.is_empty() && self.extinf.is_none();
        match (name, value) {
            ("-X-VERSION", Some(v)) if early => once(&mut self.version, number(v)? as u32),
            ("-X-TARGETDURATION", Some(v)) => once(&mut self.target_s, number(v)?),
            ("-X-MEDIA-SEQUENCE", Some(v)) if early => once(&mut self.sequence, number(v)?),
            ("-X-DISCONTINUITY-SEQUENCE", Some(v)) if early && !self.discontinuity => {
                once(&mut self.discontinuity_sequence, number(v)?)
            }
            ("-X-PLAYLIST-TYPE", Some(v @ ("VOD" | "EVENT"))) => once(&mut self.kind, v.to_owned()),
            ("-X-INDEPENDENT-SEGMENTS", None) if !self.independent => {
                self.independent = true;
                Ok(())
            }
            ("-X-ENDLIST", None) if !self.ended => {
                self.ended = true;
                Ok(())
            }
            ("-X-DISCONTINUITY", None) if !self.discontinuity => {
                self.discontinuity = true;
                Ok(())
            }
            ("-X-PROGRAM-DATE-TIME", Some(v)) => {
                if !is_date(v) {
                    return Err("not an ISO 8601 date with milliseconds and zone".to_owned());
                }
                once(&mut self.date, v.to_owned())
            }
            ("-X-DATERANGE", Some(v)) if v.starts_with("ID=\"") => Ok(()),
            ("-X-START", Some(v)) if early && v.starts_with("TIME-OFFSET=-") => Ok(()),
            ("INF", Some(v)) => {
                let value = self.extinf_value(v)?;
                once(&mut self.extinf, value)
            }
            _ => Err("unknown, misplaced or repeated tag".to_owned()),
        }
    }

    fn extinf_value(&mut self, text: &str) -> Result<(u64, bool), String> {
        let (time, _title) = text.split_once(',').ok_or("EXTINF without its comma")?;
        let (whole, part) = time.split_once('.').map_or((time, None), |(w, p)| (w, Some(p)));
        let mut micros = number(whole)? * 1_000_000;
        if let Some(part) = part {
            self.any_float = true;
            number(part)?;
            if part.len() > 6 {
                return Err("more than six decimals".to_owned());
            }
            micros += number(&format!("{part:0<6}"))?;
        }
        Ok((micros, part.is_some()))
    }

    fn uri(&mut self, line: &str) -> Result<(), String> {
        let (extinf_us, _) = self.extinf.take().ok_or("URI without EXTINF")?;
        if line.contains(['"', ' ', '\\', '<', '>']) {
            return Err("not a URI".to_owned());
        }
        let discontinuity = std::mem::take(&mut self.discontinuity);
        self.discontinuities += u64::from(discontinuity);
        self.entries.push(Entry {
            sequence: self.sequence.unwrap_or(0) + self.entries.len() as u64,
            discontinuity_sequence: self.discontinuity_sequence.unwrap_or(0) + self.discontinuities,
            discontinuity,
            extinf_us,
            uri: line.to_owned(),
            date: self.date.take(),
        });
        Ok(())
    }

    fn finish(self) -> Result<Playlist, String> {
        if self.extinf.is_some() || self.discontinuity || self.date.is_some() {
            return Err("a segment's tags without its URI at the end".to_owned());
        }
        let target_s = self.target_s.ok_or("no EXT-X-TARGETDURATION")?;
        let version = self.version.unwrap_or(1);
        if self.any_float && version < 3 {
            return Err(format!("decimal EXTINF needs version 3, playlist says {version}"));
        }
        for entry in &self.entries {
            if (entry.extinf_us + 500_000) / 1_000_000 > target_s {
                return Err(format!(
                    "EXTINF {} us is over the target of {target_s} s",
                    entry.extinf_us
                ));
            }
        }
        Ok(Playlist {
            version,
            target_s,
            sequence: self.sequence.unwrap_or(0),
            discontinuity_sequence: self.discontinuity_sequence,
            kind: self.kind,
            ended: self.ended,
            independent: self.independent,
            entries: self.entries,
        })
    }
}

/// `2026-01-05T10:20:30.123Z` or with `+01:00`.
fn is_date(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    ["0000-00-00T00:00:00.000Z", "0000-00-00T00:00:00.000+00:00", "0000-00-00T00:00:00.000-00:00"]
        .contains(&shape.as_str())
}

/// What the step from `old` to `new` breaks (RFC 8216 §6.2.1, §6.2.2).
pub fn step_faults(old: &Playlist, new: &Playlist) -> Vec<String> {
    let mut faults = Vec::new();
    let mut expect = |good: bool, text: String| {
        if !good {
            faults.push(text);
        }
    };
    expect(
        old.target_s == new.target_s,
        format!("target duration {} became {}", old.target_s, new.target_s),
    );
    expect(old.version == new.version, format!("version {} became {}", old.version, new.version));
    expect(old.kind == new.kind, "playlist type changed".to_owned());
    expect(
        new.sequence >= old.sequence,
        format!("media sequence fell from {} to {}", old.sequence, new.sequence),
    );
    expect(
        new.discontinuity_sequence.unwrap_or(0) >= old.discontinuity_sequence.unwrap_or(0),
        "discontinuity sequence fell".to_owned(),
    );
    expect(!old.ended || new == old, "changed after EXT-X-ENDLIST".to_owned());
    let end = |list: &Playlist| list.sequence + list.entries.len() as u64;
    expect(end(new) >= end(old), format!("newest segment {} gone", end(old)));
    for entry in &old.entries {
        if let Some(same) = new.entries.iter().find(|e| e.sequence == entry.sequence) {
            expect(
                same == entry,
                format!("segment {} changed: {entry:?} became {same:?}", entry.sequence),
            );
        } else if entry.sequence >= new.sequence {
            expect(false, format!("segment {} vanished from the middle", entry.sequence));
        }
    }
    if new.sequence > old.sequence && !new.ended {
        expect(
            new.duration_us() >= 3 * new.target_s * 1_000_000,
            format!(
                "a segment was removed though only {} us remain, target {} s",
                new.duration_us(),
                new.target_s
            ),
        );
        let lost = old.entries.iter().any(|e| e.discontinuity && e.sequence < new.sequence);
        expect(
            !lost || new.discontinuity_sequence.is_some(),
            "no EXT-X-DISCONTINUITY-SEQUENCE".to_owned(),
        );
    }
    faults
}

#[cfg(test)]
const GOOD: &str = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n\
    #EXTINF:1.960000,\ns7.ts\n#EXTINF:2.0,\ns8.ts\n\
    #EXT-X-DISCONTINUITY\n#EXTINF:2.000011,\ns9.ts\n#EXTINF:2,\ns10.ts\n";

#[test]
fn m3u8_reads_a_good_playlist_to_the_microsecond() {
    let list = parse(GOOD).unwrap();
    assert_eq!(
        list.entries.iter().map(|e| e.extinf_us).collect::<Vec<_>>(),
        [1_960_000, 2_000_000, 2_000_011, 2_000_000]
    );
    assert_eq!(list.entries[2].discontinuity_sequence, 1);
    assert_eq!((list.entries[3].sequence, list.ended), (10, false));
}

#[test]
fn m3u8_refuses_each_broken_form() {
    for (from, to) in [
        ("#EXTM3U\n", "\u{feff}#EXTM3U\n"),
        ("DURATION:2\n", "DURATION:1\n"),
        ("DURATION:2\n", "DURATION:2.0\n"),
        ("VERSION:3", "VERSION:2"),
        ("1.960000,", "1.960000"),
        ("s7.ts\n", "s7.ts\n#EXT-X-MEDIA-SEQUENCE:7\n"),
        ("#EXTINF:2.0,\n", ""),
        ("#EXT-X-DISCONTINUITY\n", "#EXT-X-DISCONTINUITY \n"),
        ("#EXT-X-DISCONTINUITY\n", "#EXT-X-DISCONTINUITY-SEQUENCE:1\n"),
        ("#EXT-X-DISCONTINUITY\n", "#EXT-X-PLAYLIST-TYPE: EVENT\n"),
        ("#EXT-X-DISCONTINUITY\n", "#EXT-X-SURPRISE\n"),
        ("#EXT-X-TARGETDURATION:2\n", ""),
        ("s10.ts\n", "s10.ts"),
        ("s10.ts\n", ""),
    ] {
        let broken = GOOD.replacen(from, to, 1);
        assert_ne!(broken, GOOD);
        assert!(parse(&broken).is_err(), "accepted:\n{broken}");
    }
}

#[test]
fn m3u8_step_finds_each_illegal_edit() {
    let old = parse(GOOD).unwrap();
    assert!(step_faults(&old, &old).is_empty());
    let grown = format!("{GOOD}#EXTINF:2.0,\ns11.ts\n");
    assert!(step_faults(&old, &parse(&grown).unwrap()).is_empty());
    for (from, to) in [
        ("DURATION:2", "DURATION:3"),
        ("SEQUENCE:7", "SEQUENCE:6"),
        ("s8.ts", "t8.ts"),
        ("2.000011", "2.000012"),
        ("#EXT-X-DISCONTINUITY\n", ""),
        ("#EXTINF:2,\ns10.ts\n", ""),
    ] {
        let new = parse(&GOOD.replacen(from, to, 1)).unwrap();
        assert!(!step_faults(&old, &new).is_empty(), "{from} -> {to}");
    }
    let short = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:9\n\
        #EXT-X-DISCONTINUITY-SEQUENCE:1\n#EXTINF:2.000011,\ns9.ts\n#EXTINF:2,\ns10.ts\n";
    assert!(step_faults(&old, &parse(short).unwrap()).iter().any(|f| f.contains("remain")));
    let mut ended = old.clone();
    ended.ended = true;
    assert!(!step_faults(&ended, &old).is_empty());
}
