//! Streams of any length in bounded memory.

/// Texts that are read and predicted together.
pub const WINDOW_TEXTS: usize = 1024;
/// Bytes after which they are fewer.
const WINDOW_BYTES: usize = 1 << 20;

/// Reads `items` some [`WINDOW_TEXTS`] at a time, predicts for them together, so that texts of
/// similar length share batches, and hands each with its prediction to `sink` in the order of the
/// input; memory does not grow with the stream. Returns how many there were.
///
/// `bytes` says how long an item is.
///
/// # Errors
///
/// The first of `items`, `predict` or `sink`; what came before the window at fault has been handed
/// out by then.
pub fn in_windows<T, P, E>(
    items: impl IntoIterator<Item = Result<T, E>>,
    bytes: impl Fn(&T) -> usize,
    mut predict: impl FnMut(&[T]) -> Result<Vec<P>, E>,
    sink: impl FnMut(usize, T, P) -> Result<(), E>,
) -> Result<usize, E> {
    let predict = |_, window: &[T]| predict(window);
    in_windows_of(WINDOW_TEXTS, items, bytes, predict, sink)
}

/// [`in_windows`] of at most `texts` items, with the number of a window's first one.
pub(crate) fn in_windows_of<T, P, E>(
    texts: usize,
    items: impl IntoIterator<Item = Result<T, E>>,
    bytes: impl Fn(&T) -> usize,
    mut predict: impl FnMut(usize, &[T]) -> Result<Vec<P>, E>,
    mut sink: impl FnMut(usize, T, P) -> Result<(), E>,
) -> Result<usize, E> {
    let mut items = items.into_iter();
    let mut done = 0;
    loop {
        let (mut window, mut size, mut failed) = (Vec::new(), 0, None);
        while window.len() < texts && size < WINDOW_BYTES && failed.is_none() {
            match items.next() {
                Some(Ok(item)) => {
                    size += bytes(&item);
                    window.push(item);
                }
                Some(Err(error)) => failed = Some(error),
                None => break,
            }
        }
        if window.is_empty() && failed.is_none() {
            return Ok(done);
        }
        if !window.is_empty() {
            let predictions = predict(done, &window)?;
            for (item, prediction) in window.into_iter().zip(predictions) {
                sink(done, item, prediction)?;
                done += 1;
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_before_a_failure_is_handed_out_in_order() {
        let items = (0..WINDOW_TEXTS + 7).map(Ok).chain([Err("gone")]);
        let mut windows = Vec::new();
        let mut seen = Vec::new();
        let outcome = in_windows(
            items,
            |_| 1,
            |window| {
                windows.push(window.len());
                Ok(window.iter().map(|item| item * 2).collect())
            },
            |index, item, double| {
                seen.push((index, item, double));
                Ok(())
            },
        );
        assert_eq!(outcome, Err("gone"));
        assert_eq!(windows, [WINDOW_TEXTS, 7]);
        assert!(
            seen.iter()
                .enumerate()
                .all(|(i, item)| *item == (i, i, 2 * i))
        );
        assert_eq!(seen.len(), WINDOW_TEXTS + 7);
    }

    #[test]
    fn windows_begin_where_the_last_one_ended() {
        let mut starts = Vec::new();
        let done = in_windows_of(
            5,
            (0..12).map(Ok::<_, ()>),
            |_| 1,
            |first, window| {
                starts.push((first, window.len()));
                Ok(window.to_vec())
            },
            |_, _, _| Ok(()),
        );
        assert_eq!((done, starts), (Ok(12), vec![(0, 5), (5, 5), (10, 2)]));
    }

    #[test]
    fn long_texts_make_small_windows() {
        let mut windows = Vec::new();
        let items = [WINDOW_BYTES, 1, WINDOW_BYTES - 1, 5].map(Ok::<_, ()>);
        let done = in_windows(
            items,
            |&bytes| bytes,
            |window| {
                windows.push(window.len());
                Ok(window.to_vec())
            },
            |_, _, _| Ok(()),
        );
        assert_eq!((done, windows), (Ok(4), vec![1, 2, 1]));
    }
}
