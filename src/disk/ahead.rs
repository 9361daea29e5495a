//! Reading a file in a thread of its own, ahead of who works on it: where a disk is read one file at a time, reading and work take turns
//! otherwise, and a fast disk waits for the work. While the end of one is worked on, the next one is read.

use std::cell::RefCell;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hearthkeep_format::segment::ReadAt;

use super::{Front, Pace, Sequential};

const PIECE_BYTES: u64 = 1 << 20;
/// So many wait for who works on them.
const PIECES: usize = 4;

/// Whose turn it is to read a disk that is read one file at a time.
#[derive(Debug, Default)]
pub struct Turn {
    reading: Mutex<()>,
    /// What was worked on, to be filled again: memory that was never used costs the kernel about as much time as filling it. No more than
    /// are between readers and work at once.
    used: Mutex<Vec<Vec<u8>>>,
}

impl Turn {
    fn used(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does some work on a file that is read from its first byte on meanwhile, as soon as it has its turn. What is asked for elsewhere is read as it is asked for.
pub fn read_ahead<T>(
    front: &Front,
    pace: &Pace<'_>,
    turn: &Turn,
    work: impl FnOnce(&dyn ReadAt) -> T,
) -> T {
    let file = Sequential::steady(front, pace);
    std::thread::scope(|scope| {
        let (send, pieces) = sync_channel(PIECES);
        let source = &file;
        scope.spawn(move || {
            let reading = turn.reading.lock();
            read_all(source, turn, &send);
            drop(reading);
        });
        // Where the work ends before the file does, so does reading: nobody takes another piece.
        work(&Ahead {
            file: &file,
            turn,
            at: RefCell::new(At {
                pieces: Some(pieces),
                begin: 0,
                piece: Vec::new(),
            }),
        })
    })
}

fn read_all(file: &Sequential<'_>, turn: &Turn, pieces: &SyncSender<Vec<u8>>) {
    let mut at = 0;
    while at < file.size() {
        let length = PIECE_BYTES.min(file.size() - at);
        let mut piece = turn.used().pop().unwrap_or_default();
        piece.resize(length as usize, 0);
        // Who works on it asks for it again, and for as much as is wanted: then it is known what cannot be read.
        if file.read_at(at, &mut piece).is_err() || pieces.send(piece).is_err() {
            return;
        }
        at += length;
    }
}

/// A file, some of which was read already.
struct Ahead<'a> {
    file: &'a Sequential<'a>,
    turn: &'a Turn,
    at: RefCell<At>,
}

/// Where it is.
struct At {
    /// What comes next; `None` once nothing does.
    pieces: Option<Receiver<Vec<u8>>>,
    /// Where the piece begins that came last.
    begin: u64,
    piece: Vec<u8>,
}

impl At {
    fn end(&self) -> u64 {
        self.begin + self.piece.len() as u64
    }

    /// As many bytes from `offset` on as the piece has in which they are; none where they are not to come.
    fn take(&mut self, turn: &Turn, offset: u64, buffer: &mut [u8]) -> usize {
        // The tail may be looked at first: that is no reason to let go of all before it.
        while offset >= self.end() && offset < self.end() + PIECE_BYTES {
            let Some(piece) = self.pieces.as_ref().and_then(|pieces| pieces.recv().ok()) else {
                self.pieces = None;
                return 0;
            };
            self.begin = self.end();
            turn.used().push(std::mem::replace(&mut self.piece, piece));
        }
        let within = offset.checked_sub(self.begin);
        let from = within.and_then(|from| usize::try_from(from).ok());
        let rest = from.and_then(|from| self.piece.get(from..)).unwrap_or(&[]);
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        length
    }
}

impl ReadAt for Ahead<'_> {
    fn size(&self) -> u64 {
        self.file.size()
    }

    fn read_at(&self, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            let taken = self.at.borrow_mut().take(self.turn, offset, buffer);
            if taken == 0 {
                return self.file.read_at(offset, buffer);
            }
            offset += taken as u64;
            buffer = &mut buffer[taken..];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use proptest::prelude::*;

    use super::*;
    use crate::disk::{Disk, RealDisk};

    fn with_file<T>(bytes: &[u8], work: impl FnOnce(&Front) -> T) -> T {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), bytes).unwrap();
        let disk = RealDisk::open(folder.path()).unwrap();
        let file = disk.open_read(std::path::Path::new("file")).unwrap();
        work(&Front::whole(file).unwrap())
    }

    fn bytes(count: usize) -> Vec<u8> {
        (0..count as u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn whatever_is_asked_for_is_what_the_file_has(
            asked in prop::collection::vec((0usize..5 << 20, 0usize..3 << 20), 1..12),
            in_order: bool,
        ) {
            let bytes = bytes((4 << 20) + 777);
            let mut asked = asked;
            if in_order {
                asked.sort_unstable();
            }
            with_file(&bytes, |front| {
                read_ahead(front, &|_| Ok(()), &Turn::default(), |file| {
                    for (from, length) in asked {
                        let from = from.min(bytes.len());
                        let length = length.min(bytes.len() - from);
                        let mut read = vec![0; length];
                        file.read_at(from as u64, &mut read).unwrap();
                        assert!(read == bytes[from..from + length], "{length} bytes from {from}");
                    }
                });
            });
        }
    }

    #[test]
    fn who_reads_in_order_has_each_byte_read_once_and_who_stops_has_no_more_read() {
        let bytes = bytes(12 << 20);
        with_file(&bytes, |front| {
            let paced = AtomicU64::new(0);
            let pace = |bytes: u64| {
                paced.fetch_add(bytes, Ordering::Relaxed);
                Ok(())
            };
            let mut read = vec![0; bytes.len()];
            read_ahead(front, &pace, &Turn::default(), |file| {
                for (nth, part) in read.chunks_mut(250_001).enumerate() {
                    file.read_at(nth as u64 * 250_001, part).unwrap();
                }
            });
            assert!(read == bytes);
            assert_eq!(paced.swap(0, Ordering::Relaxed), 12 << 20);
            read_ahead(front, &pace, &Turn::default(), |file| {
                file.read_at(0, &mut [0; 9]).unwrap()
            });
            assert!(paced.load(Ordering::Relaxed) <= (PIECES as u64 + 2) << 20);
        });
    }

    #[test]
    fn an_end_of_reading_is_told_to_who_works() {
        with_file(&bytes(3 << 20), |front| {
            let pace = |_| Err(io::ErrorKind::Interrupted.into());
            let read = read_ahead(front, &pace, &Turn::default(), |file| {
                file.read_at(0, &mut [0; 9])
            });
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::Interrupted);
        });
    }
}
