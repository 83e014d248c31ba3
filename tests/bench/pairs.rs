//! Interleaved pairs. On a shared machine a single figure says more about its neighbours than
//! about the program; the comparison of two runs right after one another does not. It must never
//! hand out a figure of one side alone.

/// Nanoseconds of one run, or why there are none.
pub(crate) type Figure = Result<f64, String>;

/// Runs of two things, each pair right after one another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pairs(Vec<(f64, f64)>);

/// What a row of figures showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

/// Measures `count` pairs after one that warms up and does not count. Every other pair begins with
/// the second, so that going first is no advantage.
pub(crate) fn measure(
    count: usize,
    mut base: impl FnMut() -> Figure,
    mut other: impl FnMut() -> Figure,
) -> Result<Pairs, String> {
    base()?;
    other()?;
    let mut pairs = Vec::with_capacity(count);
    for round in 0..count {
        let pair = if round % 2 == 0 {
            let first = base()?;
            (first, other()?)
        } else {
            let first = other()?;
            (base()?, first)
        };
        pairs.push(pair);
    }
    Pairs::new(pairs)
}

impl Pairs {
    /// Pairs of (base, other). There must be one, and time must have passed in each.
    pub(crate) fn new(pairs: Vec<(f64, f64)>) -> Result<Self, String> {
        let sound = |&(base, other): &(f64, f64)| base > 0.0 && other > 0.0;
        if pairs.is_empty() || !pairs.iter().all(sound) {
            return Err(format!("not a measurement: {pairs:?}"));
        }
        Ok(Self(pairs))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The second of each pair divided by the first.
    pub(crate) fn ratio(&self) -> Spread {
        Spread::of(self.0.iter().map(|(base, other)| other / base))
    }

    /// The second of each pair less the first, in nanoseconds.
    pub(crate) fn added(&self) -> Spread {
        Spread::of(self.0.iter().map(|(base, other)| other - base))
    }
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Self { median, min: values[0], max: values[values.len() - 1] }
    }

    /// The same in another unit.
    pub(crate) fn divided_by(self, unit: f64) -> Self {
        Self { median: self.median / unit, min: self.min / unit, max: self.max / unit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn pairs_are_interleaved_and_take_turns_in_going_first() {
        let order = RefCell::new(String::new());
        let take = |name: char, figure: f64| {
            order.borrow_mut().push(name);
            Ok(figure)
        };
        let pairs = measure(3, || take('a', 2.0), || take('b', 3.0)).unwrap();
        assert_eq!(*order.borrow(), "ab ab ba ab".replace(' ', ""));
        assert_eq!(pairs, Pairs(vec![(2.0, 3.0); 3]), "whoever goes first, base is base");
    }

    #[test]
    fn the_ratio_is_taken_within_pairs() {
        // The machine slows down tenfold: medians of each side would show 10/1 and worse.
        let pairs = Pairs::new(vec![(1.0, 2.0), (1.0, 2.0), (10.0, 20.0)]).unwrap();
        assert_eq!(pairs.ratio(), Spread { median: 2.0, min: 2.0, max: 2.0 });
        assert_eq!(pairs.added(), Spread { median: 1.0, min: 1.0, max: 10.0 });
    }

    #[test]
    fn an_even_number_has_its_median_in_the_middle() {
        let pairs = Pairs::new(vec![(1.0, 4.0), (1.0, 1.0), (1.0, 2.0), (1.0, 9.0)]).unwrap();
        assert_eq!(pairs.ratio(), Spread { median: 3.0, min: 1.0, max: 9.0 });
    }

    #[test]
    fn a_run_that_fails_leaves_no_row() {
        let failed = measure(2, || Ok(1.0), || Err("it did not start".to_owned()));
        assert_eq!(failed, Err("it did not start".to_owned()));
        assert!(Pairs::new(vec![(0.0, 1.0)]).is_err(), "a clock that stands still");
        assert!(Pairs::new(Vec::new()).is_err());
    }
}
