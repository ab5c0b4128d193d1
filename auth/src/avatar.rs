//! A picture of a user, and which bytes are one. No input or output.

use chassis::status::Violation;
use sha2::{Digest, Sha256};

/// Bytes of a picture.
pub(crate) const MAX_BYTES: usize = 1 << 20;

const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Length, type and checksum of a PNG chunk.
const PNG_FRAME: usize = 12;

/// What a picture is, by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MediaType {
    Png,
    Jpeg,
}

impl MediaType {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
        }
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        [(Self::Png, is_png(bytes)), (Self::Jpeg, is_jpeg(bytes))].into_iter().find_map(|(kind, is_it)| is_it.then_some(kind))
    }
}

/// A picture that may be stored.
pub(crate) struct Picture {
    pub(crate) media_type: MediaType,
    pub(crate) bytes: Vec<u8>,
    pub(crate) sha256: [u8; 32],
}

impl Picture {
    pub(crate) fn new(bytes: Vec<u8>) -> Result<Self, Violation> {
        if bytes.len() > MAX_BYTES {
            return Err(too_large());
        }
        let media_type = MediaType::of(&bytes).ok_or_else(|| Violation::new("chunk", "must be a whole PNG or JPEG picture"))?;
        Ok(Self { media_type, sha256: Sha256::digest(&bytes).into(), bytes })
    }
}

pub(crate) fn too_large() -> Violation {
    Violation::new("chunk", format!("must be {MAX_BYTES} bytes at most, all chunks together"))
}

/// The signature, an IHDR, and chunk after chunk up to an IEND that ends it. <https://www.w3.org/TR/png-3/>
fn is_png(bytes: &[u8]) -> bool {
    let Some(mut rest) = bytes.strip_prefix(PNG_SIGNATURE) else { return false };
    let mut is_first = true;
    while let Some((length, kind)) = png_chunk(rest) {
        if is_first && (kind != b"IHDR" || length != 13) {
            return false;
        }
        is_first = false;
        rest = match rest.split_at_checked(length + PNG_FRAME) {
            Some((_, rest)) if kind == b"IEND" => return rest.is_empty(),
            Some((_, rest)) => rest,
            None => return false,
        };
    }
    false
}

/// Length of the data, and type, of the chunk that comes next.
fn png_chunk(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let length = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?);
    Some((usize::try_from(length).ok()?, bytes.get(4..8)?))
}

/// From the start of image, which another marker follows, to the end of image. ITU-T T.81, annex B.
fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.len() > 4 && bytes.starts_with(b"\xff\xd8\xff") && bytes.ends_with(b"\xff\xd9")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(kind: &[u8], data: &[u8]) -> Vec<u8> {
        [&u32::try_from(data.len()).unwrap().to_be_bytes()[..], kind, data, &[0; 4]].concat()
    }

    fn png() -> Vec<u8> {
        [PNG_SIGNATURE, &chunk(b"IHDR", &[0; 13]), &chunk(b"IDAT", &[7; 100]), &chunk(b"IEND", b"")].concat()
    }

    fn kind(bytes: &[u8]) -> Option<MediaType> {
        Picture::new(bytes.to_vec()).ok().map(|picture| picture.media_type)
    }

    #[test]
    fn a_picture_is_told_by_its_content_and_is_whole() {
        let jpeg = b"\xff\xd8\xff\xe0 whatever \xff\xd9".to_vec();
        assert_eq!((kind(&png()), kind(&jpeg)), (Some(MediaType::Png), Some(MediaType::Jpeg)));
        for whole in [png(), jpeg] {
            for length in 0..whole.len() {
                assert_eq!(kind(&whole[..length]), None, "the first {length} bytes");
            }
            assert_eq!(kind(&[whole, vec![0]].concat()), None);
        }
    }

    #[test]
    fn what_only_begins_like_a_picture_is_none() {
        let headless = [PNG_SIGNATURE, &chunk(b"IDAT", &[0; 13]), &chunk(b"IEND", b"")].concat();
        let odd_header = [PNG_SIGNATURE, &chunk(b"IHDR", &[0; 12]), &chunk(b"IEND", b"")].concat();
        let endless = [PNG_SIGNATURE, &u32::MAX.to_be_bytes(), b"IHDR"].concat();
        for bytes in [&headless[..], &odd_header, &endless, b"\xff\xd8\xff\xd9", b"GIF89a", b"<svg xmlns=\"x\"/>", b"%PDF-1.7"] {
            assert_eq!(kind(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_picture_of_a_mebibyte_is_not_too_large() {
        let framed = |length: usize| [b"\xff\xd8\xff".to_vec(), vec![0; length - 5], b"\xff\xd9".to_vec()].concat();
        assert_eq!(kind(&framed(MAX_BYTES)), Some(MediaType::Jpeg));
        assert_eq!(kind(&framed(MAX_BYTES + 1)), None);
    }
}
