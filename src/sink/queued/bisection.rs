use std::ops::Range;

/// The ranges of a batch that are still to be written, in order.
///
/// At first this is one range. [Splitting](Self::split) a range that fails isolates a single bad event in
/// `log2(length)` attempts.
#[derive(Debug)]
pub(super) struct Bisection {
    length: usize,
    /// The next range is the last one.
    pending: Vec<Range<usize>>,
}

impl Bisection {
    pub(super) fn new(length: usize) -> Self {
        Self { length, pending: vec![Range { start: 0, end: length }] }
    }

    /// Yields a range again.
    pub(super) fn retry(&mut self, range: Range<usize>) {
        self.pending.push(range);
    }

    /// Yields the two halves of a range.
    pub(super) fn split(&mut self, range: Range<usize>) {
        let middle = range.start + range.len() / 2;
        self.pending.extend([middle..range.end, range.start..middle]);
    }

    /// Yields everything from an index on as one range.
    pub(super) fn restart(&mut self, start: usize) {
        self.pending.clear();
        self.pending.push(start..self.length);
    }

    /// Yields no more ranges.
    pub(super) fn stop(&mut self) {
        self.pending.clear();
    }
}

impl Iterator for Bisection {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        loop {
            let range = self.pending.pop()?;
            if !range.is_empty() {
                return Some(range);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Bisection;

    #[test]
    fn isolates_bad_events_and_keeps_the_order() {
        let bad = [3, 4, 9];
        let (mut good, mut isolated, mut attempts) = (Vec::new(), Vec::new(), 0);
        let mut ranges = Bisection::new(10);
        while let Some(range) = ranges.next() {
            attempts += 1;
            if !range.clone().any(|index| bad.contains(&index)) {
                good.extend(range);
            } else if range.len() == 1 {
                isolated.extend(range);
            } else {
                ranges.split(range);
            }
        }
        assert_eq!(good, [0, 1, 2, 5, 6, 7, 8]);
        assert_eq!(isolated, bad);
        assert!(attempts < 20, "{attempts} attempts");
    }

    #[test]
    fn restarts_with_one_range() {
        let mut ranges = Bisection::new(8);
        ranges.split(0..8);
        ranges.restart(6);
        assert_eq!((ranges.next(), ranges.next()), (Some(6..8), None));
        ranges.restart(8);
        assert_eq!(ranges.next(), None);
    }
}
