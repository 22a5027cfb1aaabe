//! The objects of a file: what the messages of a header say of a group or of an array.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::bytes::{Fields, Reader};
use super::{Hdf5Problem, Stop};
use crate::checkpoint::dtype::TensorType;
use crate::checkpoint::header::Entry;
use crate::source::ByteSource;

/// The address of what is not there.
const NOWHERE: u64 = u64::MAX;

/// Most dimensions of an array.
const MAX_DIMENSIONS: u8 = 32;

/// What an object is.
pub(super) enum Object {
    /// The names and addresses of its members.
    Group(Vec<(String, u64)>),
    Array(Entry),
    /// A type that has a name, for example.
    Other,
}

/// A message of a header.
struct Message {
    kind: u16,
    /// Whether what it says lies elsewhere.
    shared: bool,
    /// Where its data lie in the file.
    at: u64,
    data: Vec<u8>,
}

/// Kinds of messages that are read.
const DATASPACE: u16 = 0x1;
const LINK_INFO: u16 = 0x2;
const DATATYPE: u16 = 0x3;
const LINK: u16 = 0x6;
const LAYOUT: u16 = 0x8;
const CONTINUATION: u16 = 0x10;
const SYMBOL_TABLE: u16 = 0x11;
const READ: [u16; 6] = [DATASPACE, LINK_INFO, DATATYPE, LINK, LAYOUT, SYMBOL_TABLE];

const HEADER: &str = "header of an object";
const TREE: &str = "list of a group";
const HEAP: &str = "heap of names";

/// Reads the object at `address`, which is called `path`.
pub(super) async fn object<S: ByteSource>(
    reader: &mut Reader<'_, S>,
    path: &str,
    address: u64,
) -> Result<Object, Stop> {
    let messages = messages(reader, address).await?;
    let first = |kind| messages.iter().find(|message| message.kind == kind);
    if let Some(layout) = first(LAYOUT) {
        let array = array(path, first(DATASPACE), first(DATATYPE), layout, reader.length());
        return match array.ok_or(Hdf5Problem::Damaged { what: HEADER, byte: address })? {
            Ok(entry) => Ok(Object::Array(entry)),
            Err(problem) => Err(problem.into()),
        };
    }
    if let Some(table) = first(SYMBOL_TABLE) {
        let mut fields = Fields::new(&table.data);
        let places = fields.number(8).zip(fields.number(8));
        let (tree, heap) = places.ok_or(Hdf5Problem::Damaged { what: HEADER, byte: address })?;
        return Ok(Object::Group(members(reader, tree, heap).await?));
    }
    let info = first(LINK_INFO);
    if info.is_some_and(|info| has_heap(&info.data) != Some(false)) {
        return Err(Hdf5Problem::Heap { group: path.to_owned() }.into());
    }
    let mut members = Vec::new();
    for message in messages.iter().filter(|message| message.kind == LINK) {
        let link = link(&message.data).ok_or(Hdf5Problem::Damaged { what: "link", byte: message.at })?;
        members.extend(link);
    }
    Ok(if info.is_some() || !members.is_empty() { Object::Group(members) } else { Object::Other })
}

/// The messages of the header at `address`, in both of its versions.
async fn messages<S: ByteSource>(reader: &mut Reader<'_, S>, address: u64) -> Result<Vec<Message>, Stop> {
    let damaged = |byte| Hdf5Problem::Damaged { what: HEADER, byte };
    let known = reader.length().saturating_sub(address).min(34);
    let start = reader.take(HEADER, address, known).await?;
    let mut found = Vec::new();
    // Behind the signature of a block, if it has one, are messages, and then perhaps a checksum.
    let mut blocks = Vec::new();
    let second = start.starts_with(b"OHDR");
    let mut in_order = false;
    let first = if second {
        second_version(&start).map(|(begin, length, ordered)| {
            in_order = ordered;
            (begin, length)
        })
    } else {
        first_version(&start)
    };
    let (begin, length) = first.ok_or_else(|| damaged(address))?;
    blocks.push((address.saturating_add(begin), length));
    while let Some((at, length)) = blocks.pop() {
        let bytes = reader.take(HEADER, at, length).await?;
        let mut fields = Fields::new(&bytes);
        // What is left of a block may be too short for a message.
        let smallest = match (second, in_order) {
            (false, _) => 8,
            (true, false) => 4,
            (true, true) => 6,
        };
        while fields.left() >= smallest {
            let (kind, size, flags) =
                message_start(&mut fields, second, in_order).ok_or_else(|| damaged(at))?;
            let data_at = at.saturating_add(length).saturating_sub(fields.left() as u64);
            let data = fields.take(size).ok_or_else(|| damaged(data_at))?;
            if kind == CONTINUATION {
                let mut fields = Fields::new(data);
                let next = fields.number(8).zip(fields.number(8));
                let (mut begin, mut length) = next.ok_or_else(|| damaged(data_at))?;
                if second {
                    if reader.take(HEADER, begin, 4).await? != b"OCHK" {
                        return Err(damaged(begin).into());
                    }
                    (begin, length) = (begin.saturating_add(4), length.saturating_sub(8));
                }
                blocks.push((begin, length));
            } else if READ.contains(&kind) {
                found.push(Message { kind, shared: flags & 2 != 0, at: data_at, data: data.to_vec() });
            }
        }
    }
    Ok(found)
}

