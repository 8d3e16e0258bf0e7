//! What a score means: fitted to verdicts, measured against them.
//!
//! A kind's scores are taken at their word until thirty verdicts say what they mean; then Platt's two parameters are fitted,
//! and after two hundred verdicts isotonic regression, which assumes nothing but that a higher score is at least as likely.
//! What is fitted is proposed, never put in force by itself.
//!
//! Verdicts are given on what was said, so they tell nothing about what was not: a calibration holds for scores that lead to a
//! situation, and a random share of ordinary passages should be reviewed too.

use crate::evidence::logit;
use alloc::vec::Vec;
use quaywatch_schemas::{
    Calibration,
    model::{MOST_KNOTS, logistic},
};

/// Verdicts from which on two parameters are fitted. Origin: with fewer, the error of the fit is larger than that of scores
/// which are off by a factor of two.
pub const PLATT_FROM: usize = 30;
/// Verdicts from which on a curve is fitted.
pub const ISOTONIC_FROM: usize = 200;

/// A score and whether it was so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// Log-odds as they were.
    pub log_odds: f64,
    /// Whether it was so.
    pub so: bool,
}

/// What verdicts say scores mean; the identity where there are too few.
pub fn fit(scored: &[Scored]) -> Calibration {
    match scored.len() {
        few if few < PLATT_FROM => Calibration::Identity,
        some if some < ISOTONIC_FROM => platt(scored),
        _ => isotonic(scored),
    }
}

/// The mean square of what was promised minus what was: 0 is perfect, 0.25 is a coin. `None` without any.
pub fn brier(promised: impl Iterator<Item = (f64, bool)>) -> Option<f64> {
    let (sum, count) = promised.fold((0.0, 0u32), |(sum, count), (p, so)| {
        let error = p - f64::from(u8::from(so));
        (sum + error * error, count + 1)
    });
    (count > 0).then(|| sum / f64::from(count))
}

/// Expected calibration error over ten bins of equal width: how far promises are off, on average. `None` without any.
pub fn expected_error(promised: impl Iterator<Item = (f64, bool)>) -> Option<f64> {
    let mut bins = [(0.0f64, 0.0f64, 0u32); 10];
    let mut count = 0u32;
    for (p, so) in promised {
        if let Some((promises, truths, of)) = bins.get_mut((p * 10.0).clamp(0.0, 9.0) as usize) {
            *promises += p;
            *truths += f64::from(u8::from(so));
            *of += 1;
        }
        count += 1;
    }
    let off: f64 = bins.iter().map(|(promises, truths, _)| libm::fabs(promises - truths)).sum();
    (count > 0).then(|| off / f64::from(count))
}

/// Platt's slope and offset by Newton's method on the smoothed targets of Platt (1999), held to the identity by a weak normal
/// prior, so that verdicts of one kind only, or scores that are all alike, leave alone what they cannot tell.
fn platt(scored: &[Scored]) -> Calibration {
    let yes = scored.iter().filter(|it| it.so).count() as f64;
    let no = scored.len() as f64 - yes;
    let (target_yes, target_no) = ((yes + 1.0) / (yes + 2.0), 1.0 / (no + 2.0));
    let target = |it: &Scored| if it.so { target_yes } else { target_no };
    let loss = |slope: f64, offset: f64| {
        let prior = (slope - 1.0) * (slope - 1.0) / SLOPE_VARIANCE + offset * offset / OFFSET_VARIANCE;
        scored.iter().fold(prior / 2.0, |sum, it| {
            let z = slope * it.log_odds + offset;
            // ln(1 + e^z) - t z, without overflow.
            sum + z.max(0.0) + libm::log1p(libm::exp(-libm::fabs(z))) - target(it) * z
        })
    };
    let (mut slope, mut offset) = (1.0, 0.0);
    let mut now = loss(slope, offset);
    for _ in 0..MOST_STEPS {
        let mut g = [(slope - 1.0) / SLOPE_VARIANCE, offset / OFFSET_VARIANCE];
        let mut h = [1.0 / SLOPE_VARIANCE, 0.0, 1.0 / OFFSET_VARIANCE];
        for it in scored {
            let p = logistic(slope * it.log_odds + offset);
            let (error, spread) = (p - target(it), p * (1.0 - p));
            g[0] += error * it.log_odds;
            g[1] += error;
            h[0] += spread * it.log_odds * it.log_odds;
            h[1] += spread * it.log_odds;
            h[2] += spread;
        }
        // The prior makes the Hessian positive definite.
        let det = h[0] * h[2] - h[1] * h[1];
        let step = [(h[2] * g[0] - h[1] * g[1]) / det, (h[0] * g[1] - h[1] * g[0]) / det];
        let mut share = 1.0;
        let better = loop {
            let (s, o) = (slope - share * step[0], offset - share * step[1]);
            let then = loss(s, o);
            if then < now {
                break Some((s, o, then));
            }
            share /= 2.0;
            if share < 1e-6 {
                break None;
            }
        };
        let Some((s, o, then)) = better else { break };
        let gained = now - then;
        (slope, offset, now) = (s, o, then);
        if gained < 1e-10 {
            break;
        }
    }
    // A kind whose higher scores are less often so has a fault that no calibration should hide: such scores mean what they
    // mean on average.
    if slope < LEAST_SLOPE {
        slope = LEAST_SLOPE;
        let share = (yes + 1.0) / (yes + no + 2.0);
        let mean = scored.iter().map(|it| it.log_odds).sum::<f64>() / (yes + no);
        offset = logit(share) - slope * mean;
    }
    Calibration::Platt { slope: rounded(slope), offset: rounded(offset) }
}

