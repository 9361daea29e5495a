//! Fields one after another: four bytes of length (little-endian, as WASM is) and the bytes. Numbers are f64, which holds
//! microseconds since 1970 exactly for 285 years.

use crate::Failure;
use zeroize::Zeroizing;

/// Reads the fields of a call, in order.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(given: &'a [u8]) -> Self {
        Self { rest: given }
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Failure> {
        let (length, rest) = self.rest.split_first_chunk::<4>().ok_or_else(cut_short)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (field, rest) = rest.split_at_checked(length).ok_or_else(cut_short)?;
        self.rest = rest;
        Ok(field)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        self.bytes()?.try_into().map_err(|_| cut_short())
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Failure> {
        std::str::from_utf8(self.bytes()?).map_err(|_| cut_short())
    }

    pub(crate) fn number(&mut self) -> Result<f64, Failure> {
        self.array().map(f64::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Failure> {
        let number = self.number()?;
        if number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number) {
            Ok(number as u32)
        } else {
            Err("a number is out of bounds".into())
        }
    }
}

fn cut_short() -> Failure {
    "what the page handed to WASM is malformed".into()
}

/// Collects the fields of an answer. What it grows out of is wiped: some answers hold secrets.
#[derive(Default)]
pub(crate) struct Answer {
    bytes: Zeroizing<Vec<u8>>,
}

impl Answer {
    pub(crate) fn bytes(&mut self, field: &[u8]) -> &mut Self {
        let length = u32::try_from(field.len()).expect("a field is far below 4 GiB");
        let wanted = self.bytes.len() + 4 + field.len();
        if wanted > self.bytes.capacity() {
            let mut grown = Zeroizing::new(Vec::with_capacity(wanted * 2));
            grown.extend_from_slice(&self.bytes);
            self.bytes = grown;
        }
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(field);
        self
    }

    pub(crate) fn text(&mut self, field: &str) -> &mut Self {
        self.bytes(field.as_bytes())
    }

    pub(crate) fn number(&mut self, field: f64) -> &mut Self {
        self.bytes(&field.to_le_bytes())
    }

    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        std::mem::take(&mut *self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reads_as_fields() {
        let mut answer = Answer::default();
        answer.text("front door").number(-1.5).bytes(&[7; 16]);
        let bytes = answer.into_bytes();
        let mut fields = Fields::new(&bytes);
        assert_eq!(fields.text(), Ok("front door"));
        assert_eq!(fields.number(), Ok(-1.5));
        assert_eq!(fields.array(), Ok([7; 16]));
        assert!(fields.bytes().is_err());
        assert!(Fields::new(&bytes[..6]).bytes().is_err());
    }
}
