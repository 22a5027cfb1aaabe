//! Which fields of a configuration transformers' code reads. A field that it does not read cannot change what the model computes.
//!
//! The table is made from the sources by `scripts/registry/fields.py`. Old versions count too: they read fields that newer ones do not.

/// A line for each family: its name and the fields that its code may read. The line `*` has those of the code that all families share.
const TABLE: &str = include_str!("read_fields.tsv");

/// Whether the code of a family may read a field. `None` if the family is not in the table.
pub(super) fn may_read(family: &str, field: &str) -> Option<bool> {
    let of = |name: &str| {
        let mut lines = TABLE.lines().map(|line| line.split('\t'));
        lines.find_map(|mut line| (line.next() == Some(name)).then_some(line))
    };
    let holds = |mut fields: std::str::Split<'_, char>| fields.any(|name| name == field);
    Some(holds(of(family)?) || of("*").is_some_and(holds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::families::rows;

    #[test]
    fn fields_that_change_the_function_are_read_and_others_are_not() {
        for (family, field) in [
            ("gpt2", "scale_attn_by_inverse_layer_idx"),
            ("gpt2", "hidden_size"),
            ("llama", "rope_scaling"),
            ("llama", "mlp_bias"),
            // Only versions before 5 read it.
            ("bert", "position_embedding_type"),
            ("falcon", "new_decoder_architecture"),
            ("gemma2", "attn_logit_softcapping"),
        ] {
            assert_eq!(may_read(family, field), Some(true), "{family} {field}");
        }
        assert_eq!(may_read("gpt2", "condition_on_chain"), Some(false));
        assert_eq!(may_read("gpt2", "attn_logit_softcapping"), Some(false));
        assert_eq!(may_read("timm_vit", "anything"), None);
    }

    #[test]
    fn every_family_of_transformers_that_runs_is_in_the_table() {
        let families = rows().flat_map(|row| row.families).filter(|family| !family.starts_with("timm_"));
        let absent: Vec<_> = families.filter(|family| may_read(family, "").is_none()).collect();
        assert!(absent.is_empty(), "{absent:?}: run scripts/registry/fields.py");
    }
}
