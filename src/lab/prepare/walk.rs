//! The way through a graph: what is ready is begun in order, as many steps at a time as there are workers.

use super::graph::Graph;
use crate::error::{Error, Kind, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What became of a step.
#[derive(Clone, Debug)]
pub enum End {
    /// Nothing was to be done.
    There,
    Done,
    Failed(Error),
    /// A step that it needs did not come about.
    Stopped(usize),
    /// It was not begun, as the whole was stopped.
    Never,
}

impl End {
    pub fn is_good(&self) -> bool {
        matches!(self, End::There | End::Done)
    }
}

struct Walk<'a> {
    graph: &'a Graph,
    work: &'a (dyn Fn(usize) -> Result<bool> + Sync),
    is_stopped: &'a (dyn Fn() -> bool + Sync),
    state: Mutex<State>,
    news: Condvar,
}

struct State {
    ends: Vec<Option<End>>,
    is_begun: Vec<bool>,
}

/// Does `work` for every step whose needs have come about, which says whether there was something to do. A failure stops what needs the
/// step, and nothing else. What has begun when the whole is stopped is waited for: it sees that flag itself.
pub fn walk(
    graph: &Graph,
    workers: usize,
    is_stopped: &(dyn Fn() -> bool + Sync),
    work: &(dyn Fn(usize) -> Result<bool> + Sync),
) -> Vec<End> {
    let count = graph.steps.len();
    let state = Mutex::new(State { ends: vec![None; count], is_begun: vec![false; count] });
    let walk = Walk { graph, work, is_stopped, state, news: Condvar::new() };
    std::thread::scope(|scope| {
        for number in 1..workers.clamp(1, count.max(1)) {
            let thread = std::thread::Builder::new().name(format!("prepare {number}"));
            // With fewer threads it only takes longer.
            if let Err(error) = thread.spawn_scoped(scope, || walk.serve()) {
                tracing::warn!("{number} steps at a time, not more: no thread: {error}");
                break;
            }
        }
        walk.serve();
    });
    let ends = walk.state.into_inner().unwrap_or_else(PoisonError::into_inner).ends;
    ends.into_iter().map(|end| end.unwrap_or(End::Never)).collect()
}

