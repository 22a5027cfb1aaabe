//! Writes ONNX files: the few messages of `onnx.proto` that tests need.

/// A protobuf message.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message(pub(crate) Vec<u8>);

impl Message {
    fn varint(mut self, mut value: u64) -> Self {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    /// Adds a whole number.
    pub(crate) fn number(self, field: u64, value: i64) -> Self {
        self.varint(field << 3).varint(value as u64)
    }

    /// Adds a number of four bytes.
    pub(crate) fn float(self, field: u64, value: f32) -> Self {
        let mut made = self.varint(field << 3 | 5);
        made.0.extend(value.to_le_bytes());
        made
    }

    /// Adds bytes, a text or a message.
    pub(crate) fn bytes(self, field: u64, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        let mut made = self.varint(field << 3 | 2).varint(bytes.len() as u64);
        made.0.extend(bytes);
        made
    }
}

/// An attribute of a node.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Attribute<'a> {
    Whole(i64),
    Wholes(&'a [i64]),
    Float(f32),
}

/// A network in the making.
#[derive(Debug, Clone, Default)]
pub(crate) struct Net(pub(crate) Message);

/// A tensor of F32 numbers, as raw bytes.
pub(crate) fn floats(name: &str, shape: &[u64], values: &[f32]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(name, shape, 1).bytes(9, raw)
}

/// The beginning of a tensor: its shape, its type and its name.
pub(crate) fn tensor(name: &str, shape: &[u64], kind: i64) -> Message {
    let sized = shape.iter().fold(Message::default(), |made, &size| made.number(1, size as i64));
    sized.number(2, kind).bytes(8, name)
}

/// A tensor of F32 numbers in another file.
pub(crate) fn external(name: &str, shape: &[u64], location: &str, offset: u64) -> Message {
    let pair = |key: &str, value: &str| Message::default().bytes(1, key).bytes(2, value).0;
    tensor(name, shape, 1)
        .bytes(13, pair("location", location))
        .bytes(13, pair("offset", &offset.to_string()))
        .number(14, 1)
}

/// A node, named after its first output.
pub(crate) fn node(
    op: &str,
    inputs: &[&str],
    outputs: &[&str],
    attributes: &[(&str, Attribute<'_>)],
) -> Message {
    let mut made = Message::default();
    for input in inputs {
        made = made.bytes(1, input);
    }
    for output in outputs {
        made = made.bytes(2, output);
    }
    made = made.bytes(3, format!("/{}/{op}", outputs.first().unwrap_or(&""))).bytes(4, op);
    for (name, attribute) in attributes {
        let one = Message::default().bytes(1, name);
        let one = match attribute {
            Attribute::Whole(value) => one.number(3, *value),
            Attribute::Wholes(values) => values.iter().fold(one, |made, &value| made.number(8, value)),
            Attribute::Float(value) => one.float(2, *value),
        };
        made = made.bytes(5, one.0);
    }
    made
}

impl Net {
    pub(crate) fn add(self, field: u64, message: Message) -> Self {
        Self(self.0.bytes(field, message.0))
    }

    /// Adds a node.
    pub(crate) fn node(
        self,
        op: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[(&str, Attribute<'_>)],
    ) -> Self {
        self.add(1, node(op, inputs, &[output], attributes))
    }

    /// Adds stored F32 numbers: those of a scale, or of a matrix.
    pub(crate) fn floats(self, name: &str, shape: &[u64]) -> Self {
        let count = shape.iter().product::<u64>() as usize;
        let values: Vec<f32> = (0..count).map(|at| 0.5 + 0.25 * ((at * 7 % 11) as f32)).collect();
        self.add(5, floats(name, shape, &values))
    }

    /// Adds one stored number, which lies in a node behind an `Identity`.
    pub(crate) fn constant(self, name: &str, value: f32) -> Self {
        let inner = format!("{name}_inner");
        let attribute = Message::default().bytes(1, "value").bytes(5, floats("", &[], &[value]).0);
        let made = Message::default().bytes(2, &inner).bytes(4, "Constant").bytes(5, attribute.0);
        self.add(1, made).node("Identity", &[&inner], name, &[])
    }

    /// Adds stored whole numbers.
    pub(crate) fn wholes(self, name: &str, values: &[i64]) -> Self {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.add(5, tensor(name, &[values.len() as u64], 7).bytes(9, raw))
    }

    /// Adds an input; sizes of 0 are not stated.
    pub(crate) fn input(self, name: &str, shape: &[u64]) -> Self {
        self.add(11, info(name, shape))
    }

    pub(crate) fn output(self, name: &str) -> Self {
        self.add(12, Message::default().bytes(1, name))
    }

    /// The whole file.
    pub(crate) fn file(self) -> Vec<u8> {
        Message::default().number(1, 8).bytes(2, "test").bytes(7, self.0.0).0
    }
}

/// A function of the domain `own`, as a field of the model. Its nodes take attributes from the call: each the name of the node's and that of
/// the call's.
pub(crate) fn function(
    name: &str,
    inputs: &[&str],
    output: &str,
    nodes: &[(Message, &[[&str; 2]])],
) -> Vec<u8> {
    let made = inputs.iter().fold(Message::default().bytes(1, name), |made, input| made.bytes(4, input));
    let made = nodes.iter().fold(made.bytes(5, output), |made, (node, taken)| {
        let taken = taken.iter().map(|[own, of_call]| Message::default().bytes(1, own).bytes(21, of_call));
        made.bytes(7, taken.fold(node.clone(), |node, one| node.bytes(5, one.0)).0)
    });
    Message::default().bytes(25, made.bytes(10, "own").0).0
}

fn info(name: &str, shape: &[u64]) -> Message {
    let dimensions = shape.iter().fold(Message::default(), |made, &size| {
        let dimension = Message::default();
        made.bytes(1, if size > 0 { dimension.number(1, size as i64) } else { dimension.bytes(2, "n") }.0)
    });
    let kind = Message::default().number(1, 1).bytes(2, dimensions.0);
    Message::default().bytes(1, name).bytes(2, Message::default().bytes(1, kind.0).0)
}

/// The steps of a norm of `x`, each a node: with the mean subtracted, or not.
pub(crate) fn split_norm(net: Net, x: &str, subtracts: bool, axes: &[i64]) -> Net {
    let axes = [("axes", Attribute::Wholes(axes))];
    let net = net.constant("two", 2.0).constant("epsilon", 1e-5);
    let (net, divided) = match subtracts {
        true => {
            let net = net.node("ReduceMean", &[x], "mean", &axes).node("Sub", &[x, "mean"], "centred", &[]);
            (net, "centred")
        }
        false => (net, x),
    };
    net.node("Pow", &[divided, "two"], "square", &[])
        .node("ReduceMean", &["square"], "variance", &axes)
        .node("Add", &["variance", "epsilon"], "safe", &[])
        .node("Sqrt", &["safe"], "deviation", &[])
        .node("Div", &[divided, "deviation"], "normal", &[])
}
