//! Other containers, without touching the codecs' bits.

use ffmpeg_next as ffmpeg;
use ffmpeg_next::format::context::{Input, Output};
use ffmpeg_next::{Packet, Rational, codec, encoder, format, media};

/// Writes what comes in as `container` (FFmpeg's name for it) to standard output, until either side ends: a player that
/// closes its end has seen enough.
pub fn remux(mut input: Input, container: &str) -> Result<(), String> {
    let mut output = format::output_as("pipe:1", container)
        .map_err(|error| format!("FFmpeg cannot write {container}: {error}"))?;
    let routes = add_streams(&input, &mut output)?;
    output
        .write_header()
        .map_err(|error| format!("cannot begin the output: {error}"))?;
    for (stream, mut packet) in input.packets() {
        let Some(route) = routes.get(stream.index()).copied().flatten() else {
            continue;
        };
        match write(&mut packet, route, &mut output) {
            Err(error) if is_closed(error) => return Ok(()),
            written => written.map_err(|error| format!("cannot write on: {error}"))?,
        }
    }
    match output.write_trailer() {
        Err(error) if is_closed(error) => Ok(()),
        written => written.map_err(|error| format!("cannot finish the output: {error}")),
    }
}

fn is_closed(error: ffmpeg::Error) -> bool {
    matches!(
        error,
        ffmpeg::Error::Other {
            errno: ffmpeg::error::EPIPE
        }
    )
}

/// Where the packets of an input stream go.
#[derive(Clone, Copy)]
struct Route {
    output_index: usize,
    time_base: Rational,
}

/// One output stream for each picture and sound stream of the input.
fn add_streams(input: &Input, output: &mut Output) -> Result<Vec<Option<Route>>, String> {
    let mut routes = Vec::new();
    for stream in input.streams() {
        let wanted = matches!(
            stream.parameters().medium(),
            media::Type::Video | media::Type::Audio
        );
        if !wanted {
            routes.push(None);
            continue;
        }
        let mut added = output
            .add_stream(encoder::find(codec::Id::None))
            .map_err(|error| format!("cannot add a stream: {error}"))?;
        added.set_parameters(stream.parameters());
        clear_codec_tag(&mut added);
        routes.push(Some(Route {
            output_index: added.index(),
            time_base: stream.time_base(),
        }));
    }
    Ok(routes)
}

/// MP4's tag of a codec means something else in other containers: 0 lets the muxer choose its own.
#[allow(unsafe_code)]
fn clear_codec_tag(stream: &mut ffmpeg::StreamMut<'_>) {
    // SAFETY: the parameters belong to `stream`, which is borrowed mutably and lives through this write of an integer;
    // ffmpeg-next has no safe setter for it.
    unsafe { (*stream.parameters().as_mut_ptr()).codec_tag = 0 };
}

fn write(packet: &mut Packet, route: Route, output: &mut Output) -> Result<(), ffmpeg::Error> {
    let time_base = output
        .stream(route.output_index)
        .ok_or(ffmpeg::Error::StreamNotFound)?
        .time_base();
    packet.rescale_ts(route.time_base, time_base);
    packet.set_position(-1);
    packet.set_stream(route.output_index);
    packet.write_interleaved(output)
}
