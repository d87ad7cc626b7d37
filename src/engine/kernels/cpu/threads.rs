//! The compute threads, which run one loop at a time, spread over all of them.
//!
//! A step of a model is some hundred loops of a few microseconds each, with next to nothing in
//! between. So an idle thread spins for [`SPIN_TIME`] before it sleeps. Nobody waits for a thread
//! that wakes up late: tasks go to whoever comes first, and the loop ends with the last task.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

/// How long an idle thread spins before it sleeps: longer than the time between two steps, but not
/// than other waits.
const SPIN_TIME: Duration = Duration::from_micros(100);

/// How often a thread reads the gate before it reads the clock and yields to other threads of the
/// machine.
const SPINS_PER_CHECK: usize = 64;

/// The bit of [`Shared::gate`] that is set while threads may join the loop. The bits below it count
/// the helpers inside; the bits above it are the loop's number.
const OPEN: u64 = 1 << 16;

/// The calling thread and its helpers.
pub(super) struct Threads {
    shared: Arc<Shared>,
    handles: Vec<JoinHandle<()>>,
    /// Held by the caller whose loop runs: models that share threads take turns.
    turn: Mutex<()>,
}

struct Shared {
    gate: AtomicU64,
    /// Written while the gate is closed and no helper is inside; read by those inside.
    job: UnsafeCell<Job>,
    /// The next task of every thread's share. A thread that is done with its own share takes tasks
    /// from the others.
    next: Box<[Line<AtomicUsize>]>,
    helpers: Box<[Helper]>,
    stop: AtomicBool,
    /// The payload of a helper's panic.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

#[derive(Clone, Copy)]
struct Job {
    tasks: usize,
    /// The function lives until the loop ends, whatever its type says.
    task: *const (dyn Fn(usize) + Sync),
}

/// A value with cache lines of its own.
#[repr(align(128))]
#[derive(Default)]
struct Line<T>(T);

#[derive(Default)]
struct Helper {
    thread: OnceLock<Thread>,
    asleep: Line<AtomicBool>,
}

// SAFETY: the gate orders all uses of the job, whose function any thread may call.
unsafe impl Sync for Shared {}
// SAFETY: as above; the function outlives the loop, wherever it is called.
unsafe impl Send for Shared {}

thread_local! {
    /// Whether this thread is inside a loop. A nested loop runs on this thread alone.
    static IN_LOOP: Cell<bool> = const { Cell::new(false) };
}

impl Threads {
    /// Starts `threads - 1` helpers.
    ///
    /// # Errors
    /// The operating system starts no more threads.
    pub(super) fn new(threads: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            gate: AtomicU64::new(0),
            job: UnsafeCell::new(Job { tasks: 0, task: &|_| () }),
            next: (0..threads).map(|_| Line::default()).collect(),
            helpers: (1..threads).map(|_| Helper::default()).collect(),
            stop: AtomicBool::new(false),
            panic: Mutex::new(None),
        });
        let mut started = Self { shared, handles: Vec::new(), turn: Mutex::new(()) };
        for index in 1..threads {
            let shared = started.shared.clone();
            let handle = thread::Builder::new()
                .name(format!("maspo-compute-{index}"))
                .spawn(move || shared.run_helper(index))?;
            started.shared.helpers[index - 1].thread.set(handle.thread().clone()).expect("set once");
            started.handles.push(handle);
        }
        Ok(started)
    }

    /// Returns the number of threads, the caller included.
    pub(super) fn count(&self) -> usize {
        self.shared.next.len()
    }

    /// Calls `task` with every number of `0..tasks`, in any order, and returns when all calls have
    /// returned.
    ///
    /// # Panics
    /// Panics if a task does, with the same payload.
    pub(super) fn each(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        if IN_LOOP.get() {
            return (0..tasks).for_each(task);
        }
        let shared = &*self.shared;
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let threads = self.count();
        for (index, Line(next)) in shared.next.iter().enumerate() {
            next.store(tasks * index / threads, Ordering::Relaxed);
        }
        // SAFETY: only the lifetime changes, and this function returns after the last use; it is
        // this caller's turn, and nobody is inside the closed gate.
        unsafe {
            let task = std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const (dyn Fn(usize) + Sync)>(task);
            *shared.job.get() = Job { tasks, task };
        }
        let number = (shared.gate.load(Ordering::Relaxed) / (2 * OPEN)).wrapping_add(1);
        shared.gate.store(number.wrapping_mul(2 * OPEN) | OPEN, Ordering::SeqCst);
        for helper in shared.helpers.iter().take(tasks.saturating_sub(1)) {
            helper.wake();
        }
        let own = catch_unwind(AssertUnwindSafe(|| shared.work(0)));
        shared.gate.fetch_and(!OPEN, Ordering::AcqRel);
        let mut spins = 0;
        while !shared.gate.load(Ordering::Acquire).is_multiple_of(OPEN) {
            spins += 1;
            if spins % SPINS_PER_CHECK == 0 { thread::yield_now() } else { std::hint::spin_loop() }
        }
        let others = shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(turn);
        if let Some(payload) = own.err().or(others) {
            resume_unwind(payload);
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.helpers.iter().for_each(Helper::wake);
        for handle in self.handles.drain(..) {
            handle.join().expect("helpers catch what tasks panic with");
        }
    }
}

