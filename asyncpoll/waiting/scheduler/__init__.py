"""How a hub polls for any number of waits.

Terms. A *wait* is one caller's interest in one job. The first wait for a job is its *primary*: it is the *target* that
is polled for all waits of the job, also when its own is over before the others. Where an API can tell about many jobs
in one call, their primaries are *members* of a *batch*, and the batch is the target. A *lane* holds the targets of one
transport, that is of one server and one credential; an endpoint with a rate of its own has a queue of its own there.
A *sink* is told how a wait ended.

The life of a target. It is *idle* until its timer fires (`TimerQueue`), then *ready* in its lane until the lane and
the hub let it start, then *in flight* until its poll is over; then it is idle again, with the next due time. While it
is idle its timer stands at the next poll, otherwise at the first deadline of its waits, so one timer of the event loop
serves polls and deadlines alike. The `Dispatcher` knows only this.

The life of a poll (`Scheduler.poll`, a task of its own):

1. `_fetch` asks about the job. Whatever is raised becomes a result, like a snapshot.
2. `_apply` gives the result to the decision of every wait. Waits that are over are detached at once.
3. `Dispatcher.finish` tells the lane how it went, and sets the next due time.
4. `_deliver` calls observers and sinks. By then the state of the scheduler is consistent, so that they may call back.

Invariants. Every wait that was entered ends once, no later than its deadline: only step 1 awaits, errors of user code
are caught where it is called, and a poll that comes to no end is given up by `fail`. A fetch runs in a copy of the
context of the oldest wait that is left; the call about a batch, and timers, in that of the hub. A job is polled at the
earliest time that any of its waits wants. No lane takes the slots that others with targets are entitled to.

Why it looks as it does. A million waits should fit into half a gigabyte. So a wait is one object: its decision, the
entry of the timer queue and the target are the same (`Wait`); what most waits never need is in one shared instance
(`_Rare`); equal snapshots of unfinished jobs are one object without payload (`SnapshotInterner`).
"""
