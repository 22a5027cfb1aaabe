//! What was measured on other models, as text: the tables of the registry and of readers. They are compiled in, except for the page's
//! inspector, which loads them when a checkpoint is opened, so that the page itself stays small. The large ones are cut into parts by
//! a hash (`scripts/lib/tables.mjs`), and the inspector loads the parts that have lines for this checkpoint.

use crate::order;
use std::sync::OnceLock;

/// One table, by the name of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// What the norms of families do.
    Families,
    /// The same for families published with code of their own.
    Published,
    /// Releases known by marks in their names.
    Marks,
    /// Layouts of blocks and modules.
    Layouts,
    /// Norms counted by their surroundings.
    Counts,
    /// Components of names by library.
    Vocabulary,
    /// Maps that read norms in blocks.
    Readers,
    /// Maps that read norms outside blocks.
    ReadersOutside,
}

macro_rules! embedded {
    ($path:literal) => {
        if cfg!(feature = "tables") { include_str!($path) } else { "" }
    };
}

/// Tables by the names of their files.
type Provided = Vec<(String, String)>;

static PROVIDED: OnceLock<Provided> = OnceLock::new();

/// Sets tables that replace those compiled in: the ones that the page has loaded, or ones learned without some documents. Each
/// follows a line `#### NAME`, and so does each part of one. Only the first call counts.
pub fn provide(tables: &str) {
    let _ = PROVIDED.set(sections(tables));
}

/// The tables in a text, sorted by name. Parts of one table are joined in their order.
fn sections(text: &str) -> Provided {
    let mut tables = Provided::new();
    for section in text.split("#### ").skip(1) {
        let (name, lines) = section.split_once('\n').unwrap_or((section, ""));
        order::entry(&mut tables, name).push_str(lines);
    }
    tables
}

/// A hash (FNV-1a), the same on every platform and in the scripts that cut the tables.
pub(crate) fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

/// The part of a table that has the lines of this hash, by its first five bits.
pub(crate) fn part(name: &str, hash: u64) -> String {
    format!("{name}-{:02}", hash >> 59)
}

impl Table {
    /// Its file's name, without the ending.
    fn name(self) -> &'static str {
        match self {
            Self::Families => "families",
            Self::Published => "published",
            Self::Marks => "marks",
            Self::Layouts => "layouts",
            Self::Counts => "counts",
            Self::Vocabulary => "vocabulary",
            Self::Readers => "measured",
            Self::ReadersOutside => "measured_outside",
        }
    }

    /// Its text. Empty if the page has not provided it.
    pub(crate) fn text(self) -> &'static str {
        if let Some(tables) = PROVIDED.get() {
            return order::value_of(tables, self.name()).map_or("", String::as_str);
        }
        match self {
            Self::Families => embedded!("norm/registry/families.tsv"),
            Self::Published => embedded!("norm/registry/published.tsv"),
            Self::Marks => embedded!("norm/registry/marks.tsv"),
            Self::Layouts => embedded!("norm/registry/layouts.tsv"),
            Self::Counts => embedded!("norm/registry/counts.tsv"),
            Self::Vocabulary => embedded!("norm/registry/vocabulary.tsv"),
            Self::Readers => embedded!("reader/measured.tsv"),
            Self::ReadersOutside => embedded!("reader/measured_outside.tsv"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_taken_apart_by_name_and_parts_put_together() {
        let tables =
            sections("#### layouts\na\tb\n#### measured\nc\n#### measured_outside\nd\n#### layouts\ne\n");
        let expected = [("layouts", "a\tb\ne\n"), ("measured", "c\n"), ("measured_outside", "d\n")];
        assert_eq!(tables, expected.map(|(name, lines)| (name.to_owned(), lines.to_owned())));
    }

    #[test]
    fn the_hash_is_that_of_the_scripts() {
        // tests/tables.test.mjs has the same.
        assert_eq!(hash("norm1.weight".bytes()), 4_080_611_924_157_487_884);
        assert_eq!(part("layouts", u64::MAX), "layouts-31");
    }

    #[test]
    fn no_table_holds_a_line_that_divides_tables() {
        for table in [
            Table::Families,
            Table::Layouts,
            Table::Counts,
            Table::Vocabulary,
            Table::Readers,
            Table::ReadersOutside,
        ] {
            assert!(!table.text().is_empty() && !table.text().contains("#### "), "{}", table.name());
        }
    }
}