const MOST_STEPS: usize = 50;
/// Scores of one kind are often much alike: then verdicts say that they are too high or too low, not how steep they are.
const SLOPE_VARIANCE: f64 = 0.25;
const OFFSET_VARIANCE: f64 = 4.0;
const LEAST_SLOPE: f64 = 0.05;

/// Pool adjacent violators over bins of equal count. One *so* below the lowest score and one *not so* above the highest keep
/// the ends from promising never and always.
fn isotonic(scored: &[Scored]) -> Calibration {
    let mut scored: Vec<Scored> = scored.iter().filter(|it| it.log_odds.is_finite()).copied().collect();
    scored.sort_by(|a, b| a.log_odds.total_cmp(&b.log_odds));
    let (Some(lowest), Some(highest)) = (scored.first().copied(), scored.last().copied()) else {
        return Calibration::Identity;
    };
    scored.insert(0, Scored { log_odds: lowest.log_odds, so: true });
    scored.push(Scored { log_odds: highest.log_odds, so: false });
    let size = scored.len().div_ceil(MOST_KNOTS);
    let bins: Vec<(f64, f64, f64)> = scored
        .chunks(size)
        .map(|bin| {
            let count = bin.len() as f64;
            let so = bin.iter().filter(|it| it.so).count() as f64;
            (bin.iter().map(|it| it.log_odds).sum::<f64>() / count, so, count)
        })
        .collect();
    // Blocks of bins: how many, how many were so, of how many.
    let mut blocks: Vec<(usize, f64, f64)> = Vec::new();
    for (_, so, count) in &bins {
        let mut block = (1, *so, *count);
        while let Some(before) = blocks.last().filter(|before| before.1 * block.2 >= block.1 * before.2) {
            block = (block.0 + before.0, block.1 + before.1, block.2 + before.2);
            blocks.pop();
        }
        blocks.push(block);
    }
    let heights = blocks.iter().flat_map(|(bins, so, count)| core::iter::repeat_n(so / count, *bins));
    let knots = bins.iter().zip(heights).map(|((at, ..), p)| (rounded(*at), rounded(p))).collect();
    Calibration::Isotonic { knots }
}

