//! Reads a pickle without running it. Protocols 0 to 5 describe a small machine with a stack and a memo. The machine here turns what
//! torch.save writes (dictionaries, lists, texts, whole numbers, tensors and their storages) into data, and everything else into an
//! opaque object. It calls nothing and imports nothing: a global is a name, and the few functions in `known.rs` are read as what they
//! stand for.
//!
//! Values are in one list and refer to each other by index, so a shared value is stored once, at any depth. Each operation adds
//! at most one value, and the values, the stack and the memo have limits.
//!
//! We do not use the crate `pytorch-reader` 0.22: its parser is private and its reader wants the whole file or a path. Here, the
//! pickle is read apart from the storages, also over a network. The crate also refuses a whole file for one quantised tensor, and
//! copies values that a memo shares.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::PickleProblem;
use super::known::{Global, Known, Shape};
use std::collections::HashMap;

/// Most values of one pickle: a model of 100,000 tensors has about a million.
const MAX_VALUES: usize = 1 << 22;

/// Most values, or names in the memo, at the beginning of a pickle.
const FEW: usize = 200_000;

/// One more value is allowed for every this many bytes. A value takes about fifty bytes of memory, and an operation of one byte can
/// make one. torch.save writes about fifteen for a tensor, in 150 bytes.
const BYTES_A_VALUE: usize = 12;

/// Most values on the stack at the beginning of a pickle. One more is allowed for every eight bytes.
const FEW_ON_STACK: usize = 1 << 20;
const BYTES_ON_STACK: usize = 8;

/// Most marks on the stack: one for each container inside another.
const MAX_MARKS: usize = 1 << 18;

/// Values that lie beside each other in memory. One list of all values would be copied as it grows, which takes three times the memory.
const CHUNK: usize = 4096;

/// The longest line of protocol 0: a name, a number or a text.
const MAX_LINE: usize = 1 << 16;

/// Dimensions of a tensor, at most; PyTorch has no more.
const MAX_DIMENSIONS: usize = 64;

/// The place of a value in the machine's list.
pub(super) type Id = u32;

const NONE: Id = 0;
const TRUE: Id = 1;
const FALSE: Id = 2;
/// A value that nothing uses: bytes, a long number.
const OPAQUE: Id = 3;
const FIRST_SMALL: Id = 4;
/// Whole numbers below this are shared.
const SMALL: i64 = 256;

/// A value that a pickle describes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// `None`, a truth value, or a value that nothing uses.
    Opaque,
    Int(i64),
    Float(f64),
    Text(Box<str>),
    Tuple(Box<[Id]>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function, by its place in [`Machine::globals`].
    Global(u32),
    Storage(Box<Storage>),
    Tensor(Box<View>),
    /// An instance of a class that is not known, with the state it would be given.
    Object {
        class: Option<u32>,
        state: Option<Id>,
    },
}

/// One block of numbers, of which tensors are views.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Storage {
    pub(super) key: Box<str>,
    /// PyTorch's name of the element type; `None` for bytes without one.
    pub(super) kind: Option<&'static str>,
    /// Number of elements, or of bytes if there is no type.
    pub(super) count: u64,
    /// First element and number of elements of a part of the storage; written before PyTorch 0.4 only.
    pub(super) part: Option<(u64, u64)>,
}

/// A tensor: a view of a storage, or why it has no values here.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    pub(super) storage: Result<Storage, &'static str>,
    /// PyTorch's name of the element type, if the storage has none.
    pub(super) kind: Option<Box<str>>,
    /// First element in the storage.
    pub(super) offset: u64,
    /// Dimensions, outermost first.
    pub(super) shape: Vec<u64>,
    /// Elements from one index to the next, for each dimension.
    pub(super) strides: Vec<u64>,
}

/// The result of running a machine on the bytes that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The value of the pickle; it ends before this byte.
    Done(Id, usize),
    /// The bytes end inside an operation.
    More,
}

/// Why an operation was not done.
enum Halt {
    /// The bytes end inside it.
    More,
    Problem(PickleProblem),
}

impl From<PickleProblem> for Halt {
    fn from(problem: PickleProblem) -> Self {
        Self::Problem(problem)
    }
}

/// The bytes after the code of an operation.
struct Arguments<'a> {
    bytes: &'a [u8],
    used: usize,
}

