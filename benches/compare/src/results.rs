//! What was measured, and what is reckoned from it: medians, and ratios of what was measured in the same round.

use crate::candidates::{Candidate, LIMIT};
use crate::measure::Sample;
use crate::workloads::Workload;

/// One candidate's turns in a workload; none where a turn failed.
pub struct Row {
    pub candidate: &'static Candidate,
    pub rounds: Vec<Option<Sample>>,
}

impl Row {
    pub fn values(&self, key: &str) -> Vec<f64> {
        self.rounds.iter().flatten().filter_map(|sample| sample.get(key).copied()).collect()
    }

    pub fn median(&self, key: &str) -> Option<f64> {
        median(&self.values(key))
    }

    /// This row's figures over another's, round by round.
    pub fn ratios(&self, other: &Row, key: &str) -> Vec<f64> {
        let pairs = self.rounds.iter().zip(&other.rounds);
        let figure = |sample: &Option<Sample>| sample.as_ref()?.get(key).copied();
        let ratio = |(own, other)| Some(figure(own)? / figure(other)?);
        pairs.filter_map(ratio).filter(|ratio: &f64| ratio.is_finite()).collect()
    }
}

pub struct Table {
    pub workload: &'static Workload,
    pub rows: Vec<Row>,
    /// Why there is no row, or less than one.
    pub notes: Vec<String>,
    /// Starts and turns that went wrong.
    pub failures: usize,
}

impl Table {
    pub fn row(&self, candidate: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.candidate.name == candidate)
    }

    pub fn limit(&self) -> Option<&Row> {
        self.row(LIMIT)
    }
}

pub fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::candidates;

    fn row(values: &[Option<f64>]) -> Row {
        let sample = |value: &Option<f64>| value.map(|value| Sample::from([("rps", value)]));
        Row { candidate: &candidates::ALL[0], rounds: values.iter().map(sample).collect() }
    }

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middles() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn ratios_are_of_the_same_round_and_leave_out_failed_turns() {
        let own = row(&[Some(1.0), None, Some(9.0)]);
        let other = row(&[Some(2.0), Some(5.0), Some(3.0)]);
        assert_eq!(own.ratios(&other, "rps"), [0.5, 3.0]);
    }
}
