//! What the scale of one site proves, as the report says it.

use crate::kernel::direction::{Direction, Kernel, deepening};
use crate::kernel::scale::Scale;
use crate::kernel::spectrum::{IsotropicSpectrum, TAU};
use crate::report::{KernelForm, KernelReport, NormKind};

/// The kernel that a scale and a kind prove. `None` if it depends on a kind that is not known.
pub(crate) fn kernel_of(scale: &Scale, kind: NormKind) -> Option<Kernel> {
    match kind {
        NormKind::LayerNorm => Some(Kernel::of(scale, true)),
        NormKind::RmsNorm => Some(Kernel::of(scale, false)),
        NormKind::Other => None,
        // Coordinates with γᵢ = 0 are constant whatever the norm; only the inverse-scale direction needs the kind.
        NormKind::Unknown => Some(Kernel::of(scale, false)).filter(|kernel| kernel.dimension() > 0),
    }
}

/// The kernel and the magnitudes of the scale.
pub(super) fn kernel_report(scale: Option<&Scale>, kernel: Option<&Kernel>, kind: NormKind) -> KernelReport {
    let indices = |indices: Vec<usize>| indices.into_iter().map(|index| index as u32).collect::<Vec<u32>>();
    let magnitudes = scale.map(Scale::magnitudes);
    let direction = match kernel {
        Some(Kernel::InverseScale(direction)) => Some(direction),
        _ => None,
    };
    let largest = direction.map(|direction| direction.largest());
    let subtracts_mean = match kind {
        NormKind::LayerNorm => Some(true),
        NormKind::RmsNorm => Some(false),
        NormKind::Other | NormKind::Unknown => None,
    };
    KernelReport {
        form: match kernel {
            Some(Kernel::InverseScale(_)) => KernelForm::InverseScale,
            Some(Kernel::Coordinates(_)) => KernelForm::Coordinates,
            Some(Kernel::None) => KernelForm::None,
            None => KernelForm::Unknown,
        },
        coordinates: scale.map(|scale| indices(scale.zeros())).unwrap_or_default(),
        participation: direction.map(Direction::participation),
        max_component: largest.map(|(_, size)| size),
        max_index: largest.map(|(index, _)| index as u32),
        inverse_norm: direction.map(|direction| direction.inverse_norm).filter(|norm| norm.is_finite()),
        deepening: direction.and(scale).map(deepening),
        condition: magnitudes.as_ref().map(|all| all.max / all.min).filter(|condition| condition.is_finite()),
        scale_min_abs: magnitudes.as_ref().map(|all| all.min),
        scale_median_abs: magnitudes.as_ref().map(|all| all.median),
        scale_max_abs: magnitudes.as_ref().map(|all| all.max),
        near_dead_weight: direction.zip(scale).map(|(direction, scale)| {
            // An empty `sum` is −0.
            scale.near_dead().iter().fold(0.0, |sum, &index| sum + direction.components[index].powi(2))
        }),
        near_dead: scale.map(|scale| indices(scale.near_dead())).unwrap_or_default(),
        predicted_below_tau: scale
            .zip(subtracts_mean)
            .map(|(scale, subtracts)| IsotropicSpectrum::new(scale, subtracts).count_below(TAU) as u32),
    }
}