impl<'a> Arguments<'a> {
    fn take(&mut self, count: u64) -> Result<&'a [u8], Halt> {
        let left = &self.bytes[self.used..];
        let count = usize::try_from(count).ok().filter(|count| *count <= left.len()).ok_or(Halt::More)?;
        self.used = self.used.saturating_add(count);
        Ok(&left[..count])
    }

    /// A little-endian number of `N` bytes.
    fn number<const N: usize>(&mut self) -> Result<u64, Halt> {
        let mut bytes = [0; 8];
        bytes[..N].copy_from_slice(self.take(N as u64)?);
        Ok(u64::from_le_bytes(bytes))
    }

    /// Reads up to the end of the line, without it.
    fn line(&mut self) -> Result<&'a [u8], Halt> {
        let left = &self.bytes[self.used..];
        let longest = &left[..left.len().min(MAX_LINE)];
        let Some(end) = longest.iter().position(|byte| *byte == b'\n') else {
            return Err(if left.len() >= MAX_LINE { PickleProblem::LongLine.into() } else { Halt::More });
        };
        self.used = self.used.saturating_add(end).saturating_add(1);
        Ok(&left[..end])
    }
}

/// The values of a machine, in chunks.
#[derive(Debug, Default)]
struct Values {
    chunks: Vec<Vec<Value>>,
}

impl Values {
    fn len(&self) -> usize {
        let last = self.chunks.last().map_or(0, Vec::len);
        self.chunks.len().saturating_sub(1).saturating_mul(CHUNK).saturating_add(last)
    }

    fn push(&mut self, value: Value) {
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(value),
            _ => self.chunks.push(vec![value]),
        }
    }

    fn at(&self, id: Id) -> &Value {
        &self.chunks[id as usize / CHUNK][id as usize % CHUNK]
    }

    fn at_mut(&mut self, id: Id) -> &mut Value {
        &mut self.chunks[id as usize / CHUNK][id as usize % CHUNK]
    }
}

/// The machine. It can run as the bytes come.
#[derive(Debug)]
pub(super) struct Machine {
    values: Values,
    stack: Vec<Id>,
    /// The height of the stack at each mark.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    /// How often `getattr` was on the stack and did not read a member of an enumeration.
    loose: usize,
    /// Each global that was named, once.
    pub(super) globals: Vec<Global>,
    places: HashMap<Global, Id>,
    /// The byte of the next operation.
    at: usize,
}

impl Default for Machine {
    fn default() -> Self {
        let mut values = Values::default();
        let opaque = std::iter::repeat_n(Value::Opaque, FIRST_SMALL as usize);
        opaque.chain((0..SMALL).map(Value::Int)).for_each(|value| values.push(value));
        Self {
            values,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            loose: 0,
            globals: Vec::new(),
            places: HashMap::new(),
            at: 0,
        }
    }
}

impl Machine {
    /// The value at a place.
    pub(super) fn value(&self, id: Id) -> &Value {
        self.values.at(id)
    }

    /// Number of values, for a list beside them.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Bytes of the pickle that have been read.
    pub(super) fn bytes(&self) -> usize {
        self.at
    }

