//! What the engine says about one frame.

use ndarray::Array2;

/// A class with the probability the model gives it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Index into the model's classes.
    pub class: usize,
    /// As the model's own head gives it (softmax or sigmoid), 0..=1.
    pub probability: f32,
}

/// The evidence for one class.
#[derive(Debug, Clone)]
pub struct ClassMap {
    pub class: usize,
    /// 0..=1.
    pub probability: f32,
    /// `[h, w]` of the target layer: after ReLU, before any normalisation, so ≥ 0.
    pub map: Array2<f32>,
}

/// What the model says about one frame, and why.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// Raw scores (before softmax), one per class.
    pub scores: Vec<f32>,
    /// One per class, 0..=1.
    pub probabilities: Vec<f32>,
    /// One per class that was asked for, in that order; "most probable" is resolved.
    pub maps: Vec<ClassMap>,
}

impl Explanation {
    /// The `count` most probable classes, most probable first. NaN sorts last.
    pub fn top(&self, count: usize) -> Vec<Prediction> {
        let mut order: Vec<usize> = (0..self.probabilities.len()).collect();
        let count = count.min(order.len());
        let by_probability = |&a: &usize, &b: &usize| {
            let key = |i: usize| if self.probabilities[i].is_nan() { f32::NEG_INFINITY } else { self.probabilities[i] };
            key(b).total_cmp(&key(a)).then(a.cmp(&b))
        };
        if count == 0 {
            return Vec::new();
        }
        order.select_nth_unstable_by(count - 1, by_probability);
        order.truncate(count);
        order.sort_by(by_probability);
        order.into_iter().map(|class| Prediction { class, probability: self.probabilities[class] }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_orders_by_probability_and_survives_nan() {
        let e = Explanation { scores: vec![], probabilities: vec![0.1, f32::NAN, 0.6, 0.3, 0.6], maps: vec![] };
        let classes: Vec<usize> = e.top(4).iter().map(|p| p.class).collect();
        assert_eq!(classes, [2, 4, 3, 0]);
        assert_eq!(e.top(99).len(), 5);
        assert!(e.top(0).is_empty());
    }
}
