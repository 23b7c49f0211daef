"""A schedule that learns how long jobs take, and polls when that pays.

Theory of operation
-------------------

*Observations.* A poll that sees a job running at age `lo` and a later one that sees it ended at age `hi` say that its
duration lies in (`lo`, `hi`]: it is interval-censored. It is exact (`lo == hi`) if the server tells the duration, and
right-censored (`hi` is infinite) if the wait was given up. A look that finds a job running is an observation, too. The
`Course` of a wait derives all these from its polls. The age is that since the submit, where it is known; jobs of which
only the time since the wait began is known have a key of their own. `_history` keeps the newest 64 durations for each
phase of the jobs of a key: a job is pending first and processed then. Nothing computed from them is kept, so the
histories of several processes can be merged, and the estimator can change.

*Survival curve.* S(t) is the probability that a job still runs at age t. `_survival` estimates it from looks: of the
jobs that passed an age, some ended there. The order in which jobs end does not matter, so the first jobs of a batch
teach something while the others run. Where the server tells durations, a kernel estimate on a logarithmic axis is
better, which finds narrow modes; `_model` uses it from eight of them on. Both mix in a wide prior, which has the more
weight the less was observed. The curve is estimated anew when the observations have grown by a small share, and at the
first ends of a kind, which show more than all looks before. Then a hub plans the polls again that it had planned.

*Plan.* A call has a cost, in seconds, and each second between the end of a job and the poll that sees it costs one
second. `_plan` finds the ages to poll at with the least expected sum, by dynamic programming. The best next age
depends on the present one alone, so one plan serves every job of a key, for its first poll, too. The call cost is set
in seconds, or by a price, which is its share of the typical duration, or by a budget of calls, to which the price is
fitted. An end that is known as a wide interval keeps the shape of the prior in it, so the plan itself looks earlier
where that may pay.

*Progress.* A job that shows its progress is expected to end when all of it will be done at the same pace. How far that
is to be believed is learned from the first progress of each job and its end. If it says more than the curve does, the
next poll is made once it is worth a call.

*Drift.* The durations of jobs change. What was seen long ago is forgotten, age by age. Each exact duration also has a
p-value under the present curve, for faster and for slower jobs; the change detector of `_model` multiplies them up to
evidence, and on an alarm the history is cut to the records that show the change. Jobs that run at the same time end in
the order of their durations, which would look like drift; so they are collected as a cohort, and recorded in random
order once a job that came later has ended.

*Scarce calls.* Where many waits share a limited rate of calls, their total delay is least if each poll is made when it
is worth one common price. What a poll is worth is the delay expected since the last look; it grows for ever, so no wait
is left out. The hub sets the price, as `asyncpoll/waiting/scheduler/_pacing.py` explains.

*Bounds.* Whatever was learned, a delay lies between the shortest and the longest interval. After a failed poll, which
observes nothing, the next one follows a short backoff instead of the plan.

`_learned` has the public schedule, which keeps a model for each key, plans with it, hands it the observations, and
explains its plans. Ages, durations and costs are seconds.
"""
