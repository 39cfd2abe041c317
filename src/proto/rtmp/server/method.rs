//! The calls that a server knows, by name.

/// What a peer calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Connect,
    CreateStream,
    FcPublish,
    FcUnpublish,
    Publish,
    DeleteStream,
    CloseStream,
    Play,
    Pause,
    Seek,
    ReceiveAudio,
    ReceiveVideo,
    StreamLength,
    /// Calls whose callers only want to hear that all is well.
    Courtesy,
    /// Calls without answer, and answers to calls that we never made.
    Ignored,
    Unknown,
}

impl Method {
    /// Reads the name of a command.
    pub(super) fn parse(name: &[u8]) -> Self {
        match name {
            b"connect" => Self::Connect,
            b"createStream" => Self::CreateStream,
            b"FCPublish" => Self::FcPublish,
            b"FCUnpublish" => Self::FcUnpublish,
            b"publish" => Self::Publish,
            b"deleteStream" => Self::DeleteStream,
            b"closeStream" => Self::CloseStream,
            b"play" | b"play2" => Self::Play,
            b"pause" | b"pauseRaw" => Self::Pause,
            b"seek" => Self::Seek,
            b"receiveAudio" => Self::ReceiveAudio,
            b"receiveVideo" => Self::ReceiveVideo,
            b"getStreamLength" => Self::StreamLength,
            b"releaseStream" | b"FCSubscribe" | b"_checkbw" | b"checkBandwidth" => Self::Courtesy,
            b"_result"
            | b"_error"
            | b"onStatus"
            | b"close"
            | b"set_playlist"
            | b"secureTokenResponse"
            | b"NetStream.Authenticate.UsherToken" => Self::Ignored,
            _ => Self::Unknown,
        }
    }
}