impl Helper {
    /// Wakes the thread if it sleeps or is about to.
    fn wake(&self) {
        if self.asleep.0.swap(false, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }
}

impl Shared {
    /// Runs helper `index` until the threads are dropped.
    fn run_helper(&self, index: usize) {
        let mut last = 0;
        while let Some(gate) = self.wait(index, last) {
            last = gate / (2 * OPEN);
            // If the gate has changed, it is read again: the loop may be over.
            if self.gate.compare_exchange(gate, gate + 1, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                last = last.wrapping_sub(1);
                continue;
            }
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.work(index))) {
                self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(payload);
            }
            self.gate.fetch_sub(1, Ordering::Release);
        }
    }

    /// Returns the gate once it is open for a loop other than number `last`, or `None` when the
    /// helper should end.
    fn wait(&self, index: usize, last: u64) -> Option<u64> {
        let asleep = &self.helpers[index - 1].asleep.0;
        let mut since = None;
        loop {
            for _ in 0..SPINS_PER_CHECK {
                let gate = self.gate.load(Ordering::SeqCst);
                if self.stop.load(Ordering::SeqCst) {
                    return None;
                }
                if gate & OPEN != 0 && gate / (2 * OPEN) != last {
                    asleep.store(false, Ordering::Relaxed);
                    return Some(gate);
                }
                std::hint::spin_loop();
            }
            if asleep.load(Ordering::Relaxed) {
                // The gate was read after `asleep` was set, and whoever opens it from now on wakes
                // this thread.
                thread::park();
                since = None;
            } else if since.get_or_insert_with(Instant::now).elapsed() < SPIN_TIME {
                thread::yield_now();
            } else {
                asleep.store(true, Ordering::SeqCst);
            }
        }
    }

    /// Runs tasks until none is left, those of thread `index`'s share first.
    fn work(&self, index: usize) {
        // SAFETY: the caller is inside the open gate.
        let Job { tasks, task } = unsafe { *self.job.get() };
        let threads = self.next.len();
        IN_LOOP.set(true);
        let _leave = LeaveLoop;
        for share in (index..threads).chain(0..index) {
            let end = tasks * (share + 1) / threads;
            loop {
                let next = self.next[share].0.fetch_add(1, Ordering::Relaxed);
                if next >= end {
                    break;
                }
                // SAFETY: the loop has not ended, so the function lives.
                unsafe { (*task)(next) };
            }
        }
    }
}

/// Marks this thread as outside the loop when it is dropped, also after a panic.
struct LeaveLoop;

impl Drop for LeaveLoop {
    fn drop(&mut self) {
        IN_LOOP.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(threads: &Threads, tasks: usize) -> Vec<usize> {
        let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
        threads.each(tasks, &|task| {
            counts[task].fetch_add(1, Ordering::Relaxed);
        });
        counts.into_iter().map(AtomicUsize::into_inner).collect()
    }

    #[test]
    fn every_task_runs_once_however_many_threads_and_loops_there_are() {
        for threads in [1, 2, 3, 8] {
            let threads = Threads::new(threads).unwrap();
            for tasks in (0..40).chain([1000]) {
                assert_eq!(counts(&threads, tasks), vec![1; tasks]);
            }
        }
    }

    #[test]
    fn threads_that_fell_asleep_between_loops_help_again() {
        let threads = Threads::new(2).unwrap();
        for _ in 0..3 {
            let asleep = || threads.shared.helpers[0].asleep.0.load(Ordering::SeqCst);
            while !asleep() {
                thread::yield_now();
            }
            let caller = thread::current().id();
            let helped = AtomicBool::new(false);
            threads.each(2, &|_| {
                if thread::current().id() != caller {
                    helped.store(true, Ordering::SeqCst);
                }
                while !helped.load(Ordering::SeqCst) {
                    thread::yield_now();
                }
            });
        }
    }

    #[test]
    fn a_loop_inside_a_loop_and_loops_of_several_callers_end() {
        let threads = Threads::new(3).unwrap();
        let sum = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        threads.each(5, &|_| {
                            threads.each(3, &|task| {
                                sum.fetch_add(task, Ordering::Relaxed);
                            });
                        });
                    }
                });
            }
        });
        assert_eq!(sum.into_inner(), 4 * 200 * 5 * 3);
    }

    #[test]
    fn a_panic_of_any_task_reaches_the_caller_and_the_threads_go_on() {
        let threads = Threads::new(2).unwrap();
        for bad in 0..8 {
            let panicked = catch_unwind(AssertUnwindSafe(|| threads.each(8, &|task| assert_ne!(task, bad))));
            assert!(panicked.is_err(), "task {bad}");
            assert_eq!(counts(&threads, 16), vec![1; 16]);
        }
    }
}
