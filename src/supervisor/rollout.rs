//! Generations: what a reload loads and how it takes over, slot by slot. One worker goes first; once it is ready the
//! others follow, and each ends its predecessor when it is ready itself. If anything fails before all are there, the
//! generation that serves goes on.

use super::control::Waiter;
use super::load::{self, Compiling, Loaded, Loading};
use super::run::Supervisor;
use super::slot::{Slot, State};
use crate::config::Work;
use crate::control::protocol::Outcome;
use crate::exit::{Exit, Failure};
use crate::message::{ToWorker, send_with};
use crate::status::LastReload;
use crate::sys;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::Instant;

/// One version of the component with what was decided about it.
pub struct Generation {
    pub number: u64,
    pub loaded: Loaded,
}

/// The slot whose worker goes first.
const CANARY: usize = 0;

pub struct Generations {
    /// The one that serves.
    pub current: Rc<Generation>,
    /// The one that served before it.
    pub previous: Option<Rc<Generation>>,
    rollout: Option<Rollout>,
    /// Asked for while another was under way.
    again: Option<Vec<Waiter>>,
    newest_number: u64,
    last: Option<(LastReload, Instant)>,
    pub compile_seconds: f64,
}

struct Rollout {
    name: &'static str,
    number: u64,
    step: Step,
    waiters: Vec<Waiter>,
}

enum Step {
    Compiling(Box<Compiling>),
    Canary(Rc<Generation>),
    Others(Rc<Generation>),
}

impl Generations {
    pub fn new(loaded: Loaded, compile_seconds: f64) -> Self {
        let current = Rc::new(Generation { number: 1, loaded });
        Self { current, previous: None, rollout: None, again: None, newest_number: 1, last: None, compile_seconds }
    }

    pub fn is_rolling(&self) -> bool {
        self.rollout.is_some()
    }

    /// Whether what serves is not what was loaded last: after a rollback, or a reload that failed.
    pub fn are_kept(&self) -> bool {
        self.current.number != self.newest_number
    }

    /// The generation that a slot's next worker belongs to.
    pub fn wanted_in(&self, slot: usize) -> &Rc<Generation> {
        match self.rollout.as_ref().map(|rollout| &rollout.step) {
            Some(Step::Others(target)) => target,
            Some(Step::Canary(target)) if slot == CANARY => target,
            _ => &self.current,
        }
    }

    /// The generation that is taking over.
    fn target(&self) -> Option<&Rc<Generation>> {
        match &self.rollout.as_ref()?.step {
            Step::Canary(target) | Step::Others(target) => Some(target),
            Step::Compiling(_) => None,
        }
    }

    /// Whether this is the generation that is taking over.
    pub fn is_target(&self, generation: &Rc<Generation>) -> bool {
        self.target().is_some_and(|target| Rc::ptr_eq(target, generation))
    }

    pub fn last(&self) -> Option<LastReload> {
        let (last, at) = self.last.as_ref()?;
        Some(LastReload { seconds_ago: at.elapsed().as_secs_f64(), ..last.clone() })
    }

    fn compiling(&mut self) -> Option<&mut Compiling> {
        match &mut self.rollout.as_mut()?.step {
            Step::Compiling(compiling) => Some(compiling),
            _ => None,
        }
    }

    /// What to wait for.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.rollout.as_ref()?.step {
            Step::Compiling(compiling) => Some(compiling.as_fd()),
            _ => None,
        }
    }

    /// Whether the process that has ended is a compiler of ours.
    pub fn reaped(&mut self, pid: Pid, status: WaitStatus) -> bool {
        let Some(compiling) = self.compiling().filter(|compiling| compiling.pid == pid) else { return false };
        compiling.reaped(status);
        true
    }
}

