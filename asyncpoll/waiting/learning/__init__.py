"""A schedule that learns how long jobs take, and polls when that pays.

Theory of operation
-------------------

*Observations.* A poll that sees a job running at age `lo` and a later one that sees it ended at age `hi` say that its
duration lies in (`lo`, `hi`]: it is interval-censored. It is exact (`lo == hi`) if the server tells the duration, and
right-censored (`hi` is infinite) if the wait was given up. A wait's `Decision` derives these pairs from its polls, and
`_history` keeps the newest 64 for each phase of the jobs of a key: a job is pending first and processed then. Nothing
computed from them is kept, so the histories of several processes can be merged, and the estimator can change.

*Survival curve.* `_survival` estimates S(t), the probability that a job still runs at age t. A kernel estimate on a
logarithmic axis is mixed with a wide prior, which has the more weight the fewer jobs were observed. The estimate needs
exact durations, so `_model` imputes them: for each interval it draws a duration from the curve estimated before. It
estimates the curve anew whenever the records have grown by an eighth.

*Plan.* A call has a cost, in seconds, and each second between the end of a job and the poll that sees it costs one
second. `_plan` finds the ages to poll at with the least expected sum, by dynamic programming. The best next age
depends on the present one alone, so one plan serves every job of a key. The call cost is set in seconds, or by a
price, which is its share of the typical duration, or by a budget of calls, to which the price is fitted. A poll that
always finds the job ended would not show that jobs became faster; therefore one job in ten is polled early, unless
its exact duration will be observed.

*Drift.* The durations of jobs change. Each observation has a p-value under the present curve, for faster and for
slower jobs; the change detector of `_model` multiplies them up to evidence, and on an alarm the history is cut to the
records that show the change. Jobs that run at the same time end in the order of their durations, which would look
like drift; so they are collected as a cohort, and recorded in random order once a job that came later has ended.

*Shared price.* Where many waits share a limited rate of calls, their total delay is least if all plan with one common
call cost, the one at which they ask for just as many calls as there are. It cannot be computed, so `_shared_price`
controls it: while polls are late the price controller of a hub raises it, and while the rate is left unused it lowers
it. It is a lower bound: jobs with a higher call cost of their own keep that.

*Bounds.* Whatever was learned, a delay lies between the shortest and the longest interval. After a failed poll, which
observes nothing, the next one follows a short backoff instead of the plan.

`_learned` has the public schedule, which keeps a model for each key, plans with it and hands it the observations.
`_replay` computes the calls and the delay that a schedule would have cost the jobs of a past run. Ages, durations and
costs are seconds.
"""
