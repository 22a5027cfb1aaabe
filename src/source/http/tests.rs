//! The logic alone, against a transport in memory; `tests/remote.rs` has a real server.

use super::*;
use proptest::prelude::*;
use std::cell::RefCell;

/// Answers ranges of a file, and records what was requested.
struct Memory {
    file: Vec<u8>,
    asked: Rc<RefCell<Vec<String>>>,
    /// The headers that a browser shows to a page without permission to see more.
    hides: bool,
}

struct Bytes(Vec<u8>);

impl Body for Bytes {
    async fn read(self, most: u64) -> Result<Vec<u8>, Problem> {
        Ok(self.0.into_iter().take(most as usize).collect())
    }
}

impl Transport for Memory {
    type Body = Bytes;

    async fn send(&self, request: Request<'_>) -> Result<(Head, Bytes), Problem> {
        let asked = request.range.map_or_else(|| format!("{:?}", request.method), str::to_owned);
        self.asked.borrow_mut().push(asked);
        let length = self.file.len();
        let header = |name: &str, value: String| (name.to_owned(), value);
        let Some(range) = request.range else {
            return Ok((
                Head { status: 200, headers: vec![header("content-length", length.to_string())] },
                Bytes(vec![]),
            ));
        };
        let (first, last) = range.trim_start_matches("bytes=").split_once('-').unwrap();
        let Ok(last) = last.parse::<usize>() else {
            return Ok((Head { status: 200, headers: vec![] }, Bytes(vec![])));
        };
        let (first, last) = (first.parse::<usize>().unwrap(), last.min(length - 1));
        let body = self.file[first..=last].to_vec();
        let mut headers = vec![header("content-length", body.len().to_string())];
        if !self.hides {
            headers.push(header("content-range", format!("bytes {first}-{last}/{length}")));
        }
        Ok((Head { status: 206, headers }, Bytes(body)))
    }

    async fn wait(&self, _: Duration) {}
}

fn source(length: usize, guess: u64, hides: bool) -> (HttpSource<Memory>, Rc<RefCell<Vec<String>>>) {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let file = (0..length).map(|at| (at % 251) as u8).collect();
    let session = Session::new(Memory { file, asked: asked.clone(), hides }, "test".to_owned());
    let place = Place { url: Url::parse("https://h.org/m").unwrap(), token: None };
    let source = pollster::block_on(HttpSource::open(session, place, "m".to_owned(), guess)).unwrap();
    (source, asked)
}

fn read(source: &HttpSource<Memory>, range: Range<u64>) -> Vec<u8> {
    pollster::block_on(source.read(range)).unwrap()
}

#[test]
fn what_was_read_is_not_asked_for_again() {
    let (source, asked) = source(100_000, 1000, false);
    assert_eq!(source.length(), 100_000);
    read(&source, 0..8);
    read(&source, 8..1000);
    assert_eq!(*asked.borrow(), ["bytes=0-999"]);
    read(&source, 50_000..50_010);
    read(&source, 50_002..50_008);
    assert_eq!(*asked.borrow(), ["bytes=0-999", "bytes=50000-50009"]);
}

#[test]
fn who_walks_on_from_the_start_gets_ever_larger_pieces() {
    let (source, asked) = source(1_000_000, 1000, false);
    for step in 0..2000 {
        read(&source, step * 100..(step + 1) * 100);
    }
    assert_eq!(asked.borrow().len(), 6, "{:?}", asked.borrow());
}

#[test]
fn a_file_shorter_than_the_guess_is_read_whole_at_once() {
    for hides in [false, true] {
        let (source, asked) = source(300, 1000, hides);
        assert_eq!((source.length(), read(&source, 0..300).len()), (300, 300));
        assert_eq!(asked.borrow().len(), 1);
    }
}

#[test]
fn a_length_that_the_browser_hides_is_asked_for_by_head() {
    let (source, asked) = source(100_000, 1000, true);
    assert_eq!(source.length(), 100_000);
    assert_eq!(*asked.borrow(), ["bytes=0-999", "Head"]);
    assert_eq!(read(&source, 99_000..99_010).len(), 10);
}

#[test]
fn a_token_is_never_printed() {
    let token = Token::new(" hf_secret\n").unwrap();
    assert_eq!((token.reveal(), format!("{token:?}").as_str()), ("hf_secret", "…"));
    for wrong in ["", "  ", "two words", "new\nline", "é"] {
        assert_eq!(Token::new(wrong), None);
    }
}

proptest! {
    #[test]
    fn however_reads_are_joined_each_gives_its_own_bytes(
        starts in prop::collection::vec((0u64..2_000_000, 1u64..3000), 1..40)
    ) {
        let (source, asked) = source(2_100_000, 1000, false);
        let ranges: Vec<Range<u64>> = starts.into_iter().map(|(start, length)| start..start + length).collect();
        pollster::block_on(source.read_many(&ranges, |index, bytes| {
            let expected: Vec<u8> = ranges[index].clone().map(|at| (at % 251) as u8).collect();
            assert_eq!(bytes.unwrap(), expected);
        }));
        prop_assert!(asked.borrow().len() <= ranges.len() + 2);
    }
}