impl Walk<'_> {
    fn serve(&self) {
        while let Some(step) = self.take() {
            let end = catch_unwind(AssertUnwindSafe(|| (self.work)(step)));
            let end = match end {
                Ok(Ok(true)) => End::Done,
                Ok(Ok(false)) => End::There,
                Ok(Err(error)) => End::Failed(error),
                Err(_) => End::Failed(Error::new(Kind::Internal, format!("{} panicked", self.graph.steps[step].id))),
            };
            self.lock().ends[step] = Some(end);
            self.news.notify_all();
        }
    }

    /// The next step that is ready; nothing once there will be none.
    fn take(&self) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if (self.is_stopped)() {
                return None;
            }
            self.stop_dependents(&mut state);
            if let Some(ready) = (0..self.graph.steps.len()).find(|step| self.is_ready(&state, *step)) {
                state.is_begun[ready] = true;
                return Some(ready);
            }
            let is_running = (0..self.graph.steps.len()).any(|step| state.is_begun[step] && state.ends[step].is_none());
            if !is_running {
                self.news.notify_all();
                return None;
            }
            state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn is_ready(&self, state: &State, step: usize) -> bool {
        let wanted = &self.graph.steps[step];
        let is_open = !state.is_begun[step] && state.ends[step].is_none();
        let is_good = |need: &usize| state.ends[*need].as_ref().is_some_and(End::is_good);
        is_open && wanted.needs.iter().all(is_good) && wanted.after.iter().all(|before| state.ends[*before].is_some())
    }

    /// What needs a step that did not come about does not either. Needs stand before what needs them.
    fn stop_dependents(&self, state: &mut State) {
        for (at, step) in self.graph.steps.iter().enumerate().filter(|(at, _)| !state.is_begun[*at]).collect::<Vec<_>>() {
            if state.ends[at].is_some() {
                continue;
            }
            let cause = step.needs.iter().find_map(|need| match &state.ends[*need] {
                Some(End::Failed(_)) => Some(*need),
                Some(End::Stopped(cause)) => Some(*cause),
                _ => None,
            });
            state.ends[at] = cause.map(End::Stopped);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::prepare::Task;
    use crate::lab::prepare::graph::{State as Found, Step};
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    type Links<'l> = (&'l [usize], &'l [usize]);
    const FREE: Links<'static> = (&[], &[]);

    /// Steps by what they need and what they come after.
    fn graph(steps: &[Links<'_>]) -> Graph {
        let step = |(number, (needs, after)): (usize, &Links<'_>)| Step {
            id: number.to_string(),
            what: String::new(),
            task: Task::Refused { what: String::new(), help: String::new() },
            serves: Vec::new(),
            needs: needs.to_vec(),
            after: after.to_vec(),
            state: Found::Missing,
            safe_to_retry: true,
        };
        Graph { steps: steps.iter().enumerate().map(step).collect(), notes: Vec::new() }
    }

    fn shown(ends: &[End]) -> String {
        let word = |end: &End| match end {
            End::There => "there".to_string(),
            End::Done => "done".into(),
            End::Failed(error) => error.what.clone(),
            End::Stopped(cause) => format!("by {cause}"),
            End::Never => "never".into(),
        };
        ends.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_failure_stops_what_needs_it_and_nothing_else() {
        let graph = graph(&[(&[], &[]), (&[0], &[]), (&[1], &[]), (&[0], &[1]), (&[], &[2]), (&[2, 3], &[])]);
        for workers in [1, 2, 8] {
            let ends = walk(&graph, workers, &|| false, &|step| match step {
                1 => Err(Error::new(Kind::Refused, "SR_FULL")),
                step => Ok(step != 0),
            });
            assert_eq!(shown(&ends), "there SR_FULL by 1 done done by 1", "{workers}");
        }
    }

    #[test]
    fn independent_steps_run_side_by_side_and_no_more_than_allowed() {
        let four = graph(&[FREE; 4]);
        let barrier = Barrier::new(4);
        walk(&four, 4, &|| false, &|_| {
            barrier.wait();
            Ok(true)
        });
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let many = graph(&[FREE; 50]);
        walk(&many, 3, &|| false, &|_| {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::yield_now();
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(true)
        });
        assert!(most.load(Ordering::SeqCst) <= 3);
    }

    #[test]
    fn the_order_is_kept_where_there_is_one() {
        let chain = graph(&[(&[], &[]), (&[], &[0]), (&[1], &[]), (&[], &[2])]);
        let order = Mutex::new(Vec::new());
        walk(&chain, 4, &|| false, &|step| {
            order.lock().unwrap().push(step);
            Ok(true)
        });
        assert_eq!(order.into_inner().unwrap(), [0, 1, 2, 3]);
    }

    #[test]
    fn once_stopped_nothing_is_begun() {
        let chain = graph(&[(&[], &[]), (&[0], &[]), (&[], &[])]);
        let stop = AtomicBool::new(false);
        let ends = walk(&chain, 1, &|| stop.load(Ordering::SeqCst), &|_| {
            stop.store(true, Ordering::SeqCst);
            Ok(true)
        });
        assert_eq!(shown(&ends), "done never never");
        assert!(walk(&Graph::default(), 4, &|| false, &|_| Ok(true)).is_empty());
    }

    #[test]
    fn a_panic_is_a_failure_of_its_step() {
        let two = graph(&[(&[], &[]), (&[0], &[])]);
        let ends = walk(&two, 2, &|| false, &|_| panic!("deliberate"));
        assert_eq!(shown(&ends), "0 panicked by 0");
    }
}
