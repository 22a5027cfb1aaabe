//! The few classes and functions in the pickles of torch.save that are read as data.

/// A name that the pickle refers to: `torch._utils` and `_rebuild_tensor_v2`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Global {
    pub(super) module: Box<str>,
    pub(super) name: Box<str>,
}

/// What the call of a known global makes. A list names the arguments of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// storage, offset, shape, strides, …
    Tensor,
    /// The same with the element type in the seventh place.
    TypedTensor,
    /// tensor, …
    Parameter,
    /// function, class, arguments, state.
    FromType,
    /// An ordered or plain dictionary.
    Dict,
    /// A list or set of the members of its argument.
    List,
    /// A tuple of one argument.
    Size,
    /// object, name: `getattr`. Python 3.11 pickles a member of an enumeration as a call of it.
    Attribute,
    /// A tensor whose values are not a view of a storage: what it is, and where its shape is among the arguments.
    Unusable(&'static str, Shape),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Unsaid,
    Argument(usize),
    /// The last sizes in the tuple that is the second argument.
    OfSparse,
}

impl Global {
    /// What a call of it makes, if that is known.
    pub(super) fn known(&self) -> Option<Known> {
        Some(match (&*self.module, &*self.name) {
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Known::Tensor,
            ("torch._utils", "_rebuild_tensor_v3") => Known::TypedTensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Known::Parameter,
            ("torch._tensor", "_rebuild_from_type_v2") => Known::FromType,
            ("torch._utils", "_rebuild_qtensor") => Known::Unusable("quantised tensor", Shape::Argument(2)),
            ("torch._utils", "_rebuild_sparse_tensor" | "_rebuild_sparse_csr_tensor") => {
                Known::Unusable("sparse tensor", Shape::OfSparse)
            }
            ("torch._utils", "_rebuild_meta_tensor_no_storage") => {
                Known::Unusable("tensor without values (meta)", Shape::Argument(1))
            }
            ("torch._utils", "_rebuild_wrapper_subclass") => {
                Known::Unusable("tensor of another class", Shape::Argument(2))
            }
            ("torch._utils", name) if name.starts_with("_rebuild_") && name.contains("tensor") => {
                Known::Unusable("tensor of another kind", Shape::Unsaid)
            }
            ("collections", "OrderedDict" | "defaultdict" | "Counter") => Known::Dict,
            ("builtins" | "__builtin__", "dict") => Known::Dict,
            ("builtins" | "__builtin__", "list" | "set" | "frozenset") => Known::List,
            ("torch", "Size") => Known::Size,
            ("builtins" | "__builtin__", "getattr") => Known::Attribute,
            _ => return None,
        })
    }

    /// The element type of a class of storages, by PyTorch's name. `Some(None)` for bytes without a type.
    pub(super) fn storage(&self) -> Option<Option<&'static str>> {
        if !matches!(&*self.module, "torch" | "torch.storage" | "torch.cuda") {
            return None;
        }
        Some(Some(match &*self.name {
            "UntypedStorage" => return Some(None),
            "DoubleStorage" => "float64",
            "FloatStorage" => "float32",
            "HalfStorage" => "float16",
            "BFloat16Storage" => "bfloat16",
            "LongStorage" => "int64",
            "IntStorage" => "int32",
            "ShortStorage" => "int16",
            "CharStorage" => "int8",
            "ByteStorage" => "uint8",
            "BoolStorage" => "bool",
            "ComplexFloatStorage" => "complex64",
            "ComplexDoubleStorage" => "complex128",
            "QInt8Storage" => "qint8",
            "QUInt8Storage" => "quint8",
            "QInt32Storage" => "qint32",
            _ => return None,
        }))
    }
}