impl Supervisor {
    /// Loads the component again. Asked for during another reload, it follows that.
    pub fn reload(&mut self, why: &str, waiter: Option<Waiter>) {
        if !self.is_serving() {
            let message = "the server is starting or ending: nothing is reloaded".to_owned();
            return self.answer(waiter, Outcome::Failed { message, exit_code: Exit::Internal as u8 });
        }
        if self.generations.is_rolling() {
            self.generations.again.get_or_insert_default().extend(waiter);
            return;
        }
        self.generations.newest_number += 1;
        let number = self.generations.newest_number;
        tracing::info!(event = "reload-started", generation = number, "{why}: loading generation {number}");
        self.notify.reloading();
        let (name, waiters) = ("reload", waiter.into_iter().collect());
        match load::begin(&self.settings, self.roles, Some(&self.generations.current.loaded.work)) {
            Ok(Loading::Compiling(compiling)) => {
                let step = Step::Compiling(Box::new(compiling));
                self.generations.rollout = Some(Rollout { name, number, step, waiters });
            }
            Ok(Loading::Done(loaded)) => self.loaded(name, number, waiters, Ok(loaded)),
            Err(failure) => self.loaded(name, number, waiters, Err(failure)),
        }
    }

    /// The new generation is there and takes over, or there is none.
    fn loaded(&mut self, name: &'static str, number: u64, waiters: Vec<Waiter>, loaded: Result<Loaded, Failure>) {
        match loaded {
            Ok(loaded) => {
                let step = Step::Canary(Rc::new(Generation { number, loaded }));
                self.roll(Rollout { name, number, step, waiters });
            }
            Err(failure) => {
                let step = Step::Canary(self.generations.current.clone());
                self.generations.rollout = Some(Rollout { name, number, step, waiters });
                self.abort_rollout(&failure);
            }
        }
    }

    /// Goes back to the generation before.
    pub fn rollback(&mut self, waiter: Option<Waiter>) {
        let failed = |message: &str| Outcome::Failed { message: message.to_owned(), exit_code: Exit::Internal as u8 };
        if !self.is_serving() {
            return self.answer(waiter, failed("the server is starting or ending"));
        }
        if self.generations.is_rolling() {
            let failure = Failure::internal("it was called off by a rollback");
            self.generations.again = None;
            self.abort_rollout(&failure);
            let message = "the reload under way was called off: the generation before it goes on".to_owned();
            return self.answer(waiter, Outcome::Done { message });
        }
        let Some(target) = self.generations.previous.clone() else {
            return self.answer(waiter, failed("there is no generation before this one: nothing was reloaded yet"));
        };
        let number = target.number;
        tracing::info!(event = "rollback", generation = number, "going back to generation {number}");
        self.notify.reloading();
        let waiters = waiter.into_iter().collect();
        self.roll(Rollout { name: "rollback", number, step: Step::Canary(target), waiters });
    }

    fn roll(&mut self, rollout: Rollout) {
        // What is new must be there before anybody is told of it.
        if let Step::Canary(target) = &rollout.step
            && let Err(failure) = self.apps.prepare(&target.loaded.work)
        {
            self.generations.rollout = Some(rollout);
            return self.abort_rollout(&failure);
        }
        let rollout = match rollout.step {
            Step::Canary(target) => match self.tell_gateways(&target) {
                Ok(true) => Rollout { step: Step::Others(target), ..rollout },
                Ok(false) => Rollout { step: Step::Canary(target), ..rollout },
                Err(failure) => {
                    self.generations.rollout = Some(Rollout { step: Step::Canary(target), ..rollout });
                    return self.abort_rollout(&failure);
                }
            },
            step => Rollout { step, ..rollout },
        };
        self.generations.rollout = Some(rollout);
        self.slots.iter_mut().for_each(Slot::forget_failures);
    }

