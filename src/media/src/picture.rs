//! The first picture, as PNG.

use std::io::Write;

use ffmpeg_next::format::Pixel;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::software::scaling;
use ffmpeg_next::util::frame::Video;
use ffmpeg_next::{Rational, codec, encoder, media};

/// Decodes the first picture of the input and writes it to standard output as PNG.
pub fn first_picture(input: Input) -> Result<(), String> {
    let picture = decode_first(input)?;
    let png =
        encode_png(&picture).map_err(|error| format!("cannot encode the picture: {error}"))?;
    std::io::stdout()
        .lock()
        .write_all(&png)
        .map_err(|error| format!("cannot write the picture: {error}"))
}

fn decode_first(mut input: Input) -> Result<Video, String> {
    let failed = |error| format!("cannot decode the picture: {error}");
    let stream = input
        .streams()
        .best(media::Type::Video)
        .ok_or("there is no picture in standard input")?;
    let index = stream.index();
    let mut decoder = codec::context::Context::from_parameters(stream.parameters())
        .and_then(|context| context.decoder().video())
        .map_err(failed)?;
    let mut picture = Video::empty();
    for (stream, packet) in input.packets() {
        if stream.index() != index {
            continue;
        }
        decoder.send_packet(&packet).map_err(failed)?;
        if decoder.receive_frame(&mut picture).is_ok() {
            return Ok(picture);
        }
    }
    decoder.send_eof().map_err(failed)?;
    decoder.receive_frame(&mut picture).map_err(failed)?;
    Ok(picture)
}

fn encode_png(picture: &Video) -> Result<Vec<u8>, ffmpeg_next::Error> {
    let (width, height) = (picture.width(), picture.height());
    let mut rgb = Video::empty();
    scaling::Context::get(
        picture.format(),
        width,
        height,
        Pixel::RGB24,
        width,
        height,
        scaling::Flags::BILINEAR,
    )?
    .run(picture, &mut rgb)?;

    let png = encoder::find(codec::Id::PNG).ok_or(ffmpeg_next::Error::EncoderNotFound)?;
    let mut settings = codec::context::Context::new_with_codec(png)
        .encoder()
        .video()?;
    settings.set_width(width);
    settings.set_height(height);
    settings.set_format(Pixel::RGB24);
    settings.set_time_base(Rational(1, 1));
    let mut encoder = settings.open_as(png)?;
    encoder.send_frame(&rgb)?;
    encoder.send_eof()?;
    let mut packet = ffmpeg_next::Packet::empty();
    encoder.receive_packet(&mut packet)?;
    Ok(packet.data().unwrap_or_default().to_vec())
}
