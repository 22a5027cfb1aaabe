//! The examples below each command's help. A test parses every line of them.

/// Examples of the program itself.
pub(crate) const ALL: &str = "\
Examples:
  gammascope all-MiniLM-L6-v2/                  # the same as inspect
  gammascope inspect org/model@main             # from a hub, a few kilobytes
  gammascope verify all-MiniLM-L6-v2/           # run the model and measure it
  gammascope scan checkpoints/ -o results.jsonl  # many checkpoints
  gammascope completions bash

Exit codes: 0 done, 1 wrong usage, 2 unreadable input, 3 done with warnings
under --strict, 4 a folded checkpoint computes something else (fold --prove),
5 a rule is broken (check).";

/// Examples of `inspect`.
pub(crate) const INSPECT: &str = "\
Examples:
  gammascope inspect all-MiniLM-L6-v2/          # a folder
  gammascope inspect model.Q4_K_M.gguf          # a file
  gammascope inspect org/model@main             # a model on a hub
  gammascope inspect model/ --all --wide        # every site, every column
  gammascope inspect model/ --explain layers.3.norm  # why this verdict
  gammascope inspect model/ --json > report.json";

/// Examples of `measure`.
pub(crate) const MEASURE: &str = "\
Examples:
  gammascope measure model/ --activations outputs.safetensors
  gammascope measure model/ --activations y.npy --site model.norm
  gammascope measure model/ --alone             # no activations, no evidence";

/// Examples of `verify`.
pub(crate) const VERIFY: &str = "\
Examples:
  gammascope verify model/                      # on a sample text
  gammascope verify model/ --plan               # what it would take
  gammascope verify model/ --text essay.txt --tokens 4096
  gammascope verify vit/ --images cat.jpg dog.jpg
  gammascope verify model/ --preservation       # does the function change?
  gammascope verify model/ --random-init 1      # next to random weights";

/// Examples of `compare`.
pub(crate) const COMPARE: &str = "\
Examples:
  gammascope compare base/ tuned/
  gammascope compare model/ model.Q8_0.gguf     # is the conversion right?
  gammascope compare step-1000/ step-2000/ --all
  gammascope compare model/ folded/ --modulo-dead  # is the rest the same?";

/// Examples of `export`.
pub(crate) const EXPORT: &str = "\
Examples:
  gammascope export model/ -o kernels.safetensors
  gammascope export model/ -o kernels.json --site model.norm";

/// Examples of `check`.
pub(crate) const CHECK: &str = "\
Examples:
  gammascope check model/ --expect layernorm
  gammascope check model/ --expect rmsnorm --no-near-dead --no-warnings
  gammascope check tuned/ --same-norms-as base/ --max-dead-share 0.01";

/// Examples of `fold`.
pub(crate) const FOLD: &str = "\
Examples:
  gammascope fold model/ --scales --shifts --dry-run   # what would change
  gammascope fold model/ -o folded/ --scales --shifts --prove
  gammascope fold gpt2/ -o centred/ --centre
  gammascope fold all-MiniLM-L6-v2/ -o clean/ --canonical
  gammascope fold model/ --prune                # which widths could be cut
  gammascope fold broken/ -o repaired/ --repair-offset  # a wrong 1 of 1 + w";

/// Examples of `adapter`.
pub(crate) const ADAPTER: &str = "\
Examples:
  gammascope adapter base/ lora/
  gammascope adapter base/ adapter_model.safetensors --all";

/// Examples of `share`.
pub(crate) const SHARE: &str = "\
Examples:
  gammascope share model/ --html report.html    # one file
  gammascope share model/ --page https://example.org/gammascope/
  gammascope share model/ --no-names            # without names";

/// Examples of `scan`.
pub(crate) const SCAN: &str = "\
Examples:
  gammascope scan checkpoints/ -o results.jsonl  # run it again to continue
  gammascope scan models.txt -o results.jsonl --parquet results.parquet
  gammascope scan checkpoints/ --no-weights --jobs 4";

/// Examples of `completions`.
pub(crate) const COMPLETIONS: &str = "\
Examples:
  gammascope completions bash > ~/.gammascope.bash
  echo source ~/.gammascope.bash >> ~/.bashrc
  gammascope completions zsh > ~/.zfunc/_gammascope
  gammascope completions fish > ~/.config/fish/completions/gammascope.fish";

/// Examples of `man`.
pub(crate) const MAN: &str = "\
Examples:
  gammascope man > gammascope.1
  gammascope man verify > gammascope-verify.1";