/// Four digits: what a person reads is what is put in force.
pub(crate) fn rounded(value: f64) -> f64 {
    libm::round(value * 1e4) / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    /// Scores spread evenly over -4 to 4, of which the share is so that a truth makes of them: no chance in it.
    fn scores(count: usize, truth: impl Fn(f64) -> f64) -> Vec<Scored> {
        let mut owed = 0.0;
        (0..count)
            .map(|i| {
                // A fixed stride visits all scores in a mixed order.
                let log_odds = -4.0 + 8.0 * ((i * 37) % count) as f64 / count as f64;
                owed += truth(log_odds);
                let so = owed >= 0.5;
                if so {
                    owed -= 1.0;
                }
                Scored { log_odds, so }
            })
            .collect()
    }

    fn error(scored: &[Scored], calibration: &Calibration) -> f64 {
        expected_error(scored.iter().map(|it| (calibration.probability(it.log_odds), it.so))).unwrap()
    }

    #[test]
    fn too_few_verdicts_change_nothing() {
        assert_eq!(fit(&scores(PLATT_FROM - 1, |_| 0.2)), Calibration::Identity);
        assert_eq!(fit(&[]), Calibration::Identity);
    }

    #[test]
    fn scores_that_are_too_sure_are_taken_down() {
        let too_sure = scores(150, |log_odds| logistic(0.5 * log_odds - 0.5));
        let fitted = fit(&too_sure);
        let Calibration::Platt { slope, offset } = fitted else { panic!("{fitted:?}") };
        assert!((0.35..0.65).contains(&slope) && (-0.8..-0.2).contains(&offset), "{fitted:?}");
        assert!(error(&too_sure, &fitted) < 0.5 * error(&too_sure, &Calibration::Identity));
    }

    #[test]
    fn scores_that_are_right_stay_nearly_what_they_are() {
        let Calibration::Platt { slope, offset } = fit(&scores(199, logistic)) else { panic!() };
        assert!((slope - 1.0).abs() < 0.2 && offset.abs() < 0.2, "{slope} {offset}");
    }

    #[test]
    fn scores_that_are_upside_down_mean_what_they_mean_on_average() {
        let fitted = fit(&scores(180, |log_odds| 1.0 - logistic(2.0 * log_odds)));
        let Calibration::Platt { slope, .. } = fitted else { panic!("{fitted:?}") };
        assert!(slope <= 0.1 && (fitted.probability(0.0) - 0.5).abs() < 0.05, "{fitted:?}");
    }

    #[test]
    fn a_curve_follows_what_two_parameters_cannot() {
        // Half of all scores below 1 are so, and nearly all above: no logistic does that.
        let stepped = scores(600, |log_odds| if log_odds < 1.0 { 0.5 } else { 0.95 });
        let fitted = fit(&stepped);
        assert!(matches!(fitted, Calibration::Isotonic { .. }));
        assert!(error(&stepped, &fitted) < 0.03, "{}", error(&stepped, &fitted));
        assert!(error(&stepped, &platt(&stepped)) > 2.0 * error(&stepped, &fitted));
        assert!((fitted.probability(-3.0) - 0.5).abs() < 0.05 && fitted.probability(9.0) < 1.0);
    }

    #[test]
    fn verdicts_of_one_kind_only_never_promise_certainty() {
        for count in [PLATT_FROM, ISOTONIC_FROM] {
            let all: Vec<Scored> = (0..count).map(|_| Scored { log_odds: 3.0, so: true }).collect();
            let p = fit(&all).probability(3.0);
            assert!((0.9..1.0).contains(&p), "{count}: {p}");
        }
    }

    #[test]
    fn promises_are_measured_by_brier_and_by_ten_bins() {
        let promised = || [(0.9, true), (0.9, true), (0.9, true), (0.9, false), (0.25, false)].into_iter();
        assert!((brier(promised()).unwrap() - (3.0 * 0.01 + 0.81 + 0.0625) / 5.0).abs() < 1e-12);
        assert!((expected_error(promised()).unwrap() - (4.0 * 0.15 + 0.25) / 5.0).abs() < 1e-12);
        assert_eq!((brier([].into_iter()), expected_error([].into_iter())), (None, None));
    }

    proptest! {
        /// Whatever people say: a calibration that never falls, never leaves 0 to 1, and is bounded.
        #[test]
        fn any_verdicts_give_a_calibration(verdicts in proptest::collection::vec((-30.0..30.0f64, any::<bool>()), 0..400)) {
            let scored: Vec<Scored> = verdicts.iter().map(|(log_odds, so)| Scored { log_odds: *log_odds, so: *so }).collect();
            let fitted = fit(&scored);
            if let Calibration::Isotonic { knots } = &fitted {
                prop_assert!(knots.len() <= MOST_KNOTS);
            }
            let found: Vec<f64> = (-80..=80).map(|step| fitted.probability(f64::from(step) / 2.0)).collect();
            prop_assert!(found.iter().all(|p| (0.0..=1.0).contains(p)));
            prop_assert!(found.windows(2).all(|pair| pair[0] <= pair[1]), "{:?}", fitted);
        }
    }

    #[test]
    fn unsorted_and_endless_scores_are_no_trouble() {
        let mut odd = vec![Scored { log_odds: f64::INFINITY, so: true }; 250];
        assert_eq!(isotonic(&odd), Calibration::Identity);
        odd.extend(scores(250, logistic));
        assert!(matches!(fit(&odd), Calibration::Isotonic { .. }));
    }
}
