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