    /// Gives gateways what they are to know from now on, so that no connection ends for it. False if others are needed:
    /// those there are cannot open folders that are new.
    fn tell_gateways(&mut self, target: &Rc<Generation>) -> Result<bool, Failure> {
        let (Work::Gateway(old), Work::Gateway(new)) = (&self.generations.current.loaded.work, &target.loaded.work)
        else {
            return Ok(false);
        };
        if !new.folders().is_subset(&old.folders()) {
            return Ok(false);
        }
        let text = serde_json::to_vec(&new.relay_table()?).map_err(|error| Failure::internal(error.to_string()))?;
        let mut file = File::from(memfd_create("relay", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?);
        file.write_all(&text)?;
        // No gateway is to change what others read.
        let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        let message = ToWorker::Relay { generation: target.number };
        for child in self.slots.iter_mut().flat_map(|slot| &mut slot.children) {
            // One that cannot be told is replaced.
            let told =
                child.state == State::Ready && send_with(child.channel.as_fd(), &message, &[file.as_fd()]).is_ok();
            child.next = told.then(|| target.clone());
        }
        Ok(true)
    }

    /// Goes on with a rollout as far as it can.
    pub fn advance_rollout(&mut self) {
        if let Some(done) = self.generations.compiling().and_then(Compiling::advance) {
            self.compiled(done);
        }
        let Some(target) = self.generations.target().cloned() else { return };
        let serves = |slot: &Slot| slot.ready().is_some_and(|child| Rc::ptr_eq(&child.generation, &target));
        if serves(&self.slots[CANARY])
            && let Some(rollout) = &mut self.generations.rollout
        {
            rollout.step = Step::Others(target.clone());
        }
        if self.slots[..self.wanted].iter().all(serves) {
            self.finish_rollout(target);
        }
    }

    fn compiled(&mut self, done: Result<String, Failure>) {
        let Some(Rollout { name, number, step: Step::Compiling(compiling), waiters }) = self.generations.rollout.take()
        else {
            return;
        };
        self.generations.compile_seconds += compiling.began.elapsed().as_secs_f64();
        let loaded = compiling.finish(done, &self.settings);
        self.loaded(name, number, waiters, loaded);
    }

    fn finish_rollout(&mut self, target: Rc<Generation>) {
        let Some(rollout) = self.generations.rollout.take() else { return };
        let old = std::mem::replace(&mut self.generations.current, target);
        self.generations.previous = Some(old);
        self.apps.apply(&self.generations.current.loaded.work);
        let (name, generation) = (rollout.name, rollout.number);
        tracing::info!(event = "reload-finished", generation, "{name}: generation {generation} serves");
        let message = format!("generation {generation} serves");
        self.conclude(rollout, true, String::new(), Outcome::Done { message });
    }

    /// The generation that serves goes on; whoever waits is told why.
    pub fn abort_rollout(&mut self, failure: &Failure) {
        let Some(rollout) = self.generations.rollout.take() else { return };
        let (name, generation, message) = (rollout.name, rollout.number, failure.message.clone());
        let goes_on = self.generations.current.number;
        self.apps.forget_new(&self.generations.current.loaded.work);
        let text = &message[..crate::log::fitting(&message, crate::log::MAX_TEXT - 400)];
        tracing::error!(
            event = "reload-failed",
            generation,
            "{name}: generation {generation} is given up, generation {goes_on} goes on serving: {text}"
        );
        self.slots.iter_mut().for_each(Slot::forget_failures);
        let outcome = Outcome::Failed {
            message: format!("{name} failed, generation {goes_on} goes on serving: {message}"),
            exit_code: failure.exit as u8,
        };
        self.conclude(rollout, false, message, outcome);
    }

    fn conclude(&mut self, rollout: Rollout, succeeded: bool, message: String, outcome: Outcome) {
        let last = LastReload { generation: rollout.number, succeeded, message, seconds_ago: 0.0 };
        self.generations.last = Some((last, Instant::now()));
        for waiter in rollout.waiters {
            self.answer(Some(waiter), outcome.clone());
        }
        if self.ending.is_none() {
            self.notify.ready(self.summary());
        }
        sys::release_read_only();
        if let Some(waiters) = self.generations.again.take() {
            let mut waiters = waiters.into_iter();
            self.reload("asked for again meanwhile", waiters.next());
            if let Some(rollout) = &mut self.generations.rollout {
                rollout.waiters.extend(waiters);
            }
        }
    }

    /// Sees to it that each slot has a worker of the generation it is to have, and ends those that were overtaken
    /// before they were ready.
    pub fn replace_outdated(&mut self) {
        if !self.is_serving() {
            return;
        }
        for (index, slot) in self.slots.iter_mut().enumerate().take(self.wanted) {
            let wanted = self.generations.wanted_in(index);
            for child in &mut slot.children {
                let is_other = !Rc::ptr_eq(&child.generation, wanted);
                if is_other && matches!(child.state, State::Booting { .. }) {
                    child.kill("its generation was given up");
                }
            }
            if slot.start_at.is_none() && slot.newest().is_some() && !slot.has_worker_of(wanted) {
                slot.start_at = Some(Instant::now());
            }
        }
    }
}
