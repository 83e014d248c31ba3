//! The parts of the benchmark that compute. They are tested here because `cargo bench` runs no
//! tests.
#![expect(dead_code, reason = "the benchmark uses the rest")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "bench/pairs.rs"]
mod pairs;
#[path = "bench/report.rs"]
mod report;

use std::cell::RefCell;

use pairs::{Pairs, Spread, measure};
use report::{Fact, MILLISECONDS, Report, Row, Target, replaced};

#[test]
fn pairs_are_interleaved_and_take_turns_in_going_first() {
    let order = RefCell::new(String::new());
    let take = |name: char, figure: f64| {
        order.borrow_mut().push(name);
        Ok(figure)
    };
    let pairs = measure(3, || take('a', 2.0), || take('b', 3.0)).unwrap();
    assert_eq!(*order.borrow(), "ab ab ba ab".replace(' ', ""));
    assert_eq!(pairs, Pairs::new(vec![(2.0, 3.0); 3]).unwrap(), "whoever goes first, base is base");
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

fn row(pairs: Result<Pairs, String>, target: Target) -> String {
    let row = Row { name: "claudebox".into(), beside: "bwrap".into(), pairs, target };
    let mut report = Report::default();
    report.comparison("Start", MILLISECONDS, &[row]);
    report.text().lines().nth(4).unwrap().to_owned()
}

#[test]
fn a_row_shows_both_comparisons_and_the_target() {
    let pairs = || Pairs::new(vec![(10e6, 15e6), (10e6, 17e6), (10e6, 30e6)]);
    insta::assert_snapshot!(
        row(pairs(), Target::Added(8.0)),
        @"| claudebox | bwrap | 3 | 1.70 | 1.50–3.00 | +7.00 | +5.00 – +20.00 | ≤ +8 ms | yes |"
    );
    insta::assert_snapshot!(
        row(pairs(), Target::Ratio(1.45)),
        @"| claudebox | bwrap | 3 | 1.70 | 1.50–3.00 | +7.00 | +5.00 – +20.00 | ≤ 1.45 | **no** |"
    );
}

#[test]
fn what_could_not_be_measured_is_said() {
    insta::assert_snapshot!(
        row(Err("no | such\nprogram".into()), Target::Ratio(1.0)),
        @r"| claudebox | bwrap | 0 | no \| such | | | | | not measured |"
    );
}

#[test]
fn facts_are_held_against_their_limits() {
    let fact = |value| Fact { name: "memory".into(), value, unit: "MB", target: Some(8.0) };
    let mut report = Report::default();
    report.facts("Long", &[fact(7.9), fact(8.1)]);
    insta::assert_snapshot!(report.text(), @r"
    ### Long

    | | | target | met |
    |---|---:|---:|---|
    | memory | 7.90 MB | ≤ 8 MB | yes |
    | memory | 8.10 MB | ≤ 8 MB | **no** |
    ");
}

#[test]
fn only_what_is_between_the_markers_is_replaced() {
    let (begin, end) = ("<!-- measured: begin -->", "<!-- measured: end -->");
    let document = format!("before\n{begin}\nold\n{end}\nafter\n");
    let new = replaced(&document, "new\n").unwrap();
    assert_eq!(new, format!("before\n{begin}\n\nnew\n{end}\nafter\n"));
    assert_eq!(replaced(&new, "new\n").unwrap(), new);
    assert_eq!(replaced("no markers", "new"), None);
}
