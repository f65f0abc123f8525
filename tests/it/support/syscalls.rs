//! The system calls of a process, counted with ptrace(2): a count is the same on a busy machine.

use std::collections::HashMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::Process;

/// How often each system call, by its number, is made while `work` runs.
pub fn syscalls_during(process: Process, work: impl FnOnce()) -> HashMap<i64, u64> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let (attached, begin) = mpsc::channel();
        // A thread of its own: whom it traces it waits for, and for no child of the tests; its end lets go of them.
        let tracer = scope.spawn(|| trace(process, &done, attached));
        begin.recv().expect("ptrace(2) of a descendant is allowed here");
        work();
        done.store(true, SeqCst);
        tracer.join().unwrap()
    })
}

/// Stops the thread that runs a worker's loop, and no other of its threads, until the process ends.
pub fn block_loop(process: Process) {
    let (stopped, begin) = mpsc::channel();
    thread::spawn(move || {
        let main = Pid::from_raw(process.pid);
        ptrace::seize(main, ptrace::Options::empty()).unwrap();
        ptrace::interrupt(main).unwrap();
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        let mut notify = Some(stopped);
        // Whoever traces is told first of its end, and has to wait for it so that the parent is told.
        while !matches!(waitpid(main, Some(flags)), Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) | Err(_)) {
            notify.take().map(|stopped| stopped.send(()));
        }
    });
    begin.recv().expect("ptrace(2) of a descendant is allowed here");
}

fn trace(process: Process, done: &AtomicBool, attached: mpsc::Sender<()>) -> HashMap<i64, u64> {
    let options = ptrace::Options::PTRACE_O_TRACESYSGOOD | ptrace::Options::PTRACE_O_TRACECLONE;
    for task in fs::read_dir(format!("/proc/{}/task", process.pid)).unwrap() {
        let thread = Pid::from_raw(task.unwrap().file_name().to_str().unwrap().parse().unwrap());
        ptrace::seize(thread, options).unwrap();
        ptrace::interrupt(thread).unwrap();
    }
    attached.send(()).unwrap();
    let mut stops = HashMap::new();
    // The worker's heartbeat sees to it that this goes on.
    while !done.load(SeqCst) {
        match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)).unwrap() {
            WaitStatus::PtraceSyscall(thread) => {
                *stops.entry(number(thread)).or_insert(0) += 1;
                ptrace::syscall(thread, None).unwrap();
            }
            WaitStatus::PtraceEvent(thread, ..) => ptrace::syscall(thread, None).unwrap(),
            WaitStatus::Stopped(thread, signal) => ptrace::syscall(thread, signal).unwrap(),
            other => panic!("{other:?} while its system calls are counted"),
        }
    }
    // Each call stops its thread twice: before and after.
    stops.into_iter().map(|(number, stops)| (number, stops / 2)).collect()
}

fn number(thread: Pid) -> i64 {
    let registers = ptrace::getregs(thread).unwrap();
    #[cfg(target_arch = "x86_64")]
    return registers.orig_rax as i64;
    #[cfg(target_arch = "aarch64")]
    return registers.regs[8] as i64;
}
