//! Curves of millions of points with as few as a picture shows.

/// Stretches that a smoothed curve is made of.
const STRETCHES: usize = 240;

/// Points from which a smoothed curve says more than the points do.
const WORTH_SMOOTHING: usize = 12;

/// At most two points for each of `buckets` stretches, the smallest and the largest, so that no spike is lost.
///
/// A stretch without any finite value becomes one point that is not a number, where the curve has a gap.
pub(crate) fn extremes(points: &[(f64, f64)], buckets: usize) -> Vec<(f64, f64)> {
    if points.len() <= 2 * buckets {
        return points.to_vec();
    }
    let mut thinned = Vec::with_capacity(2 * buckets);
    for stretch in points.chunks(points.len().div_ceil(buckets.max(1))) {
        let finite = stretch
            .iter()
            .enumerate()
            .filter(|(_, (_, y))| y.is_finite());
        let by_value = |a: &(usize, &(f64, f64)), b: &(usize, &(f64, f64))| a.1.1.total_cmp(&b.1.1);
        let least = finite.clone().min_by(by_value);
        let most = finite.max_by(by_value);
        match (least, most) {
            (Some((a, _)), Some((b, _))) if a == b => thinned.push(stretch[a]),
            (Some((a, _)), Some((b, _))) => {
                thinned.extend([stretch[a.min(b)], stretch[a.max(b)]]);
            }
            _ => thinned.push((stretch[0].0, f64::NAN)),
        }
    }
    thinned
}

/// The course of the points without their noise: means over stretches, each averaged with its neighbours by distance.
///
/// `None` where there are too few points for it. Values that are not finite are passed over.
pub(crate) fn smoothed(points: &[(f64, f64)]) -> Option<Vec<(f64, f64)>> {
    if points.len() < WORTH_SMOOTHING {
        return None;
    }
    let means: Vec<_> = points
        .chunks(points.len().div_ceil(STRETCHES))
        .map(|stretch| {
            let finite = stretch.iter().filter(|(_, y)| y.is_finite());
            let count = finite.clone().count() as f64;
            let (x, y) = finite.fold((0.0, 0.0), |(sum_x, sum_y), (x, y)| {
                (sum_x + x / count, sum_y + y / count)
            });
            match count {
                0.0 => (stretch[0].0, f64::NAN),
                _ => (x, y),
            }
        })
        .collect();
    let radius = (means.len() / 40).max(1);
    let smooth = |(index, &(x, y)): (usize, &(f64, f64))| {
        let (mut sum, mut weights) = (0.0, 0.0);
        let reach = radius.min(index).min(means.len() - 1 - index);
        // Neighbours count in pairs, or a steep curve would be bent at its ends and beside gaps.
        for distance in 0..=reach {
            let (left, right) = (means[index - distance], means[index + distance]);
            if left.1.is_finite() && right.1.is_finite() {
                let weight = (reach + 1 - distance) as f64;
                sum += weight * (left.1 + right.1) / 2.0;
                weights += weight;
            }
        }
        (
            x,
            if y.is_finite() {
                sum / weights
            } else {
                f64::NAN
            },
        )
    };
    Some(means.iter().enumerate().map(smooth).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_points_stay_as_they_are() {
        let points = [(1.0, 2.0), (2.0, f64::NAN), (3.0, 4.0)];
        assert_eq!(extremes(&points, 2)[2], (3.0, 4.0));
        assert_eq!(smoothed(&points), None);
    }

    #[test]
    fn a_spike_among_a_million_points_is_kept() {
        let mut points: Vec<_> = (0..1_000_000)
            .map(|step| (f64::from(step), 1.0 + f64::from(step % 7)))
            .collect();
        points[123_456].1 = 99.0;
        points[654_321].1 = -5.0;
        let thinned = extremes(&points, 500);
        assert!(thinned.len() <= 1000, "{}", thinned.len());
        assert!(thinned.contains(&(123_456.0, 99.0)));
        assert!(thinned.contains(&(654_321.0, -5.0)));
        assert!(thinned.is_sorted_by_key(|(x, _)| *x));
    }

    #[test]
    fn a_stretch_without_numbers_is_a_gap() {
        let points: Vec<_> = (0..1000)
            .map(|step| {
                let value = if (400..600).contains(&step) {
                    f64::NAN
                } else {
                    f64::from(step)
                };
                (f64::from(step), value)
            })
            .collect();
        let thinned = extremes(&points, 100);
        let gaps = thinned.iter().filter(|(_, y)| y.is_nan());
        assert_eq!(gaps.count(), 20);
        let smooth = smoothed(&points).unwrap();
        assert!(smooth.iter().any(|(_, y)| y.is_nan()));
        // A straight line stays one, at its ends and beside the gap.
        let on_the_line = |(x, y): &(f64, f64)| (x - y).abs() < 8.0;
        assert!(
            smooth
                .iter()
                .filter(|(_, y)| y.is_finite())
                .all(on_the_line)
        );
        assert!((smooth[0].0 - smooth[0].1).abs() < 1e-9);
    }

    #[test]
    fn noise_is_evened_out() {
        let points: Vec<_> = (0..10_000)
            .map(|step| (f64::from(step), 5.0 + f64::from(step % 2)))
            .collect();
        let smooth = smoothed(&points).unwrap();
        assert!(smooth.len() <= 240);
        assert!(smooth.iter().all(|(_, y)| (y - 5.5).abs() < 0.05));
    }
}