/// Where the messages of a header of the first version begin, and how many bytes they have.
fn first_version(start: &[u8]) -> Option<(u64, u64)> {
    let mut fields = Fields::new(start);
    fields.begin_with(&[1, 0])?;
    fields.skip(6)?;
    Some((16, fields.number(4)?))
}

/// The same for the second version, and whether messages have their order.
fn second_version(start: &[u8]) -> Option<(u64, u64, bool)> {
    let mut fields = Fields::new(start);
    fields.begin_with(b"OHDR\x02")?;
    let flags = fields.byte()?;
    if flags & 0x20 != 0 {
        fields.skip(16)?;
    }
    if flags & 0x10 != 0 {
        fields.skip(4)?;
    }
    let length = fields.number(1_usize.wrapping_shl((flags & 3).into()))?;
    Some((start.len().saturating_sub(fields.left()) as u64, length, flags & 4 != 0))
}

/// The kind of a message, the bytes of its data, and its flags.
fn message_start(fields: &mut Fields, second: bool, in_order: bool) -> Option<(u16, usize, u8)> {
    let kind = fields.number(if second { 1 } else { 2 })? as u16;
    let size = fields.number(2)? as usize;
    let flags = fields.byte()?;
    fields.skip(match (second, in_order) {
        (false, _) => 3,
        (true, true) => 2,
        (true, false) => 0,
    })?;
    Some((kind, size, flags))
}

/// Whether the links of a group lie in a heap.
fn has_heap(info: &[u8]) -> Option<bool> {
    let mut fields = Fields::new(info);
    fields.begin_with(&[0])?;
    if fields.byte()? & 1 != 0 {
        fields.skip(8)?;
    }
    Some(fields.number(8)? != NOWHERE)
}

/// The name and the address of a link; nothing for one that is only a path.
fn link(data: &[u8]) -> Option<Option<(String, u64)>> {
    let mut fields = Fields::new(data);
    fields.begin_with(&[1])?;
    let flags = fields.byte()?;
    let kind = if flags & 8 != 0 { fields.byte()? } else { 0 };
    if flags & 4 != 0 {
        fields.skip(8)?;
    }
    if flags & 0x10 != 0 {
        fields.skip(1)?;
    }
    let length = fields.number(1_usize.wrapping_shl((flags & 3).into()))?;
    let name = std::str::from_utf8(fields.take(usize::try_from(length).ok()?)?).ok()?;
    if kind != 0 {
        return Some(None);
    }
    Some(Some((name.to_owned(), fields.number(8)?)))
}

/// The members of a group: a tree of lists, whose names lie in a heap.
async fn members<S: ByteSource>(
    reader: &mut Reader<'_, S>,
    tree: u64,
    heap: u64,
) -> Result<Vec<(String, u64)>, Stop> {
    let names = names(reader, heap).await?;
    let mut found = Vec::new();
    let mut nodes = vec![tree];
    while let Some(at) = nodes.pop() {
        let damaged = || Hdf5Problem::Damaged { what: TREE, byte: at };
        let start = reader.take(TREE, at, 8).await?;
        let mut fields = Fields::new(&start);
        let signature = fields.take(4);
        let (kind, _) = fields.byte().zip(fields.byte()).ok_or_else(damaged)?;
        let count = fields.number(2).ok_or_else(damaged)?;
        match signature {
            Some(b"TREE") if kind == 0 => {
                let pairs = reader.take(TREE, at.saturating_add(24), count.saturating_mul(16)).await?;
                for pair in pairs.chunks_exact(16) {
                    nodes.extend(Fields::new(&pair[8..]).number(8));
                }
            }
            Some(b"SNOD") if kind == 1 => {
                let entries = reader.take(TREE, at.saturating_add(8), count.saturating_mul(40)).await?;
                for entry in entries.chunks_exact(40) {
                    let (name, address) = member(&names, entry).ok_or_else(damaged)?;
                    reader.spend(name.len() as u64)?;
                    // A link that is only a path has no address.
                    if address != NOWHERE {
                        found.push((name.to_owned(), address));
                    }
                }
            }
            _ => return Err(damaged().into()),
        }
    }
    Ok(found)
}

/// The name and the address of an entry.
fn member<'a>(names: &'a [u8], entry: &[u8]) -> Option<(&'a str, u64)> {
    let mut fields = Fields::new(entry);
    let from = names.get(usize::try_from(fields.number(8)?).ok()?..)?;
    let name = from.split(|byte| *byte == 0).next()?;
    Some((std::str::from_utf8(name).ok()?, fields.number(8)?))
}

