//! What was measured of other models, as text: the tables of the registry and of readers. They are compiled in, but for the page's
//! inspector, which loads them beside itself when a checkpoint is opened, so that the page itself stays small.

use std::sync::OnceLock;

/// One table, by the name of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// What the norms of families do.
    Families,
    /// The same of families published with code of their own.
    Published,
    /// Releases known by marks in their names.
    Marks,
    /// Layouts of blocks and modules.
    Layouts,
    /// Norms counted by what stands around them.
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

static PROVIDED: OnceLock<String> = OnceLock::new();

/// Takes tables that replace those compiled in: the page's, which it has loaded, or those learned without some documents. Each
/// follows a line `#### NAME`. The first that are provided stay.
pub fn provide(tables: String) {
    let _ = PROVIDED.set(tables);
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

    /// Its text; empty where the page has not provided it.
    pub(crate) fn text(self) -> &'static str {
        if let Some(tables) = PROVIDED.get() {
            return part(tables, self.name());
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

/// The lines between `#### name` and the next such line.
fn part<'a>(tables: &'a str, name: &str) -> &'a str {
    let head = format!("#### {name}\n");
    let Some(start) = tables.find(&head).map(|at| at + head.len()) else { return "" };
    let rest = &tables[start..];
    &rest[..rest.find("#### ").unwrap_or(rest.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_found_by_its_name_among_those_provided() {
        let tables = "#### counts\na\tb\n#### measured\nc\n#### measured_outside\nd\n";
        assert_eq!(part(tables, "counts"), "a\tb\n");
        assert_eq!(part(tables, "measured"), "c\n");
        assert_eq!(part(tables, "measured_outside"), "d\n");
        assert_eq!(part(tables, "marks"), "");
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
