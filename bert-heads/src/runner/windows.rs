//! Windows of texts that are longer than a row.

use std::ops::Range;

/// Number of windows of `size` tokens that cover `length` and share at least `overlap` with their
/// neighbours.
pub(crate) fn count(length: usize, size: usize, overlap: usize) -> usize {
    if length <= size {
        return 1;
    }
    let step = size - overlap.min(size / 2);
    1 + (length - size).div_ceil(step)
}

/// Window `number` of `count` windows of `size` tokens that are spread evenly over `length`; the
/// whole text where it is shorter.
pub(crate) fn spread(length: usize, size: usize, count: usize, number: usize) -> Range<usize> {
    let room = length.saturating_sub(size);
    let start = match count {
        0 | 1 => 0,
        count => room * number / (count - 1),
    };
    start..(start + size).min(length)
}

/// Windows of `size` tokens that begin every `step` tokens, at most `size`; the last one ends where
/// the text does.
pub(crate) fn strided(
    length: usize,
    size: usize,
    step: usize,
) -> impl Iterator<Item = Range<usize>> {
    let count = 1 + length.saturating_sub(size).div_ceil(step.max(1));
    (0..count).map(move |number| number * step..(number * step + size).min(length))
}

/// The fewest ranges of at most `size` tokens without overlap, as equal as possible.
pub(crate) fn parts(length: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    let count = length.div_ceil(size);
    (0..count).map(move |number| length * number / count..length * (number + 1) / count)
}

/// Index of the window that shows a token with most context (run_squad.py `_check_is_max_context`):
/// the first of those with the most tokens on the poorer side, a longer window before a shorter one.
pub(crate) fn with_most_context<'a>(
    windows: impl IntoIterator<Item = &'a Range<usize>>,
    token: usize,
) -> Option<usize> {
    let mut best: Option<(f64, usize)> = None;
    for (index, window) in windows.into_iter().enumerate() {
        if !window.contains(&token) {
            continue;
        }
        let poorer = (token - window.start).min(window.end - 1 - token);
        let score = poorer as f64 + 0.01 * window.len() as f64;
        if best.is_none_or(|(highest, _)| score > highest) {
            best = Some((score, index));
        }
    }
    best.map(|(_, index)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_everything_and_overlap() {
        for length in 1..60 {
            for (size, overlap) in [(7, 0), (7, 3), (9, 4), (13, 1)] {
                let count = count(length, size, overlap);
                let windows: Vec<_> = (0..count)
                    .map(|number| spread(length, size, count, number))
                    .collect();
                assert_eq!(
                    (windows[0].start, windows[count - 1].end),
                    (0, length),
                    "{length} {size} {overlap}"
                );
                assert!(windows.iter().all(|window| window.len() <= size));
                for pair in windows.windows(2) {
                    assert!(pair[1].start + overlap <= pair[0].end, "{pair:?}");
                }
            }
        }
    }

    #[test]
    fn strided_windows_end_with_the_text() {
        let windows = |length, size, step| strided(length, size, step).collect::<Vec<_>>();
        assert_eq!(windows(11, 5, 2), [0..5, 2..7, 4..9, 6..11]);
        assert_eq!(windows(11, 5, 5), [0..5, 5..10, 10..11]);
        assert!(strided(5, 5, 2).eq(std::iter::once(0..5)));
        assert!(strided(0, 5, 2).eq(std::iter::once(0..0)));
    }

    #[test]
    fn parts_are_about_equal_and_cover_everything() {
        let sizes = |length, size| -> Vec<usize> {
            let parts: Vec<Range<usize>> = parts(length, size).collect();
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert_eq!(parts.last().map_or(0, |part| part.end), length);
            parts.iter().map(Range::len).collect()
        };
        assert_eq!(sizes(10, 4), [3, 3, 4]);
        assert_eq!(sizes(8, 4), [4, 4]);
        assert_eq!(sizes(3, 4), [3]);
        assert!(sizes(0, 4).is_empty());
    }

    #[test]
    fn a_token_belongs_to_the_window_with_most_context() {
        let windows = [0..5, 2..7, 4..8];
        let best = |token| with_most_context(&windows, token);
        let found: Vec<_> = (0..9).map(best).collect();
        assert_eq!(found[..8], [0, 0, 0, 0, 1, 1, 2, 2].map(Some));
        assert_eq!(found[8], None);
    }
}