    /// A text.
    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.value(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number.
    pub(super) fn int(&self, id: Id) -> Option<i64> {
        match self.value(id) {
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// A number.
    pub(super) fn float(&self, id: Id) -> Option<f64> {
        match self.value(id) {
            Value::Float(value) => Some(*value),
            Value::Int(value) => Some(*value as f64),
            _ => None,
        }
    }

    /// A truth value.
    pub(super) fn truth(&self, id: Id) -> Option<bool> {
        match id {
            TRUE => Some(true),
            FALSE => Some(false),
            _ => None,
        }
    }

    /// The members of a tuple or list.
    pub(super) fn members(&self, id: Id) -> Option<&[Id]> {
        match self.value(id) {
            Value::Tuple(members) => Some(members),
            Value::List(members) => Some(members),
            _ => None,
        }
    }

    /// Whether a value is `False`.
    pub(super) fn is_false(&self, id: Id) -> bool {
        id == FALSE
    }

    /// Runs operations up to the end of the pickle or of the bytes. `bytes` begin with the pickle, and each call may bring more
    /// of it.
    pub(super) fn run(&mut self, bytes: &[u8]) -> Result<Outcome, (usize, PickleProblem)> {
        while let Some((&code, rest)) = bytes.get(self.at..).and_then(<[u8]>::split_first) {
            let next = self.at.saturating_add(1);
            let mut arguments = Arguments { bytes: rest, used: 0 };
            if code == b'.' {
                let value = self.pop().map_err(|problem| (self.at, problem))?;
                // Only the values are read from here on.
                self.stack = Vec::new();
                self.marks = Vec::new();
                self.memo = HashMap::new();
                return Ok(Outcome::Done(value, next));
            }
            match self.step(code, &mut arguments) {
                Ok(()) => self.at = next.saturating_add(arguments.used),
                Err(Halt::More) => return Ok(Outcome::More),
                Err(Halt::Problem(problem)) => return Err((self.at, problem)),
            }
        }
        Ok(Outcome::More)
    }

    /// Makes the machine ready for the pickle that follows in another list of bytes.
    pub(super) fn restart(&mut self) {
        self.stack.clear();
        self.marks.clear();
        self.memo.clear();
        self.at = 0;
    }

    /// Runs one operation. It takes all of its arguments before anything changes, so that it can be tried again with more bytes.
    fn step(&mut self, code: u8, arguments: &mut Arguments<'_>) -> Result<(), Halt> {
        match code {
            // The protocol, and the length of a frame.
            0x80 => _ = arguments.take(1)?,
            0x95 => _ = arguments.take(8)?,
            b'(' => {
                within(self.marks.len(), MAX_MARKS)?;
                self.marks.push(self.stack.len());
            }
            b'0' => {
                // A mark may be popped as well.
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop()?;
                }
            }
            b'1' => _ = self.marked()?,
            b'2' => {
                let top = self.top()?;
                self.push(top)?;
            }
            b'N' => self.push(NONE)?,
            0x88 => self.push(TRUE)?,
            0x89 => self.push(FALSE)?,
            b'I' => {
                let line = arguments.line()?;
                let value = match line {
                    b"00" => FALSE,
                    b"01" => TRUE,
                    _ => self.whole(decimal(line)?)?,
                };
                self.push(value)?;
            }
            b'L' => {
                let line = arguments.line()?;
                let value = self.whole(decimal(line.strip_suffix(b"L").unwrap_or(line))?)?;
                self.push(value)?;
            }
            b'J' => {
                let value = arguments.number::<4>()? as u32 as i32;
                self.push_whole(value.into())?;
            }
            b'K' => {
                let value = arguments.number::<1>()?;
                self.push_whole(value as i64)?;
            }
            b'M' => {
                let value = arguments.number::<2>()?;
                self.push_whole(value as i64)?;
            }
            0x8a => {
                let length = arguments.number::<1>()?;
                let bytes = arguments.take(length)?;
                self.push_long(bytes)?;
            }
            0x8b => {
                let length = arguments.number::<4>()?;
                let bytes = arguments.take(length)?;
                self.push_long(bytes)?;
            }
            b'F' => {
                let text = std::str::from_utf8(arguments.line()?).ok();
                self.push_float(text.and_then(|text| text.parse().ok()).unwrap_or(f64::NAN))?;
            }
            b'G' => {
                let value = f64::from_bits(arguments.number::<8>()?.swap_bytes());
                self.push_float(value)?;
            }
            // Texts: of protocol 0, and with a length of 1, 4 and 8 bytes.
            b'V' => {
                let line = arguments.line()?;
                self.push_text(&unescaped(line))?;
            }
            0x8c => {
                let length = arguments.number::<1>()?;
                let bytes = arguments.take(length)?;
                self.push_text(&String::from_utf8_lossy(bytes))?;
            }
            b'X' => {
                let length = arguments.number::<4>()?;
                let bytes = arguments.take(length)?;
                self.push_text(&String::from_utf8_lossy(bytes))?;
            }
            0x8d => {
                let length = arguments.number::<8>()?;
                let bytes = arguments.take(length)?;
                self.push_text(&String::from_utf8_lossy(bytes))?;
            }
            // Texts of Python 2.
            b'S' => {
                let line = arguments.line()?;
                self.push_text(&String::from_utf8_lossy(unquoted(line)))?;
            }
            b'U' => {
                let length = arguments.number::<1>()?;
                let bytes = arguments.take(length)?;
                self.push_text(&String::from_utf8_lossy(bytes))?;
            }
            b'T' => {
                let length = arguments.number::<4>()?;
                let bytes = arguments.take(length)?;
                self.push_text(&String::from_utf8_lossy(bytes))?;
            }
            // Bytes.
            b'C' => {
                let length = arguments.number::<1>()?;
                arguments.take(length)?;
                self.push(OPAQUE)?;
            }
            b'B' => {
                let length = arguments.number::<4>()?;
                arguments.take(length)?;
                self.push(OPAQUE)?;
            }
            0x8e | 0x96 => {
                let length = arguments.number::<8>()?;
                arguments.take(length)?;
                self.push(OPAQUE)?;
            }
            b')' => self.push_new(Value::Tuple(Box::default()))?,
            b']' => self.push_new(Value::List(Vec::new()))?,
            b'}' => self.push_new(Value::Dict(Vec::new()))?,
            // A set is a list here.
            0x8f => self.push_new(Value::List(Vec::new()))?,
            b't' => {
                let members = self.marked()?;
                self.push_new(Value::Tuple(members.into()))?;
            }
            b'l' | 0x91 => {
                let members = self.marked()?;
                self.push_new(Value::List(members))?;
            }
            b'd' => {
                let pairs = pairs(&self.marked()?)?;
                self.push_new(Value::Dict(pairs))?;
            }
            0x85..=0x87 => {
                let count = usize::from(code.saturating_sub(0x84));
                let from = self.least(count)?;
                let members: Box<[Id]> = self.stack.drain(from..).collect();
                self.push_new(Value::Tuple(members))?;
            }
            b'a' => {
                let member = self.pop()?;
                self.append(&[member])?;
            }
            b'e' | 0x90 => {
                let members = self.marked()?;
                self.append(&members)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.insert(vec![(key, value)])?;
            }
            b'u' => {
                let pairs = pairs(&self.marked()?)?;
                self.insert(pairs)?;
            }
            b'p' | b'q' | b'r' | b'g' | b'h' | b'j' => {
                let place = match code {
                    b'p' | b'g' => {
                        decimal(arguments.line()?)?.try_into().map_err(|_| PickleProblem::Number)?
                    }
                    b'q' | b'h' => arguments.number::<1>()?,
                    _ => arguments.number::<4>()?,
                };
                match code {
                    b'p' | b'q' | b'r' => self.remember(place)?,
                    _ => self.recall(place)?,
                }
            }
            0x94 => self.remember(self.memo.len() as u64)?,
            b'c' => {
                let (module, name) = (arguments.line()?, arguments.line()?);
                let global = self.global(&String::from_utf8_lossy(module), &String::from_utf8_lossy(name))?;
                self.push(global)?;
            }
            0x93 => {
                let from = self.least(2)?;
                let (module, name) = (self.stack[from], self.stack[from.saturating_add(1)]);
                let (Some(module), Some(name)) = (self.text(module), self.text(name)) else {
                    return Err(PickleProblem::NoName.into());
                };
                let (module, name) = (module.to_owned(), name.to_owned());
                self.stack.truncate(from);
                let global = self.global(&module, &name)?;
                self.push(global)?;
            }
            // Classes of protocol 0 with their arguments.
            b'i' => {
                let (module, name) = (arguments.line()?, arguments.line()?);
                self.marked()?;
                let class = self.global(&String::from_utf8_lossy(module), &String::from_utf8_lossy(name))?;
                self.push_object(class)?;
            }
            b'o' => {
                let members = self.marked()?;
                let class = *members.first().ok_or(PickleProblem::EmptyStack)?;
                self.push_object(class)?;
            }
            b'R' | 0x81 => {
                let from = self.least(2)?;
                let (class, given) = (self.stack[from], self.stack[from.saturating_add(1)]);
                self.stack.truncate(from);
                self.call(class, given)?;
            }
            0x92 => {
                let from = self.least(3)?;
                let class = self.stack[from];
                self.stack.truncate(from);
                self.push_object(class)?;
            }
            b'b' => {
                let state = self.pop()?;
                let top = self.top()?;
                if let Value::Object { state: of_top, .. } = self.values.at_mut(top) {
                    *of_top = Some(state);
                }
            }
            b'Q' => {
                let id = self.pop()?;
                let storage =
                    self.storage(id).map_or(Value::Opaque, |storage| Value::Storage(Box::new(storage)));
                self.push_new(storage)?;
            }
            b'P' => {
                arguments.line()?;
                self.push(OPAQUE)?;
            }
            // The registry of extensions, and buffers that lie elsewhere: torch.save writes neither.
            _ => return Err(PickleProblem::Operation { code }.into()),
        }
        Ok(())
    }

    /// Most values, or names in the memo, for the part of the pickle that has been read.
    fn most(&self) -> usize {
        FEW.saturating_add(self.at / BYTES_A_VALUE).min(MAX_VALUES)
    }

    fn push(&mut self, id: Id) -> Result<(), PickleProblem> {
        within(self.stack.len(), FEW_ON_STACK.saturating_add(self.at / BYTES_ON_STACK))?;
        if self.named(id).is_some_and(|(_, global)| global.known() == Some(Known::Attribute)) {
            self.loose = self.loose.saturating_add(1);
        }
        self.stack.push(id);
        Ok(())
    }

    /// Adds a value.
    pub(super) fn add(&mut self, value: Value) -> Result<Id, PickleProblem> {
        within(self.values.len(), self.most())?;
        self.values.push(value);
        Ok((self.values.len() as Id).saturating_sub(1))
    }

    fn push_new(&mut self, value: Value) -> Result<(), PickleProblem> {
        let id = self.add(value)?;
        self.push(id)
    }

    fn push_text(&mut self, text: &str) -> Result<(), PickleProblem> {
        self.push_new(Value::Text(text.into()))
    }

    fn whole(&mut self, value: i64) -> Result<Id, PickleProblem> {
        if (0..SMALL).contains(&value) {
            Ok(FIRST_SMALL.saturating_add(value as Id))
        } else {
            self.add(Value::Int(value))
        }
    }

    fn push_whole(&mut self, value: i64) -> Result<(), PickleProblem> {
        let id = self.whole(value)?;
        self.push(id)
    }

    /// Few numbers of a checkpoint that are not whole say something of the model. Beyond the limit, they are opaque.
    fn push_float(&mut self, value: f64) -> Result<(), PickleProblem> {
        let id = self.add(Value::Float(value)).unwrap_or(OPAQUE);
        self.push(id)
    }

    /// A number of any length, little-endian in two's complement.
    fn push_long(&mut self, bytes: &[u8]) -> Result<(), PickleProblem> {
        if bytes.len() > 8 {
            return self.push(OPAQUE);
        }
        let fill = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
        let mut whole = [fill; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        self.push_whole(i64::from_le_bytes(whole))
    }

    /// Where the `count` topmost values begin. None of them may lie below a mark.
    fn least(&self, count: usize) -> Result<usize, PickleProblem> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let from = self.stack.len().checked_sub(count).filter(|from| *from >= floor);
        from.ok_or(PickleProblem::EmptyStack)
    }

    fn pop(&mut self) -> Result<Id, PickleProblem> {
        let from = self.least(1)?;
        let top = self.stack[from];
        self.stack.truncate(from);
        Ok(top)
    }

    fn top(&self) -> Result<Id, PickleProblem> {
        Ok(self.stack[self.least(1)?])
    }

    /// Takes the values above the last mark, and the mark.
    fn marked(&mut self) -> Result<Vec<Id>, PickleProblem> {
        let from = self.marks.pop().ok_or(PickleProblem::NoMark)?;
        Ok(self.stack.split_off(from))
    }

    /// Adds members to the list on top. An instance that has members is a list of another class.
    fn append(&mut self, members: &[Id]) -> Result<(), PickleProblem> {
        let top = self.top()?;
        match self.values.at_mut(top) {
            Value::List(list) => list.extend_from_slice(members),
            object @ Value::Object { .. } => *object = Value::List(members.to_vec()),
            _ => {}
        }
        Ok(())
    }

    /// Adds entries to the dictionary on top. An instance that has entries is a dictionary of another class.
    fn insert(&mut self, pairs: Vec<(Id, Id)>) -> Result<(), PickleProblem> {
        let top = self.top()?;
        match self.values.at_mut(top) {
            Value::Dict(dict) => dict.extend(pairs),
            object @ Value::Object { .. } => *object = Value::Dict(pairs),
            _ => {}
        }
        Ok(())
    }

    fn remember(&mut self, place: u64) -> Result<(), PickleProblem> {
        within(self.memo.len(), self.most())?;
        let top = self.top()?;
        self.memo.insert(place, top);
        Ok(())
    }

    fn recall(&mut self, place: u64) -> Result<(), PickleProblem> {
        let id = *self.memo.get(&place).ok_or(PickleProblem::NotRemembered { place })?;
        self.push(id)
    }

    fn global(&mut self, module: &str, name: &str) -> Result<Id, PickleProblem> {
        let global = Global { module: module.into(), name: name.into() };
        if let Some(&id) = self.places.get(&global) {
            return Ok(id);
        }
        let id = self.add(Value::Global(self.globals.len() as u32))?;
        self.globals.push(global.clone());
        self.places.insert(global, id);
        Ok(id)
    }

    /// The class or function at a place, and its place in [`Machine::globals`].
    pub(super) fn named(&self, id: Id) -> Option<(u32, &Global)> {
        match self.value(id) {
            Value::Global(global) => Some((*global, &self.globals[*global as usize])),
            _ => None,
        }
    }

    fn push_object(&mut self, class: Id) -> Result<(), PickleProblem> {
        let class = self.named(class).map(|(global, _)| global);
        self.push_new(Value::Object { class, state: None })
    }

    /// Pushes the value that the call of `class` with the tuple `given` makes.
    fn call(&mut self, class: Id, given: Id) -> Result<(), PickleProblem> {
        let known = self.named(class).and_then(|(_, global)| global.known());
        let given: Vec<Id> = self.members(given).unwrap_or_default().to_vec();
        match known {
            Some(known) => self.make(known, &given),
            None => self.push_object(class),
        }
    }

    /// Whether the arguments of `getattr` are a class and the name of a constant. No method has a name in capital letters.
    fn is_member(&self, given: &[Id]) -> bool {
        let [object, name] = given else { return false };
        let constant = |name: &str| {
            name.starts_with(|first: char| first.is_ascii_uppercase())
                && name.chars().all(|char| char.is_ascii_uppercase() || char.is_ascii_digit() || char == '_')
        };
        self.named(*object).is_some() && self.text(*name).is_some_and(constant)
    }

    /// Whether all that the pickle does with `getattr` is to read members of enumerations.
    pub(super) fn reads_members_only(&self) -> bool {
        self.loose == 0
    }

    fn make(&mut self, known: Known, given: &[Id]) -> Result<(), PickleProblem> {
        let argument = |at: usize| given.get(at).copied().unwrap_or(NONE);
        match known {
            Known::Tensor | Known::TypedTensor => {
                let view = self.view(known, given);
                self.push_new(Value::Tensor(Box::new(view)))
            }
            Known::Parameter => self.push(argument(0)),
            Known::Attribute => {
                if self.is_member(given) {
                    self.loose = self.loose.saturating_sub(1);
                }
                self.push_new(Value::Object { class: None, state: None })
            }
            Known::FromType => {
                let function = self.named(argument(0)).and_then(|(_, global)| global.known());
                match function.filter(|function| !matches!(function, Known::FromType | Known::Attribute)) {
                    Some(function) => {
                        let given = self.members(argument(2)).unwrap_or_default().to_vec();
                        self.make(function, &given)
                    }
                    None => self.push_object(argument(1)),
                }
            }
            // A call may pass the pairs of a dictionary. torch.save sets them one by one instead.
            Known::Dict => {
                let members = given.first().and_then(|pairs| self.members(*pairs)).unwrap_or_default();
                let pair =
                    |id: &Id| <[Id; 2]>::try_from(self.members(*id)?).ok().map(|[key, value]| (key, value));
                let pairs = members.iter().filter_map(pair).collect();
                self.push_new(Value::Dict(pairs))
            }
            Known::List => {
                let members = self.members(argument(0)).unwrap_or_default().to_vec();
                self.push_new(Value::List(members))
            }
            Known::Size => {
                let members = self.members(argument(0)).unwrap_or_default().into();
                self.push_new(Value::Tuple(members))
            }
            Known::Unusable(what, shape) => {
                let shape = match shape {
                    Shape::Unsaid => None,
                    Shape::Argument(at) => self.sizes(argument(at)),
                    Shape::OfSparse => {
                        let parts = self.members(argument(1)).unwrap_or_default();
                        parts
                            .iter()
                            .rev()
                            .find_map(|part| self.sizes(*part).filter(|sizes| !sizes.is_empty()))
                    }
                };
                let shape = shape.unwrap_or_default();
                let view = View { storage: Err(what), kind: None, offset: 0, strides: Vec::new(), shape };
                self.push_new(Value::Tensor(Box::new(view)))
            }
        }
    }

    fn view(&self, known: Known, given: &[Id]) -> View {
        let argument = |at: usize| given.get(at).copied().unwrap_or(NONE);
        let shape = self.sizes(argument(2));
        let unusable = |what| View {
            storage: Err(what),
            kind: None,
            offset: 0,
            strides: Vec::new(),
            shape: shape.clone().unwrap_or_default(),
        };
        let Value::Storage(storage) = self.value(argument(0)) else {
            return unusable("tensor whose values are in a pickle inside this one");
        };
        let offset = self.int(argument(1)).and_then(|offset| u64::try_from(offset).ok());
        let (Some(offset), Some(sizes), Some(strides)) = (offset, &shape, self.sizes(argument(3))) else {
            return unusable("tensor whose offset, shape or strides are no whole numbers");
        };
        if sizes.len() != strides.len() || sizes.len() > MAX_DIMENSIONS {
            return unusable("tensor whose shape and strides do not agree");
        }
        let typed = (known == Known::TypedTensor).then(|| self.named(argument(6))).flatten();
        let kind =
            typed.filter(|(_, global)| &*global.module == "torch").map(|(_, global)| global.name.clone());
        View { storage: Ok((**storage).clone()), kind, offset, shape: sizes.clone(), strides }
    }

    /// Whole numbers that are not negative.
    pub(super) fn sizes(&self, id: Id) -> Option<Vec<u64>> {
        let members = self.members(id)?;
        let sizes = members.iter().take(MAX_DIMENSIONS + 1);
        sizes.map(|id| u64::try_from(self.int(*id)?).ok()).collect()
    }

    /// The storage that a persistent id describes: ("storage", class, key, place, count), and in old files a part of it.
    fn storage(&self, id: Id) -> Option<Storage> {
        let [word, class, key, _, count, rest @ ..] = self.members(id)? else { return None };
        if self.text(*word)? != "storage" {
            return None;
        }
        let key = match self.value(*key) {
            Value::Text(key) => key.clone(),
            Value::Int(key) => key.to_string().into(),
            _ => return None,
        };
        let number = |id: Id| u64::try_from(self.int(id)?).ok();
        let part = match rest.first().and_then(|part| self.members(*part)) {
            Some([_, offset, count]) => Some((number(*offset)?, number(*count)?)),
            _ => None,
        };
        let kind = self.named(*class)?.1.storage()?;
        Some(Storage { key, kind, count: number(*count)?, part })
    }
}

fn within(count: usize, most: usize) -> Result<(), PickleProblem> {
    if count < most { Ok(()) } else { Err(PickleProblem::TooMany { most }) }
}

fn pairs(members: &[Id]) -> Result<Vec<(Id, Id)>, PickleProblem> {
    let (pairs, []) = members.as_chunks::<2>() else { return Err(PickleProblem::OddPairs) };
    Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
}

/// Reads a decimal number. One that does not fit i64 becomes the nearest that does, which nothing here accepts as a size.
fn decimal(line: &[u8]) -> Result<i64, PickleProblem> {
    let text = std::str::from_utf8(line).map_err(|_| PickleProblem::Number)?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PickleProblem::Number);
    }
    Ok(text.parse().unwrap_or(if text.starts_with('-') { i64::MIN } else { i64::MAX }))
}

/// A text of protocol 0 without its quotes. Escapes are left as they are: no name of a tensor has one.
fn unquoted(line: &[u8]) -> &[u8] {
    match line {
        [b'\'', inside @ .., b'\''] | [b'"', inside @ .., b'"'] => inside,
        line => line,
    }
}

/// A text of protocol 0 with `\uXXXX` replaced; the other bytes are Latin-1.
fn unescaped(line: &[u8]) -> String {
    let mut text = String::with_capacity(line.len());
    let mut left = line;
    while let Some((&byte, rest)) = left.split_first() {
        let escaped = (byte == b'\\' && rest.first() == Some(&b'u'))
            .then(|| rest.get(1..5))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .and_then(char::from_u32);
        match escaped {
            Some(character) => {
                text.push(character);
                left = &rest[5..];
            }
            None => {
                text.push(char::from(byte));
                left = rest;
            }
        }
    }
    text
}
