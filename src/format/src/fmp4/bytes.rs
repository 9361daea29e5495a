//! Reading boxes with bounds and offsets, and writing them in place.

use super::{Error, Result};

/// A box's type: four characters.
pub(crate) type FourCc = [u8; 4];

/// A cursor over bytes that knows where in the whole input it stands.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
}

/// One box that lies completely in the input.
pub(crate) struct BoxView<'a> {
    pub kind: FourCc,
    /// Where its header begins in the whole input.
    pub offset: usize,
    /// Its content, after the header.
    pub body: Reader<'a>,
}

impl<'a> Reader<'a> {
    pub fn new(input: &'a [u8]) -> Self {
        Self {
            rest: input,
            offset: 0,
        }
    }

    /// Where the next byte stands in the whole input.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn malformed(&self, what: &'static str) -> Error {
        Error::Malformed {
            offset: self.offset,
            what,
        }
    }

    pub fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(Error::Truncated {
                offset: self.offset,
                what,
            });
        };
        self.rest = rest;
        self.offset += count;
        Ok(taken)
    }

    /// A reader over just the next `count` bytes.
    pub fn sub(&mut self, count: usize, what: &'static str) -> Result<Reader<'a>> {
        let offset = self.offset;
        Ok(Reader {
            rest: self.take(count, what)?,
            offset,
        })
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N]> {
        let taken = self.take(N, what)?;
        Ok(taken
            .try_into()
            .expect("take returns as many bytes as asked for"))
    }

    pub fn u8(&mut self, what: &'static str) -> Result<u8> {
        Ok(self.array::<1>(what)?[0])
    }

    pub fn u16(&mut self, what: &'static str) -> Result<u16> {
        Ok(u16::from_be_bytes(self.array(what)?))
    }

    pub fn u32(&mut self, what: &'static str) -> Result<u32> {
        Ok(u32::from_be_bytes(self.array(what)?))
    }

    pub fn u64(&mut self, what: &'static str) -> Result<u64> {
        Ok(u64::from_be_bytes(self.array(what)?))
    }

    /// The version and flags that begin every full box (section 4.2).
    pub fn version_and_flags(&mut self, what: &'static str) -> Result<(u8, u32)> {
        let word = self.u32(what)?;
        Ok(((word >> 24) as u8, word & 0x00ff_ffff))
    }

    /// The next box, or `None` at the end (section 4.2). A box "to the end of the file" is refused:
    /// nothing that this crate reads has one, and it would make every cut look whole.
    pub fn next_box(&mut self) -> Result<Option<BoxView<'a>>> {
        if self.is_empty() {
            return Ok(None);
        }
        let offset = self.offset;
        let mut ahead = *self;
        let short_size = ahead.u32("a box header")?;
        let kind = ahead.array("a box header")?;
        let size = match short_size {
            1 => ahead.u64("a box's 64-bit size")?,
            size => u64::from(size),
        };
        let header_size = ahead.offset - offset;
        let body_size = usize::try_from(size)
            .ok()
            .and_then(|size| size.checked_sub(header_size))
            .ok_or(Error::Malformed {
                offset,
                what: "a box's size is smaller than its header",
            })?;
        let body_offset = ahead.offset;
        let body = ahead.take(body_size, "a box")?;
        *self = ahead;
        Ok(Some(BoxView {
            kind,
            offset,
            body: Reader {
                rest: body,
                offset: body_offset,
            },
        }))
    }

    /// The content of the only child of that kind; others are skipped.
    ///
    /// # Errors
    /// [`Error::MissingBox`] without one, [`Error::Malformed`] with two or with a broken neighbour.
    pub fn only_child(&self, kind: &'static str) -> Result<Reader<'a>> {
        self.optional_child(kind)?.ok_or(Error::MissingBox {
            offset: self.offset,
            kind,
        })
    }

    /// Like [`Self::only_child`] for a box that need not be there.
    pub fn optional_child(&self, kind: &'static str) -> Result<Option<Reader<'a>>> {
        let mut found = None;
        let mut children = *self;
        while let Some(child) = children.next_box()? {
            if child.kind == kind.as_bytes() && found.replace(child.body).is_some() {
                return Err(Error::Malformed {
                    offset: child.offset,
                    what: "a box stands twice",
                });
            }
        }
        Ok(found)
    }
}

/// Appends a box whose content `write` appends, and fills in its size afterwards.
pub(crate) fn write_box(out: &mut Vec<u8>, kind: &FourCc, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(kind);
    write(out);
    let size = u32::try_from(out.len() - start).expect("a box other than mdat stays below 4 GiB");
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
}

/// Appends the version and flags of a full box.
pub(crate) fn put_version_and_flags(out: &mut Vec<u8>, version: u8, flags: u32) {
    put_u32(out, u32::from(version) << 24 | flags);
}

pub(crate) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_nest_and_know_their_offsets() {
        let mut out = Vec::new();
        write_box(&mut out, b"free", |_| {});
        write_box(&mut out, b"outr", |out| {
            write_box(out, b"innr", |out| put_u32(out, 7))
        });
        let mut reader = Reader::new(&out);
        assert_eq!(reader.next_box().unwrap().unwrap().kind, *b"free");
        let outer = reader.next_box().unwrap().unwrap();
        assert_eq!(outer.offset, 8);
        let mut inner = outer.body.only_child("innr").unwrap();
        assert_eq!(inner.offset(), 24);
        assert_eq!(inner.u32("value").unwrap(), 7);
        assert!(reader.next_box().unwrap().is_none());
    }

    #[test]
    fn a_box_longer_than_the_input_is_truncated_and_a_shorter_one_malformed() {
        let cut = Reader::new(b"\0\0\0\x10free\0\0").next_box();
        assert!(matches!(cut, Err(Error::Truncated { offset: 8, .. })));
        let small = Reader::new(b"\0\0\0\x07free").next_box();
        assert!(matches!(small, Err(Error::Malformed { offset: 0, .. })));
        let to_the_end = Reader::new(b"\0\0\0\0free").next_box();
        assert!(matches!(
            to_the_end,
            Err(Error::Malformed { offset: 0, .. })
        ));
        let large = Reader::new(b"\0\0\0\x01free\xff\xff\xff\xff\xff\xff\xff\xff").next_box();
        assert!(large.is_err());
    }

    #[test]
    fn a_child_may_not_stand_twice() {
        let mut out = Vec::new();
        write_box(&mut out, b"free", |_| {});
        write_box(&mut out, b"free", |_| {});
        assert!(matches!(
            Reader::new(&out).only_child("free"),
            Err(Error::Malformed { offset: 8, .. })
        ));
        assert_eq!(
            Reader::new(&out).only_child("moov").map(|_| ()),
            Err(Error::MissingBox {
                offset: 0,
                kind: "moov"
            })
        );
    }
}
