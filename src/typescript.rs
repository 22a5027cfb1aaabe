//! `www/report.ts` is generated from the Rust schema. This test fails if the two differ.
//!
//! Regenerate it with `UPDATE_TYPES=1 cargo test typescript`.

use crate::checkpoint::Format;
use crate::checkpoint::formats::BESIDE_WEIGHTS;
use crate::checkpoint::gather::Gathered;
use crate::fold::ready::BESIDE;
use crate::inspect::{Progress, Stage};
use crate::kernel::scale::NEAR_DEAD;
use crate::kernel::spectrum::TAU;
use crate::measure::residual::{BottomDirection, Least, Stream};
use crate::model::operation::Reads;
use crate::norm::verdict::THRESHOLD;
use crate::plot::{Cell, Column, Figure, FigureKind, Mark, Table};
use crate::report::adapter::{AdapterMethod, AdapterModule, AdapterRenaming, AdapterReport, SkippedModule};
use crate::report::claims::Claim;
use crate::report::comparison::{ComparedCheckpoint, Comparison, MatchedBy, SiteComparison, UnpairedSite};
use crate::report::contents::{Contents, Document};
use crate::report::fold::{
    FoldDifference, FoldLeft, FoldOperation, FoldOutcome, FoldProof, FoldReport, FoldedNorm, FoldedReader,
    FoldedTensor, FoldedWriter,
};
use crate::report::kernels::{ExportedKernel, KernelExport};
use crate::report::measured::{Outcome, Outcomes};
use crate::report::modulo_dead::{ModuloDead, ModuloDeadDifference, ReaderDifference};
use crate::report::plan::{MachinePlan, MeasurementPlan, RunInput, RunOptions, RunPlan, RunSites};
use crate::report::random_init::{RandomInit, RandomInitSite};
use crate::report::repair::{OffsetRepair, OffsetVersion, RepairedNorm};
use crate::report::scan::ScanLine;
use crate::report::story::Story;
use crate::report::*;
use crate::run::device::Wanted;
use crate::run::pass::Measured;
use crate::run::result::{RunOutcome, RunResult};
use std::path::Path;
use ts_rs::{Config, TS};

/// Every exported type, in the order of the file.
fn declarations() -> String {
    let config = Config::default();
    let mut file = String::from(
        "// Generated from src/report, src/plot and src/inspect: run `UPDATE_TYPES=1 cargo test typescript`.\n",
    );
    for (name, meaning, value) in [
        ("THRESHOLD", "The least probability at which a kind is named.", THRESHOLD),
        ("NEAR_DEAD", "A channel is near-dead up to this share of the median scale.", NEAR_DEAD),
        ("TAU", "Variance below this share of the mean counts as none.", TAU),
        ("SUBTRACTED", "Below this scale-free depth the mean was subtracted.", MeasuredVerdict::SUBTRACTED),
        ("NOT_SUBTRACTED", "Above this scale-free depth it was not.", MeasuredVerdict::NOT_SUBTRACTED),
    ] {
        file.push_str(&format!("\n/** {meaning} */\nexport const {name} = {value:e};\n"));
    }
    let list = |texts: &[&str]| texts.iter().map(|text| format!("'{text}'")).collect::<Vec<_>>().join(", ");
    let endings: Vec<&str> = Format::ALL.into_iter().flat_map(Format::endings).copied().collect();
    for (name, meaning, texts) in [
        ("WEIGHTS_ENDINGS", "Ends of the names of files with weights that are read.", list(&endings)),
        (
            "BESIDE_WEIGHTS",
            "First words of the names of files with such an end that hold no weights.",
            list(&BESIDE_WEIGHTS),
        ),
        ("COPIED_BESIDE", "Ends of the names of files that are copied beside folded weights.", list(&BESIDE)),
    ] {
        file.push_str(&format!("\n/** {meaning} */\nexport const {name}: readonly string[] = [{texts}];\n"));
    }
    macro_rules! declare {
        ($($name:ty),* $(,)?) => { $(
            file.push('\n');
            file.push_str("export ");
            file.push_str(&<$name>::decl(&config));
            file.push('\n');
        )* };
    }
    declare!(
        Gathered,
        Report,
        CheckpointSummary,
        RemoteSummary,
        ModelSummary,
        ModelVerdict,
        PartSummary,
        Finding,
        FindingCode,
        FindingSection,
        NormReport,
        NormKind,
        NormRole,
        ScaleConvention,
        EvidenceReport,
        AlternativeReport,
        NormBehaviour,
        WriterReport,
        SharedSummary,
        ResidualBlock,
        ResidualFall,
        StackName,
        StackSummary,
        FallPlace,
        FallPart,
        KindByLoss,
        PassSummary,
        Preservation,
        PreservationPoint,
        PreservationDirection,
        PreservationMeasure,
        PreservationVerdict,
        WriterPart,
        KernelReport,
        KernelForm,
        ReaderReport,
        ReaderUse,
        DeadDirections,
        DeadParameters,
        Verification,
        MeasurementPlan,
        RunInput,
        RunOptions,
        RunPlan,
        MachinePlan,
        RunSites,
        NormAlone,
        SiteVerification,
        RandomInit,
        RandomInitSite,
        Claim,
        Story,
        MeasuredVerdict,
        Interval,
        Component,
        Eigenvalue,
        Warning,
        WarningCode,
        Comparison,
        ComparedCheckpoint,
        MatchedBy,
        SiteComparison,
        UnpairedSite,
        ModuloDead,
        ModuloDeadDifference,
        ReaderDifference,
        KernelExport,
        ExportedKernel,
        AdapterReport,
        AdapterModule,
        AdapterMethod,
        AdapterRenaming,
        SkippedModule,
        FoldReport,
        FoldOperation,
        FoldOutcome,
        FoldedNorm,
        FoldedReader,
        FoldedWriter,
        FoldLeft,
        FoldedTensor,
        FoldProof,
        FoldDifference,
        OffsetRepair,
        OffsetVersion,
        RepairedNorm,
        ScanLine,
        Contents,
        Document,
        Outcome,
        Outcomes,
        Wanted,
        Measured,
        Stream,
        Least,
        BottomDirection,
        RunOutcome,
        RunResult,
        Reads,
        Progress,
        Stage,
        Figure,
        FigureKind,
        Mark,
        Table,
        Column,
        Cell,
    );
    file
}

#[test]
fn the_typescript_types_are_those_of_the_report() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("www/report.ts");
    let expected = declarations();
    if std::env::var_os("UPDATE_TYPES").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    let differs =
        std::iter::zip(found.lines(), expected.lines()).position(|(found, expected)| found != expected);
    assert!(
        found == expected,
        "www/report.ts differs from line {}: run `UPDATE_TYPES=1 cargo test typescript`",
        differs.unwrap_or(found.lines().count().min(expected.lines().count())) + 1
    );
}
