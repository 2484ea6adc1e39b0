//! A stretch of runs is written anew, all at once or not at all.

use std::ops::Range;

use crate::coordinator::share::partition::run::Run;
use crate::model::offset::Offset;

/// Walks over a state's runs from an offset on and writes what they become. Dropped without [`Rewrite::finish`], it
/// leaves no trace.
#[derive(Debug)]
pub(super) struct Rewrite<'a> {
    runs: &'a [Run],
    /// Where the stretch begins.
    begin: usize,
    /// The next run to look at …
    next: usize,
    /// … unless the one before it was only looked at in part: this is the rest.
    rest: Option<Run>,
    written: Vec<Run>,
}

/// A stretch of runs, and what comes in its place.
#[derive(Debug)]
pub(super) struct Rewritten {
    /// What goes.
    pub(super) range: Range<usize>,
    /// What comes.
    pub(super) runs: Vec<Run>,
}

impl<'a> Rewrite<'a> {
    /// Begins at the run that holds `first`, or at the end.
    pub(super) fn beginning_at(runs: &'a [Run], first: Offset) -> Self {
        let begin = runs.partition_point(|run| run.last < first);
        let mut rewrite = Self { runs, begin, next: begin, rest: None, written: Vec::new() };
        rewrite.keep_before(first);
        rewrite
    }

    /// Leaves everything before `first` as it is.
    pub(super) fn keep_before(&mut self, first: Offset) {
        while let Some(run) = self.rest.or_else(|| self.runs.get(self.next).copied()) {
            if self.rest.is_none() && run.last < first {
                // Whole runs that nothing happens to: found by halving, copied at once.
                let end = self.next + self.runs[self.next..].partition_point(|run| run.last < first);
                self.put(run);
                self.written.extend_from_slice(&self.runs[self.next + 1..end]);
                self.next = end;
            } else if run.first < first {
                let kept = self.take(first.previous());
                kept.into_iter().for_each(|kept| self.put(kept));
            } else {
                return;
            }
        }
    }

    /// The next piece of a run, cut off after `last`; `None` when nothing is left up to there.
    pub(super) fn take(&mut self, last: Offset) -> Option<Run> {
        let run = match self.rest.take() {
            Some(rest) => rest,
            None => {
                let run = *self.runs.get(self.next).filter(|run| run.first <= last)?;
                self.next += 1;
                run
            }
        };
        if run.first > last {
            self.rest = Some(run);
            return None;
        }
        if run.last > last {
            self.rest = Some(Run { first: last.plus(1), ..run });
        }
        Some(Run { last: run.last.min(last), ..run })
    }

    /// Writes what comes next; it begins where the last one ended.
    pub(super) fn put(&mut self, run: Run) {
        match self.written.last_mut() {
            Some(last) if last.goes_on_in(&run) => last.last = run.last,
            _ => self.written.push(run),
        }
    }

    /// What to put in place of what. Everything that was not taken stays.
    pub(super) fn finish(mut self) -> Rewritten {
        if let Some(rest) = self.rest.take() {
            self.put(rest);
        }
        let (mut begin, mut end) = (self.begin, self.next);
        if let (Some(before), Some(first)) =
            (begin.checked_sub(1).map(|index| self.runs[index]), self.written.first_mut())
            && before.goes_on_in(first)
        {
            first.first = before.first;
            begin -= 1;
        }
        if let (Some(after), Some(last)) = (self.runs.get(end), self.written.last_mut())
            && last.goes_on_in(after)
        {
            last.last = after.last;
            end += 1;
        }
        Rewritten { range: begin..end, runs: self.written }
    }
}
