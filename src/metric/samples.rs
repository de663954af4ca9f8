//! Many values as three numbers, and whether two such lie further apart than chance would have it.

use crate::unit::show_number;
use statrs::distribution::{ContinuousCDF, StudentsT};
use std::fmt;

/// A number of values: how many, their mean and standard deviation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Samples {
    pub count: usize,
    pub mean: f64,
    /// Of the values as a sample (n − 1); 0 where there are not two.
    pub deviation: f64,
}

impl Samples {
    pub fn one(value: f64) -> Samples {
        Samples { count: 1, mean: value, deviation: 0.0 }
    }

    /// What a log says of them; a deviation that is none says nothing.
    pub fn new(count: usize, mean: f64, deviation: f64) -> Samples {
        if count > 1 && deviation.is_finite() && deviation >= 0.0 { Samples { count, mean, deviation } } else { Samples::one(mean) }
    }

    /// Those of several, as if all values had been taken together.
    pub fn merged(all: impl IntoIterator<Item = Samples>) -> Samples {
        all.into_iter().filter(|s| s.count > 0).reduce(Samples::with).unwrap_or_default()
    }

    fn with(self, other: Samples) -> Samples {
        let count = self.count + other.count;
        let (n, m) = (self.count as f64, other.count as f64);
        let apart = other.mean - self.mean;
        let mean = self.mean + apart * m / (n + m);
        let squares = self.squares() + other.squares() + apart * apart * n * m / (n + m);
        Samples { count, mean, deviation: (squares / (n + m - 1.0)).sqrt() }
    }

    fn squares(self) -> f64 {
        self.deviation.powi(2) * (self.count as f64 - 1.0)
    }

    /// The same in another unit.
    pub fn times(self, factor: f64) -> Samples {
        Samples { mean: self.mean * factor, deviation: self.deviation * factor.abs(), ..self }
    }

    /// How likely it is that such a difference of the means is chance, from 0 to 1; nothing when there are too few values to know how
    /// far they lie apart by themselves.
    ///
    /// Welch's t-test; one value beside many is taken for one more of them.
    pub fn chance(self, other: Samples) -> Option<f64> {
        if self.count.max(other.count) < 3 || self.count == 0 || other.count == 0 {
            return None;
        }
        let (n, m) = (self.count as f64, other.count as f64);
        let (error, freedom) = match (self.count, other.count) {
            (_, 1) => (self.deviation * (1.0 + 1.0 / n).sqrt(), n - 1.0),
            (1, _) => (other.deviation * (1.0 + 1.0 / m).sqrt(), m - 1.0),
            _ => {
                let (a, b) = (self.deviation.powi(2) / n, other.deviation.powi(2) / m);
                ((a + b).sqrt(), (a + b).powi(2) / (a.powi(2) / (n - 1.0) + b.powi(2) / (m - 1.0)))
            }
        };
        let apart = (self.mean - other.mean).abs();
        if error == 0.0 || !freedom.is_finite() {
            return Some(if apart == 0.0 { 1.0 } else { 0.0 });
        }
        let t = StudentsT::new(0.0, 1.0, freedom).ok()?;
        Some(2.0 * t.sf(apart / error))
    }
}

/// "450 ± 6", or "412" of a single value.
impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show_number(self.mean))?;
        if self.count > 1 { write!(f, " ± {}", show_number(self.deviation)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Samples {
        Samples::merged(values.iter().map(|v| Samples::one(*v)))
    }

    #[test]
    fn values_are_put_together_in_any_order() {
        let all = of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert_eq!((all.count, all.mean), (8, 5.0));
        assert!((all.deviation - (32.0_f64 / 7.0).sqrt()).abs() < 1e-12);
        let parts = Samples::merged([of(&[2.0, 4.0, 4.0]), of(&[4.0, 5.0, 5.0, 7.0]), Samples::default(), of(&[9.0])]);
        assert!((parts.deviation - all.deviation).abs() < 1e-12 && (parts.mean - 5.0).abs() < 1e-12 && parts.count == 8);
        assert_eq!(of(&[]), Samples::default());
        assert_eq!(Samples::new(5, 1.0, f64::NAN), Samples::one(1.0));
    }

    #[test]
    fn chance_is_that_of_the_t_distribution() {
        // By the formula t = 2.85295 with 27.8873 degrees of freedom; the density integrated by Simpson's rule gives 0.0080719.
        let a = of(&[27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4]);
        let b = of(&[27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 30.5, 24.4]);
        assert!((a.chance(b).unwrap() - 0.008_071_9).abs() < 1e-6, "{:?}", a.chance(b));
        assert_eq!(a.chance(b), b.chance(a));
        // One value beside four of mean 10 and deviation 1: t = 3 / sqrt(1.25) with 3 degrees of freedom.
        let p = Samples::one(13.0).chance(Samples { count: 4, mean: 10.0, deviation: 1.0 }).unwrap();
        assert!((p - 0.074_839_8).abs() < 1e-6, "{p}");
        assert_eq!(Samples::one(1.0).chance(of(&[1.0, 2.0])), None, "two values do not tell how far they lie apart");
        assert_eq!(Samples::one(3.0).chance(of(&[3.0, 3.0, 3.0])), Some(1.0));
        assert_eq!(Samples::one(4.0).chance(of(&[3.0, 3.0, 3.0])), Some(0.0));
    }
}
