//! The graph of an ONNX file as plain data: nodes in the order in which they run, and the values between them. Graphs inside nodes
//! (branches, loops) are part of the same lists.

/// A value, by its place in [`Graph::values`].
pub type ValueId = usize;

/// A network.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Graph {
    /// Every value that a node reads or makes.
    pub values: Vec<Value>,
    /// Every node but those that only state a constant, in the order of the file: what a node reads, an earlier one has made.
    pub nodes: Vec<Node>,
}

/// What flows along an edge.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Value {
    /// Its name in the file.
    pub name: String,
    /// Its dimensions as far as the file states them, outermost first.
    pub shape: Option<Vec<Option<u64>>>,
    /// What it is, if it is stored.
    pub constant: Option<Constant>,
    /// Whether the network gives it as a result.
    pub is_output: bool,
}

/// A stored value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Constant {
    /// Its name in the catalogue, if it is there.
    pub tensor: Option<String>,
    /// Dimensions, outermost first.
    pub shape: Vec<u64>,
    /// Its numbers, if they are few.
    pub numbers: Option<Vec<f64>>,
}

/// An operation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Node {
    /// What it does: `MatMul`. Operators of other domains than ONNX's and Microsoft's have theirs before it, as `domain::name`.
    pub op: String,
    /// Its name, or nothing.
    pub name: String,
    /// What it reads. Optional inputs may be left out.
    pub inputs: Vec<Option<ValueId>>,
    /// What it makes.
    pub outputs: Vec<Option<ValueId>>,
    /// Numbers that say how.
    pub attributes: Vec<(String, Attribute)>,
}

/// An attribute of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// One whole number or several.
    Whole(Vec<i64>),
    /// One number.
    Real(f64),
}

impl Node {
    /// The input at `place`, if it is given.
    pub fn input(&self, place: usize) -> Option<ValueId> {
        self.inputs.get(place).copied().flatten()
    }

    /// The output at `place`, if it is used.
    pub fn output(&self, place: usize) -> Option<ValueId> {
        self.outputs.get(place).copied().flatten()
    }

    /// The whole numbers of an attribute.
    pub fn wholes(&self, name: &str) -> Option<&[i64]> {
        match self.attributes.iter().find(|(known, _)| known == name) {
            Some((_, Attribute::Whole(values))) => Some(values),
            _ => None,
        }
    }

    /// An attribute of one whole number.
    pub fn whole(&self, name: &str) -> Option<i64> {
        self.wholes(name)?.first().copied()
    }
}
