"""asyncio's event loop inside a component of WASI 0.3.

componentize-py runs each call of an export on a loop that has neither timers nor background tasks, and in which one
call cannot wake another. This one, made for componentize-py 0.25, has them: importing it puts it in that one's place.

A call runs the tasks that were created in it. It lasts until it has returned and none of them waits for the host any
more; one that waits for something in Python is then run by the call that brings it about. There are no threads, so
`run_in_executor` and `asyncio.to_thread` run the function at once; and no sockets, files or subprocesses.
"""

import asyncio
import contextvars
import heapq
import sys
import threading
import time
from asyncio import events
from concurrent.futures import Executor, Future

import componentize_py_async_support as support
import componentize_py_runtime as runtime
import wit_world
from componentize_py_types import Ok
from wit_world.imports import monotonic_clock

# wasmserve's clocks go in steps of a millisecond: a timer must not end in the step before.
CLOCK_STEP = 0.001
# So often a call's tasks have their turn before other calls have theirs.
ROUNDS = 100


class Call:
    """A call of an export: what it has to run and what it waits for."""

    def __init__(self, waitable_set, futures, handles, pending_count):
        self.waitable_set = waitable_set
        self.futures = futures  # by the number of what is waited for
        self.handles = handles
        self.own_tasks = pending_count
        self.lasts = 0
        self.timers = []
        self.cancelled_timers = 0
        self.alarm = None
        self.woken = False
        self.over = False

    # componentize-py ends the call when it is 0.
    @property
    def pending_count(self):
        return self.own_tasks + self.lasts

    @pending_count.setter
    def pending_count(self, count):
        self.own_tasks = count - self.lasts

    def is_needed(self):
        if self.own_tasks or self.handles or self.timers:
            return True
        return any(waiting is not self.alarm and waiting.is_awaited() for waiting in self.futures.values())

    def wait_for(self, waitable, waiting):
        if self.waitable_set is None:
            self.waitable_set = runtime.waitable_set_new()
        waiting.call = self
        self.futures[waitable] = waiting
        runtime.waitable_join(waitable, self.waitable_set)


class Waiting:
    """An operation of the host that goes on. It is seen to its end even if nobody wants its result any more."""

    def __init__(self, future, promise):
        self.future = future
        self.promise = promise

    def is_awaited(self):
        return not self.future.done()

    def set_result(self, event):
        loop.current = self.call  # is run next
        value = runtime.promise_get_result(event, self.promise)
        if not self.future.done():
            self.future.set_result(value)


class Wake:
    """Ends the sleep of a call in which nothing has happened but what another call did: closes a stream it reads."""

    def __init__(self, call):
        writer, self.reader = wit_world.byte_stream()
        self.promise = runtime.stream_read(self.reader.type_, self.reader.handle, 1).value[1]
        call.woken = True
        call.wait_for(self.reader.handle, self)
        writer.__exit__(None, None, None)

    def is_awaited(self):
        return True

    def set_result(self, event):
        self.call.woken = False
        runtime.promise_get_result(event, self.promise)
        self.reader.__exit__(None, None, None)


class Alarm:
    """The host's timer. It cannot be stopped: one that is not needed any more is kept for a later call."""

    def __init__(self, call, when, delay):
        self.when = when
        self.coroutine = monotonic_clock.wait_for(max(int(delay * 1e9), 1))
        context = contextvars.Context()
        context.run(support._future_state.set, call)
        try:
            context.run(self.coroutine.send, None)
        except StopIteration:  # over already
            Wake(call)
            return
        self.waitable, self.waiting = call.futures.popitem()
        self.join(call)

    def join(self, call):
        call.alarm = self
        call.wait_for(self.waitable, self)

    def leave(self):
        self.call.alarm = None
        del self.call.futures[self.waitable]
        runtime.waitable_join(self.waitable, 0)

    def set_result(self, event):
        self.call.alarm = None
        self.waiting.set_result(event)
        try:
            self.coroutine.send(None)
        except StopIteration:
            pass


class AtOnce(Executor):
    """What a thread would do is done on the spot."""

    def submit(self, function, /, *args, **kwargs):
        future = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


