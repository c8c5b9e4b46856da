//! How long jobs wait for one of several workers: Erlang's formula C for M/M/c (Erlang, 1917), and the
//! correction of Allen and Cunneen for other arrivals and other times of work (Allen, *Probability, Statistics
//! and Queueing Theory*, 1990, section 5.2.2).

/// What comes to one stage.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// Jobs a second.
    pub(super) rate: f64,
    /// Seconds of work for one job.
    pub(super) mean: f64,
    /// Squared coefficient of variation of the times between two jobs.
    pub(super) arrivals: f64,
    /// Squared coefficient of variation of the seconds of work.
    pub(super) spread: f64,
}

/// Seconds that jobs wait; none where the queue grows without end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Waiting {
    /// Half of the jobs wait no longer.
    pub(super) half: Option<f64>,
    /// 19 of 20 wait no longer.
    pub(super) nearly_all: Option<f64>,
}

impl Load {
    /// Workers that are busy on average.
    pub(super) fn erlangs(&self) -> f64 {
        self.rate * self.mean
    }

    /// Share of the jobs that find all workers busy (Erlang C). By the recursion of Erlang B, which neither
    /// overflows nor loses digits: B(0) = 1, B(c) = a·B(c-1) / (c + a·B(c-1)); C = B / (1 - ρ·(1 - B)).
    pub(super) fn waits(&self, workers: u32) -> f64 {
        let offered = self.erlangs();
        let blocked = (1..=workers).fold(1.0, |blocked, c| offered * blocked / (f64::from(c) + offered * blocked));
        let busy = offered / f64::from(workers);
        if busy >= 1.0 { 1.0 } else { blocked / (1.0 - busy * (1.0 - blocked)) }
    }

    /// Mean seconds of waiting, over all jobs.
    pub(super) fn mean_wait(&self, workers: u32) -> Option<f64> {
        let left = f64::from(workers) - self.erlangs();
        let evenly = self.waits(workers) * self.mean / left;
        (left > 0.0).then(|| evenly * (self.arrivals + self.spread) / 2.0)
    }

    /// The wait of those that wait at all is taken for exponential, which it is in M/M/c.
    pub(super) fn waiting(&self, workers: u32) -> Waiting {
        let share = self.waits(workers);
        let quantile = |above: f64| {
            let mean = self.mean_wait(workers)?;
            Some(if share <= above { 0.0 } else { mean / share * (share / above).ln() })
        };
        Waiting { half: quantile(0.5), nearly_all: quantile(0.05) }
    }

    /// As few workers as keep 19 of 20 jobs from waiting longer than this.
    pub(super) fn fewest(&self, seconds: f64, most: u32) -> Option<u32> {
        let enough = |workers: u32| self.waiting(workers).nearly_all.is_some_and(|wait| wait <= seconds);
        // The wait only falls with more workers.
        let (mut few, mut many) = (0, most);
        if !enough(many) {
            return None;
        }
        while few + 1 < many {
            let middle = few + (many - few) / 2;
            if enough(middle) { many = middle } else { few = middle }
        }
        Some(many)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(rate: f64, mean: f64) -> Load {
        Load { rate, mean, arrivals: 1.0, spread: 1.0 }
    }

    #[test]
    fn erlang_c_has_the_values_of_its_tables() {
        // One worker: the share that waits is the utilisation.
        assert!((load(0.5, 1.0).waits(1) - 0.5).abs() < 1e-12);
        // Two workers, one erlang: 1/3. Ten workers, eight erlangs: 0.409 (Gross and others, table).
        assert!((load(1.0, 1.0).waits(2) - 1.0 / 3.0).abs() < 1e-12);
        assert!((load(8.0, 1.0).waits(10) - 0.4092).abs() < 1e-4);
        // The mean wait of M/M/1 is rho / (mu - lambda).
        assert!((load(0.8, 1.0).mean_wait(1).unwrap() - 4.0).abs() < 1e-9);
        // M/D/1 waits half as long (Pollaczek and Khinchine).
        let even = Load { spread: 0.0, ..load(0.8, 1.0) };
        assert!((even.mean_wait(1).unwrap() - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_queue_that_grows_has_no_wait_and_many_workers_have_none() {
        assert_eq!(load(2.0, 1.0).waiting(2), Waiting { half: None, nearly_all: None });
        assert_eq!(load(0.1, 1.0).waiting(100), Waiting { half: Some(0.0), nearly_all: Some(0.0) });
        // Thousands of erlangs neither overflow nor become NaN.
        let many = load(5000.0, 1.0).waiting(5050);
        assert!(many.nearly_all.unwrap().is_finite() && many.nearly_all.unwrap() < 1.0, "{many:?}");
    }

    #[test]
    fn the_fewest_workers_hold_the_wait_and_one_less_does_not() {
        for (rate, mean, seconds) in [(0.5, 4.5, 30.0), (3.0, 2.0, 1.0), (0.01, 60.0, 5.0), (500.0, 1.0, 0.5)] {
            let load = load(rate, mean);
            let workers = load.fewest(seconds, 100_000).unwrap();
            assert!(load.waiting(workers).nearly_all.unwrap() <= seconds);
            assert!(load.waiting(workers - 1).nearly_all.is_none_or(|wait| wait > seconds), "{workers}");
        }
        assert_eq!(load(1e9, 1.0).fewest(1.0, 1000), None);
    }

    /// Simulates the queue itself, with another formula for nothing: each job goes to whoever is free first.
    #[test]
    fn the_formula_agrees_with_a_simulated_queue() {
        let load = load(0.9, 4.0);
        let (workers, jobs) = (5, 200_000);
        let mut seed = 7_u64;
        let mut chance = || {
            // SplitMix64 (Steele and others, 2014).
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = seed;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        };
        let mut exponential = |mean: f64| -mean * (1.0 - chance()).ln();
        let (mut now, mut free, mut waits) = (0.0, vec![0.0_f64; workers], Vec::with_capacity(jobs));
        for _ in 0..jobs {
            now += exponential(1.0 / load.rate);
            let next = free.iter_mut().min_by(|a, b| a.total_cmp(b)).unwrap();
            let begin = next.max(now);
            waits.push(begin - now);
            *next = begin + exponential(load.mean);
        }
        waits.sort_by(f64::total_cmp);
        let told = load.waiting(workers as u32);
        for (share, told) in [(0.5, told.half.unwrap()), (0.95, told.nearly_all.unwrap())] {
            let seen = waits[(share * jobs as f64) as usize];
            assert!((seen - told).abs() < 0.1 * told.max(1.0), "{share}: {seen} simulated, {told} told");
        }
    }
}