/// The names in a heap.
async fn names<S: ByteSource>(reader: &mut Reader<'_, S>, heap: u64) -> Result<Vec<u8>, Stop> {
    let start = reader.take(HEAP, heap, 32).await?;
    let place = || {
        let mut fields = Fields::new(&start);
        fields.begin_with(b"HEAP\0")?;
        fields.skip(3)?;
        let length = fields.number(8)?;
        fields.skip(8)?;
        Some((fields.number(8)?, length))
    };
    let (at, length) = place().ok_or(Hdf5Problem::Damaged { what: HEAP, byte: heap })?;
    reader.take(HEAP, at, length).await
}

/// Where the values of an array lie.
enum Place {
    Range(u64, u64),
    /// Nowhere that could be read as one range.
    Unusable(&'static str),
}

/// An array by its messages. `None` if one of them is damaged or is not there.
fn array(
    path: &str,
    space: Option<&Message>,
    kind: Option<&Message>,
    layout: &Message,
    file: u64,
) -> Option<Result<Entry, Hdf5Problem>> {
    let shape = shape(&space.filter(|space| !space.shared)?.data)?;
    let kind = kind?;
    let unusable = |what: &str| TensorType::Unknown(what.to_owned());
    let (dtype, size) = if kind.shared { (unusable("type of its own"), 0) } else { element(&kind.data)? };
    let size_error = || Hdf5Problem::Size { array: path.to_owned(), shape: shape.clone() };
    let elements = shape.iter().try_fold(1u64, |product, size| product.checked_mul(*size));
    let Some(elements) = elements else { return Some(Err(size_error())) };
    let (dtype, begin, end) = match place(layout)? {
        _ if matches!(dtype, TensorType::Unknown(_)) => (dtype, 0, 0),
        Place::Unusable(what) => (unusable(what), 0, 0),
        Place::Range(NOWHERE, _) if elements > 0 => (unusable("array without values"), 0, 0),
        Place::Range(..) if elements == 0 => (dtype, 0, 0),
        Place::Range(begin, length) => {
            if elements.checked_mul(size) != Some(length) {
                return Some(Err(size_error()));
            }
            let end = begin.checked_add(length).filter(|end| *end <= file);
            let Some(end) = end else {
                return Some(Err(Hdf5Problem::Behind { array: path.to_owned(), length: file }));
            };
            (dtype, begin, end)
        }
    };
    Some(Ok(Entry { name: path.to_owned(), dtype, shape, begin, end, strides: None }))
}

/// The dimensions of a dataspace.
fn shape(data: &[u8]) -> Option<Vec<u64>> {
    let mut fields = Fields::new(data);
    let (version, rank) = (fields.byte()?, fields.byte().filter(|rank| *rank <= MAX_DIMENSIONS)?);
    fields.skip(match version {
        1 => 6,
        2 => 2,
        _ => return None,
    })?;
    (0..rank).map(|_| fields.number(8)).collect()
}

/// The type of an element and its bytes.
fn element(data: &[u8]) -> Option<(TensorType, u64)> {
    let mut fields = Fields::new(data);
    let class = fields.byte()? & 0xf;
    let flags = fields.number(3)?;
    let size = fields.number(4)?;
    let unusable = |what: &str| Some((TensorType::Unknown(what.to_owned()), size));
    if class <= 1 && (flags & 1 != 0 && size > 1 || class == 1 && flags & 0x40 != 0) {
        return unusable("the most significant byte first");
    }
    let name = match class {
        0 if fields.number(4)? == size.saturating_mul(8).wrapping_shl(16) => match (flags & 8 != 0, size) {
            (true, 1) => "I8",
            (true, 2) => "I16",
            (true, 4) => "I32",
            (true, 8) => "I64",
            (false, 1) => "U8",
            (false, 2) => "U16",
            (false, 4) => "U32",
            (false, 8) => "U64",
            _ => return unusable("whole numbers of another size"),
        },
        1 => {
            fields.skip(4)?;
            // Where the exponent begins and its bits; where the mantissa begins and its bits.
            match (size, fields.take(4)?) {
                (2, [10, 5, 0, 10]) => "F16",
                (2, [7, 8, 0, 7]) => "BF16",
                (4, [23, 8, 0, 23]) => "F32",
                (8, [52, 11, 0, 52]) => "F64",
                _ => return unusable("floating-point numbers of another kind"),
            }
        }
        0 => return unusable("whole numbers of fewer bits"),
        3 | 9 => return unusable("text"),
        _ => return unusable("type without numbers"),
    };
    Some((TensorType::parse(name), size))
}

/// Where a layout says that the values are.
fn place(layout: &Message) -> Option<Place> {
    if layout.shared {
        return None;
    }
    let mut fields = Fields::new(&layout.data);
    let (version, class) = (fields.byte()?, fields.byte()?);
    if !(3..=4).contains(&version) {
        return Some(Place::Unusable("array of an old version of HDF5"));
    }
    Some(match class {
        // Inside the header.
        0 => Place::Range(layout.at.saturating_add(4), fields.number(2)?),
        1 => Place::Range(fields.number(8)?, fields.number(8)?),
        2 => Place::Unusable("array in chunks"),
        _ => Place::Unusable("array that is put together from others"),
    })
}
