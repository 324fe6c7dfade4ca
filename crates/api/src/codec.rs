//! How messages of calls become bytes and back. The usual codec of prost gives each call 16 KB of buffers, in which most
//! messages would fit fifty times; the allocator works for that, and a payload that is kept pins the buffer that it came in.

use prost::Message;
use std::marker::PhantomData;
use tonic::Status;
use tonic::codec::{BufferSettings, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Bytes of the buffer that a message comes in, at first: most requests fit, and allocators are quickest with such sizes.
const RECEIVED: usize = 512;
/// The same of one that goes out: room for the frame's head. What the message needs is known before it is written.
const SENT: usize = 8;
/// A stream of replies is sent on when so many bytes have gathered; all calls but reflection's have one reply.
const YIELD: usize = 32 * 1024;

/// Messages of prost in buffers of their own size.
#[derive(Clone, Copy, Debug)]
pub struct Codec<Out, In>(PhantomData<(Out, In)>);

impl<Out, In> Default for Codec<Out, In> {
    fn default() -> Self {
        Codec(PhantomData)
    }
}

impl<Out, In> tonic::codec::Codec for Codec<Out, In>
where
    Out: Message + Send + 'static,
    In: Message + Default + Send + 'static,
{
    type Encode = Out;
    type Decode = In;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Codec(PhantomData)
    }

    fn decoder(&mut self) -> Self {
        Codec(PhantomData)
    }
}

impl<Out: Message, In> Encoder for Codec<Out, In> {
    type Item = Out;
    type Error = Status;

    fn encode(&mut self, message: Out, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(message.encoded_len());
        message.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(SENT, YIELD)
    }
}

impl<Out, In: Message + Default> Decoder for Codec<Out, In> {
    type Item = In;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<In>, Status> {
        In::decode(buffer).map(Some).map_err(|error| Status::internal(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(RECEIVED, YIELD)
    }
}
