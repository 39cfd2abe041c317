//! Tests of the request machine, as traces.

use super::*;
use crate::limits::HTTP_PATH_BYTES;
use crate::wire::http::{EntityTag, Span};
use proptest::prelude::*;

const T: u64 = 784_111_777;

/// Feeds `bytes` whole and shows the outcome.
fn whole<R>(bytes: &[u8], see: impl FnOnce(Progress<'_>) -> R) -> R {
    let mut bytes = bytes.to_vec();
    see(Machine::new().advance(&mut bytes, &mut PathBuffer::new()))
}

fn refusal(bytes: &[u8]) -> Option<Code> {
    whole(bytes, |progress| match progress {
        Progress::Refused { error, version } => Some(error.code(version)),
        Progress::More | Progress::Request { .. } => None,
    })
}

fn accepted<R>(bytes: &[u8], see: impl FnOnce(&Request<'_>) -> R) -> R {
    whole(bytes, |progress| match progress {
        Progress::Request { request, used } => {
            assert_eq!(used, bytes.len());
            see(&request)
        }
        other @ (Progress::More | Progress::Refused { .. }) => panic!("no request: {other:?}"),
    })
}

fn verdict(fields: &str, now: Option<u64>) -> Verdict {
    let resource = Resource { etag: EntityTag(7), modified: Some(T), bytes: 1000, ranges: true };
    let head = format!("GET /a.txt HTTP/1.0\r\n{fields}\r\n\r\n");
    accepted(head.as_bytes(), |request| judge(request, &resource, now))
}

#[test]
fn request_without_version_is_whole_after_its_line() {
    accepted(b"GET /a.txt\r\n", |r| {
        assert_eq!((r.version, r.path), (Version::Simple, "/a.txt"));
        assert!(!r.keep_alive);
    });
    assert_eq!(refusal(b"HEAD /a.txt\r\n"), Some(Code::BadRequest));
}

#[test]
fn request_may_end_its_lines_with_lf_and_begin_with_two_empty_ones() {
    for head in [
        &b"GET /a.txt HTTP/1.0\r\n\r\n"[..],
        b"GET /a.txt HTTP/1.0\n\n",
        b"\r\nGET /a.txt HTTP/1.0\r\n\r\n",
        b"\r\n\nGET /a.txt HTTP/1.0\r\n\r\n",
    ] {
        accepted(head, |r| {
            assert_eq!(r.path, "/a.txt");
        });
    }
    assert_eq!(refusal(b"\n\n\nGET /a.txt HTTP/1.0\r\n\r\n"), Some(Code::BadRequest));
}

#[test]
fn connection_persists_by_request_in_1_0_and_by_default_in_1_1() {
    let keeps = |head: &str| accepted(head.as_bytes(), |r| r.keep_alive);
    assert!(!keeps("GET / HTTP/1.0\r\n\r\n"));
    assert!(keeps("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
    assert!(keeps("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert!(!keeps("GET / HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n\r\n"));
}

#[test]
fn host_is_single_in_1_1_and_the_target_wins_over_it() {
    assert_eq!(refusal(b"GET / HTTP/1.1\r\n\r\n"), Some(Code::BadRequest));
    assert_eq!(refusal(b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n"), Some(Code::BadRequest));
    accepted(b"GET http://x/a.txt HTTP/1.1\r\nHost: y\r\n\r\n", |r| {
        assert_eq!((r.authority, r.path), (Some("x"), "/a.txt"));
    });
    accepted(b"GET http://x HTTP/1.0\r\n\r\n", |r| {
        assert_eq!(r.path, "/");
    });
    accepted(b"GET /?/../.. HTTP/1.1\r\nHost:\r\n\r\n", |r| {
        assert_eq!((r.authority, r.path), (None, "/"));
    });
    accepted(b"GET / HTTP/1.0\r\nHost: <b>\r\n\r\n", |r| {
        assert_eq!(r.authority, None);
    });
}

#[test]
fn body_needs_one_good_length() {
    let post = |fields: &str, minor: u8| {
        refusal(format!("POST /api HTTP/1.{minor}\r\nHost: x\r\n{fields}\r\n").as_bytes())
    };
    assert_eq!(post("", 0), Some(Code::BadRequest));
    assert_eq!(post("", 1), Some(Code::LengthRequired));
    assert_eq!(post("Transfer-Encoding: chunked\r\n", 1), Some(Code::LengthRequired));
    assert_eq!(post("Transfer-Encoding: chunked\r\n", 0), Some(Code::BadRequest));
    for bad in ["-1", "5x", "99999999999999999999", "", "5, 5", "+5"] {
        let code = post(&format!("Content-Length: {bad}\r\n"), 1);
        assert_eq!(code, Some(Code::BadRequest), "{bad}");
    }
    assert_eq!(
        post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 1),
        Some(Code::BadRequest)
    );
    assert_eq!(post("Content-Length: 5\r\nContent-Length: 6\r\n", 1), Some(Code::BadRequest));
    assert_eq!(post("Content-Length: 5\r\nContent-Length: 5\r\n", 1), None);
}

#[test]
fn expectation_is_known_or_refused_and_ignored_from_1_0() {
    let head = |minor, what| {
        format!(
            "POST /api HTTP/1.{minor}\r\nHost: x\r\nContent-Length: 5\r\nExpect: {what}\r\n\r\n"
        )
    };
    accepted(head(1, "100-Continue").as_bytes(), |r| {
        assert!(r.expects_continue);
        assert_eq!((r.method, r.body_bytes), (Method::Post, 5));
    });
    accepted(head(0, "100-continue").as_bytes(), |r| {
        assert!(!r.expects_continue);
    });
    assert_eq!(refusal(head(1, "magic").as_bytes()), Some(Code::ExpectationFailed));
    assert_eq!(refusal(head(0, "magic").as_bytes()), None);
}

#[test]
fn method_and_target_forms_are_told_apart() {
    assert_eq!(refusal(b"BREW /a.txt HTTP/1.0\r\n\r\n"), Some(Code::NotImplemented));
    accepted(b"DELETE /a.txt HTTP/1.0\r\n\r\n", |r| {
        assert_eq!(r.method, Method::Other);
    });
    accepted(b"CONNECT x:443 HTTP/1.0\r\n\r\n", |r| {
        assert_eq!(r.path, "*");
    });
    accepted(b"OPTIONS * HTTP/1.0\r\n\r\n", |r| {
        assert_eq!(r.path, "*");
    });
    for bad in ["*", "a.txt", "ftp://x/", "\\..\\x", "/../x", "/%zz"] {
        let head = format!("GET {bad} HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(refusal(head.as_bytes()), Some(Code::BadRequest), "{bad}");
    }
    assert_eq!(refusal(b"GET / HTTP/3.0\r\n\r\n"), Some(Code::VersionNotSupported));
    assert_eq!(refusal(b"PRI * HTTP/2.0\r\n\r\n"), Some(Code::VersionNotSupported));
    assert_eq!(refusal(b"GET  / HTTP/1.0\r\n\r\n"), Some(Code::BadRequest));
    assert_eq!(refusal(b"GET / HTTP/1.0\r\nX : y\r\n\r\n"), Some(Code::BadRequest));
}

#[test]
fn folded_field_is_joined_for_1_0_and_refused_for_1_1() {
    accepted(b"GET / HTTP/1.0\r\nA: b\r\n c\r\nB: d \n\t  e\nC: f\r\n\r\n", |r| {
        assert_eq!(r.values("a").next(), Some(&b"b   c"[..]));
        assert_eq!(r.values("b").next(), Some(&b"d  \t  e"[..]));
        assert_eq!(r.values("c").next(), Some(&b"f"[..]));
    });
    assert_eq!(refusal(b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n"), Some(Code::BadRequest));
    assert_eq!(refusal(b"GET / HTTP/1.0\r\n A: b\r\n\r\n"), Some(Code::BadRequest));
}

#[test]
fn head_that_is_read_again_is_the_same_whatever_was_joined() {
    let mut bytes = b"GET / HTTP/1.0\r\nA: b\r\n   c\r\n\t \r\nB: d\r\n\r\nGET /next".to_vec();
    let whole = bytes.len() - "GET /next".len();
    let mut machine = Machine::new();
    for _ in 0..3 {
        let mut path = PathBuffer::new();
        let Progress::Request { request, used } = machine.advance(&mut bytes, &mut path) else {
            panic!("it is whole");
        };
        assert_eq!(used, whole);
        assert_eq!(request.values("b").next(), Some(&b"d"[..]));
    }
}

#[test]
fn limits_are_named_as_soon_as_they_are_passed() {
    let query = |bytes: usize| {
        let around = "GET /? HTTP/1.0\r\n".len();
        refusal(format!("GET /?{} HTTP/1.0\r\n\r\n", "a".repeat(bytes - around)).as_bytes())
    };
    assert_eq!(query(HTTP_LINE_BYTES), None);
    assert_eq!(query(HTTP_LINE_BYTES + 1), Some(Code::UriTooLong));
    let endless = |bytes| refusal(format!("{:G<1$}", "GET /", bytes).as_bytes());
    assert_eq!(endless(HTTP_LINE_BYTES - 1), None);
    assert_eq!(endless(HTTP_LINE_BYTES), Some(Code::UriTooLong));
    let path = |bytes: usize| {
        refusal(format!("GET /{} HTTP/1.0\r\n\r\n", "a".repeat(bytes - 1)).as_bytes())
    };
    assert_eq!(path(HTTP_PATH_BYTES), None);
    assert_eq!(path(HTTP_PATH_BYTES + 1), Some(Code::UriTooLong));
    let fields = |count: usize, minor: u8| {
        let more = "A: b\r\n".repeat(count - 1);
        refusal(format!("GET / HTTP/1.{minor}\r\nHost: x\r\n{more}\r\n").as_bytes())
    };
    assert_eq!(fields(HTTP_FIELDS, 1), None);
    assert_eq!(fields(HTTP_FIELDS + 1, 1), Some(Code::HeaderTooLarge));
    assert_eq!(fields(HTTP_FIELDS + 1, 0), Some(Code::BadRequest));
    let endless = |bytes| refusal(format!("{:b<1$}", "GET / HTTP/1.1\r\nA: ", bytes).as_bytes());
    assert_eq!(endless(HTTP_REQUEST_BYTES - 1), None);
    assert_eq!(endless(HTTP_REQUEST_BYTES), Some(Code::HeaderTooLarge));
    assert_eq!(refusal(b"\x16\x03\x01\x02\x00\x01"), Some(Code::BadRequest));
}

#[test]
fn machine_gives_the_same_request_when_split_at_every_byte() {
    let head = b"\r\nGET /%61.txt HTTP/1.0\r\nA: b\r\n c\r\nRange: bytes=0-1\r\n\r\nGET /b";
    let end = head.len() - 6;
    for split in 1..=end {
        let mut machine = Machine::new();
        let mut bytes = head[..split].to_vec();
        let early =
            matches!(machine.advance(&mut bytes, &mut PathBuffer::new()), Progress::Request { .. });
        assert_eq!(early, split == end);
        if early {
            continue;
        }
        let mut bytes = head.to_vec();
        let mut path = PathBuffer::new();
        let Progress::Request { request, used } = machine.advance(&mut bytes, &mut path) else {
            panic!("no request at {split}");
        };
        assert_eq!((request.path, used), ("/a.txt", end));
        assert_eq!(request.range, Some(ByteRange::Between { first: 0, last: 1 }));
        assert_eq!(machine, Machine::new());
    }
}

#[test]
fn condition_by_date_needs_a_clock_and_all_three_forms_count() {
    let now = Some(T + 1000);
    for date in [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ] {
        let field = format!("If-Modified-Since: {date}");
        assert_eq!(verdict(&field, now), Verdict::NotModified);
        assert_eq!(verdict(&field, None), Verdict::Full);
    }
    for date in ["Sun, 06 Nov 1994 08:49:36 GMT", "Wed, 01 Jan 2200 00:00:00 GMT", "soon"] {
        assert_eq!(verdict(&format!("If-Modified-Since: {date}"), now), Verdict::Full);
    }
}

#[test]
fn condition_by_tag_comes_before_date_and_range() {
    let now = Some(T + 1000);
    let tag = "\"0000000000000007\"";
    assert_eq!(verdict(&format!("If-None-Match: \"x\", W/{tag}"), now), Verdict::NotModified);
    assert_eq!(
        verdict(&format!("If-None-Match: \"x\"\r\nIf-None-Match: {tag}\r\nRange: bytes=0-"), now),
        Verdict::NotModified
    );
    assert_eq!(
        verdict("If-None-Match: \"x\"\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", now),
        Verdict::Full
    );
    let part = Verdict::Part(Span { first: 0, last: 1 });
    let range = "Range: bytes=0-1\r\nIf-Range: ";
    assert_eq!(verdict(&format!("{range}{tag}"), now), part);
    assert_eq!(verdict(&format!("{range}W/{tag}"), now), Verdict::Full);
    assert_eq!(verdict(&format!("{range}\"x\""), now), Verdict::Full);
    assert_eq!(verdict(&format!("{range}Sun, 06 Nov 1994 08:49:37 GMT"), now), part);
    assert_eq!(verdict("Range: bytes=1000-", now), Verdict::Unsatisfiable);
}

proptest! {
    #[test]
    fn machine_never_panics_and_uses_what_it_was_given(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        whole(&bytes, |progress| if let Progress::Request { used, .. } = progress {
            assert!(used <= bytes.len());
        });
    }

    #[test]
    fn machine_never_panics_on_what_looks_like_a_request(
        fields in "(A: b\r?\n|[ \t]c\r?\n|Host: x\r\n|Range: bytes=[0-9-]{1,4}\r\n){0,6}",
    ) {
        let head = format!("GET /a HTTP/1.0\r\n{fields}\r\n");
        whole(head.as_bytes(), |_| ());
    }
}