class Loop(asyncio.BaseEventLoop):
    def __init__(self):
        super().__init__()
        self.exception = None  # componentize-py puts here what ends the instance
        self.current = None
        self.spare_alarms = []
        self.unclaimed = []  # what belongs to no call
        self.strays = {}  # what calls that are over had begun and did not wait for
        self._thread_id = threading.get_ident()
        self._executor = AtOnce()

    def poll(self, call):
        """Runs what can be run in `call`, until all of it waits for something."""
        self.current = call
        if self.unclaimed:
            call.handles += self.unclaimed
            self.unclaimed.clear()
        for _ in range(ROUNDS):
            self._take_due_timers(call)
            if not call.handles:
                break
            handles, call.handles = call.handles, []
            for handle in handles:
                if not handle._cancelled:
                    handle._run()
        self.current = None
        if self.exception is not None:
            error, self.exception = self.exception, None
            raise error
        self._drop_cancelled_timers(call)
        call.lasts = int(call.is_needed())
        if call.lasts:
            self._prepare_sleep(call)
        else:
            self._end(call)

    def _end(self, call):
        call.over = True
        if call.alarm:
            self._spare(call.alarm)
        for waitable, waiting in call.futures.items():
            runtime.waitable_join(waitable, 0)
            self.strays[waitable] = waiting
        call.futures.clear()

    def _prepare_sleep(self, call):
        if call.waitable_set is None:
            call.waitable_set = runtime.waitable_set_new()
        while self.strays:
            call.wait_for(*self.strays.popitem())
        if call.handles and not call.woken:
            Wake(call)
        self._set_alarm(call)

    def _call_of(self, context):
        call = context.get(support._future_state)
        return self.current if call is None or call.over else call

    def call_soon(self, callback, *args, context=None):
        if context is None:
            context = contextvars.copy_context()
        handle = events.Handle(callback, args, self, context)
        self._add(handle, context)
        return handle

    call_soon_threadsafe = call_soon

    def _add(self, handle, context):
        call = self._call_of(context)
        if call is None:
            self.unclaimed.append(handle)
            return
        call.handles.append(handle)
        if call is not self.current and call.waitable_set is not None and not call.woken:
            Wake(call)

    # Timers

    def time(self):
        return time.monotonic()

    def call_later(self, delay, callback, *args, context=None):
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(self, when, callback, *args, context=None):
        if context is None:
            context = contextvars.copy_context()
        call = self._call_of(context)
        if call is None:
            raise RuntimeError("a timer can be set in a request, at startup and at shutdown, not at import")
        timer = events.TimerHandle(when, callback, args, self, context)
        timer._scheduled = True
        heapq.heappush(call.timers, timer)
        if call is not self.current and not call.woken:
            Wake(call)
        return timer

    def _timer_handle_cancelled(self, timer):
        call = self._call_of(timer._context)
        if call is not None:
            call.cancelled_timers += 1

    def _drop_cancelled_timers(self, call):
        timers = call.timers
        while timers and timers[0]._cancelled:
            heapq.heappop(timers)
        if call.cancelled_timers > 100:
            call.cancelled_timers = 0
            call.timers = [timer for timer in timers if not timer._cancelled]
            heapq.heapify(call.timers)

    def _take_due_timers(self, call):
        timers = call.timers
        while timers and timers[0]._when <= self.time():
            timer = heapq.heappop(timers)
            timer._scheduled = False
            call.handles.append(timer)

    def _set_alarm(self, call):
        when = call.timers[0]._when if call.timers else None
        if call.alarm:
            if when is not None and call.alarm.when <= when:
                return
            self._spare(call.alarm)
        if when is None:
            return
        # One that rings too early does no harm.
        early = [alarm for alarm in self.spare_alarms if alarm.when <= when]
        if early:
            alarm = max(early, key=lambda alarm: alarm.when)
            self.spare_alarms.remove(alarm)
            alarm.join(call)
        else:
            Alarm(call, when, when - self.time() + CLOCK_STEP)

    def _spare(self, alarm):
        alarm.leave()
        self.spare_alarms.append(alarm)

    # Executors and the rest

    def run_in_executor(self, executor, function, *args):
        return asyncio.wrap_future((executor or self._executor).submit(function, *args), loop=self)

    async def shutdown(self):
        """Cancels all other tasks, as asyncio.run() does at its end."""
        own = support._return_result.__code__, support._wrap_spawned.__code__
        tasks = [task for task in asyncio.all_tasks(self) if getattr(task.get_coro(), "cr_code", None) not in own]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.shutdown_asyncgens()


async def await_result(result):
    if isinstance(result, Ok):
        return result.value
    waitable, promise = result.value
    future = loop.create_future()
    loop._call_of(contextvars.copy_context()).wait_for(waitable, Waiting(future, promise))
    return await future


def install():
    support._loop = loop
    support._FutureState = Call
    support.await_result = await_result
    asyncio.set_event_loop(loop)
    events._set_running_loop(loop)
    sys.set_asyncgen_hooks(loop._asyncgen_firstiter_hook, loop._asyncgen_finalizer_hook)


loop = Loop()
install()
