//! Interleaved measurements. On a shared machine a single figure says more about its neighbours
//! than about the program; the ratio of two runs right after one another does not. Every round
//! runs each variant once, in order, and a variant is compared with the first of the same round.

/// One figure for one variant: nanoseconds, or none if it cannot be had on this machine.
pub(crate) type Measure<'a> = Box<dyn Fn() -> Option<f64> + 'a>;

/// Something to compare.
pub(crate) struct Variant<'a> {
    /// Its name in the table.
    pub(crate) name: String,
    /// Takes one figure.
    pub(crate) measure: Measure<'a>,
}

/// What the rounds showed of one variant.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// Median of the figures.
    pub(crate) median: f64,
    /// Median of the differences to the first variant of the same round.
    pub(crate) added: f64,
    /// Median, minimum and maximum of the ratios to the first variant of the same round.
    pub(crate) ratio: [f64; 3],
}

/// Runs the rounds, after one that warms up and does not count. A variant that fails once is left
/// out, and so said.
pub(crate) fn measure(rounds: usize, variants: &[Variant<'_>]) -> Vec<Row> {
    let mut figures: Vec<Vec<f64>> = vec![Vec::new(); variants.len()];
    let mut dropped = vec![false; variants.len()];
    for round in 0..=rounds {
        for (index, variant) in variants.iter().enumerate() {
            if dropped[index] {
                continue;
            }
            match (variant.measure)() {
                Some(figure) if round > 0 => figures[index].push(figure),
                Some(_) => {}
                None => {
                    eprintln!("  not measured: {}", variant.name);
                    dropped[index] = true;
                }
            }
        }
    }
    let (base, base_dropped) = (&figures[0], dropped[0]);
    assert!(!base_dropped, "{} is what all else is compared with", variants[0].name);
    variants
        .iter()
        .zip(&figures)
        .zip(&dropped)
        .filter(|(_, dropped)| !**dropped)
        .map(|((variant, figures), _)| row(&variant.name, figures, base))
        .collect()
}

fn row(name: &str, figures: &[f64], base: &[f64]) -> Row {
    let pairs = || figures.iter().zip(base);
    let ratios = sorted(pairs().map(|(figure, base)| figure / base));
    let row = Row {
        name: name.to_owned(),
        median: median(&sorted(figures.iter().copied())),
        added: median(&sorted(pairs().map(|(figure, base)| figure - base))),
        ratio: [median(&ratios), ratios[0], ratios[ratios.len() - 1]],
    };
    eprintln!("  {:<44} {:>12.3} ms  x{:.2}", row.name, row.median / 1e6, row.ratio[0]);
    row
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}
