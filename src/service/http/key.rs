//! The keys of segments: sixteen bytes for whom the settings name, 403 for everybody else.
//!
//! The store knows the keys and who may have them; the stream's own key for viewers has been asked
//! for before. Source: draft-pantos-http-live-streaming-12 §5.1, §6.2.3; RFC 8216 §5.1.

use super::answer::{Answer, Desk};
use crate::limits::HTTP_HEAD_OUT_BYTES;
use crate::media::cipher::BLOCK_BYTES;
use crate::proto::http::Request;
use crate::service::store::KeyRefusal;
use crate::status::Counter;
use crate::wire::http::{Cache, Code, Method, ResponseHead};

impl Desk {
    /// The answer to a request for the key `name`, such as `live/cam/5f3a0c11-12.key`.
    pub(super) fn key(
        &mut self,
        head: ResponseHead<'_>,
        request: &Request<'_>,
        name: &str,
    ) -> Answer {
        let found = self.store.borrow().key(name, self.peer);
        let key = match found {
            Ok(key) => key,
            Err(refusal @ KeyRefusal::Unknown) => return self.not_found(head, request, &refusal),
            Err(refusal @ KeyRefusal::Address) => {
                self.count(Counter::HlsKeysRefused);
                let head = ResponseHead { code: Code::Forbidden, ..head };
                return self.plain(head, request, &refusal);
            }
        };
        let (_, room) = self.out.split_at_mut(HTTP_HEAD_OUT_BYTES);
        if let Some(room) = room.first_chunk_mut::<BLOCK_BYTES>() {
            *room = *key.bytes();
        }
        let head = ResponseHead {
            date: self.date(),
            content_type: Some("application/octet-stream"),
            content_length: Some(16),
            cache: Some(Cache::NoStore),
            ..head
        };
        self.compose(&head, if request.method == Method::Head { 0 } else { BLOCK_BYTES })
    }
}
