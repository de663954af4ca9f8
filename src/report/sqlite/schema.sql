-- The results of many runs in one file, version 1.
--
--   runs         one row a run; verdict 'unfinished' as long as it goes on, and for ever when it was killed
--   cases        one row for everything that a run has planned: testcases, clean-ups, actions (role); outcome NULL: no result (yet)
--   attempts     the attempts of a case before its last one
--   subcases     the parts of a testcase that have a result of their own
--   metrics      what was measured, one row a value; those of the last attempt have the attempt of their case
--   comparisons  what was measured beside earlier runs or limits
--   messages     comments, warnings, reasons and raw results; case_id NULL: of the run itself
--
-- Views: trend (pass rate of each testcase, run by run), flaky (what passes now and then), metric_trend (each metric, run by run).
-- Times are UTC as SQLite's date functions take them, durations seconds, yes and no 1 and 0. An outcome is passed, partial, flaky,
-- failed, errored, skipped or blocked; a verdict passed, failed, errored, nothing_ran, stopped, incomplete or unfinished.

CREATE TABLE runs (
    run_id      INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,       -- "20261122-090000-7f3a"
    verdict     TEXT NOT NULL,
    sequence    TEXT,                       -- name of the sequence, if one was run
    sequence_passed   INTEGER,              -- by its pass criteria
    regression_passed INTEGER,              -- no testcase failed or errored
    started     TEXT,
    ended       TEXT,
    took        REAL,
    version     TEXT NOT NULL,              -- of xrt
    command     TEXT NOT NULL,              -- JSON list
    cwd         TEXT NOT NULL,
    targets     TEXT NOT NULL,              -- JSON list of machines
    workers     INTEGER NOT NULL,
    seed        TEXT,                       -- what the order was shuffled with
    results     TEXT NOT NULL               -- directory
) STRICT;

CREATE TABLE cases (
    case_id     INTEGER PRIMARY KEY,
    run_id      INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    position    INTEGER NOT NULL,           -- in the plan, from 0
    name        TEXT NOT NULL,              -- "group/name", "#2" behind the second of the same
    group_name  TEXT NOT NULL,
    testcase    TEXT NOT NULL,              -- "benchmarks/iometer"
    title       TEXT NOT NULL,
    file        TEXT NOT NULL,
    role        TEXT NOT NULL,              -- testcase, cleanup, action
    priority    INTEGER,                    -- from 1, the highest
    tc          TEXT,                       -- its definition in a ticket system, and the variant
    sku         TEXT,
    args        TEXT NOT NULL,              -- JSON object
    outcome     TEXT,
    reason      TEXT,
    kind        TEXT,                       -- of the failure, and who is to blame: product, lab, author, user, us
    blame       TEXT,
    place       TEXT,                       -- "scripts/a.rhai:3:5"
    started     TEXT,
    ended       TEXT,
    took        REAL,
    attempt     INTEGER NOT NULL,           -- number of the last attempt
    dir         TEXT NOT NULL,              -- its directory, in that of the run
    UNIQUE (run_id, position)
) STRICT;
CREATE INDEX cases_by_testcase ON cases (testcase, run_id);
CREATE INDEX cases_by_name ON cases (name, run_id);

CREATE TABLE attempts (
    case_id     INTEGER NOT NULL REFERENCES cases ON DELETE CASCADE,
    attempt     INTEGER NOT NULL,
    outcome     TEXT,                       -- NULL: the run died or was stopped in it
    reason      TEXT,
    started     TEXT,
    took        REAL NOT NULL
) STRICT;
CREATE INDEX attempts_by_case ON attempts (case_id);

CREATE TABLE subcases (
    case_id     INTEGER NOT NULL REFERENCES cases ON DELETE CASCADE,
    attempt     INTEGER NOT NULL,
    group_name  TEXT NOT NULL,
    name        TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    reason      TEXT,
    took        REAL
) STRICT;
CREATE INDEX subcases_by_case ON subcases (case_id);

CREATE TABLE metrics (
    case_id     INTEGER NOT NULL REFERENCES cases ON DELETE CASCADE,
    attempt     INTEGER NOT NULL,
    name        TEXT NOT NULL,
    value       REAL,
    unit        TEXT NOT NULL,
    better      TEXT,                       -- higher, lower, or NULL: as the unit has it
    samples     INTEGER,                    -- of how many the value is a mean, and their standard deviation
    deviation   REAL,
    at          TEXT NOT NULL
) STRICT;
CREATE INDEX metrics_by_case ON metrics (case_id, name);

CREATE TABLE comparisons (
    case_id     INTEGER NOT NULL REFERENCES cases ON DELETE CASCADE,
    name        TEXT NOT NULL,
    unit        TEXT NOT NULL,
    better      TEXT NOT NULL,
    change      TEXT NOT NULL,              -- better, same, worse
    now         REAL,                       -- mean of this run's values, and how many there are
    samples     INTEGER NOT NULL,
    before      REAL,
    samples_before INTEGER NOT NULL,
    against     TEXT NOT NULL,
    text        TEXT NOT NULL
) STRICT;
CREATE INDEX comparisons_by_case ON comparisons (case_id);

CREATE TABLE messages (
    run_id      INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    case_id     INTEGER REFERENCES cases ON DELETE CASCADE,
    at          TEXT NOT NULL,
    level       TEXT NOT NULL,              -- comment, warning, reason, step, result
    text        TEXT NOT NULL
) STRICT;
CREATE INDEX messages_by_case ON messages (case_id);
CREATE INDEX messages_by_run ON messages (run_id, level);

-- A skipped testcase and one without a result do not count.
CREATE VIEW counted AS
SELECT c.*, r.name AS run, r.started AS run_started, c.outcome IN ('passed', 'partial', 'flaky') AS is_passed
FROM cases c JOIN runs r USING (run_id)
WHERE c.role = 'testcase' AND c.outcome IS NOT NULL AND c.outcome <> 'skipped';

CREATE VIEW trend AS
SELECT testcase, run, run_started AS started, count(*) AS tests, sum(is_passed) AS passed,
    100.0 * sum(is_passed) / count(*) AS percent,
    100.0 * sum(sum(is_passed)) OVER last_ten / sum(count(*)) OVER last_ten AS percent_of_ten_runs
FROM counted
GROUP BY testcase, run_id
WINDOW last_ten AS (PARTITION BY testcase ORDER BY run_started, run_id ROWS 9 PRECEDING);

CREATE VIEW flaky AS
SELECT name, testcase, count(*) AS runs, sum(is_passed) AS passed, sum(outcome = 'flaky') AS flaky, sum(is_change) AS changes,
    max(run_started) AS last
FROM (
    SELECT *, is_passed <> lag(is_passed) OVER (PARTITION BY name ORDER BY run_started, run_id) AS is_change FROM counted
)
GROUP BY name
HAVING sum(outcome = 'flaky') > 0 OR sum(is_change) > 1
ORDER BY flaky + changes DESC, name;

CREATE VIEW metric_trend AS
SELECT c.name, m.name AS metric, m.unit, m.better, c.run, c.run_started AS started, count(*) AS samples,
    avg(m.value) AS mean, min(m.value) AS least, max(m.value) AS most
FROM metrics m JOIN counted c USING (case_id)
WHERE m.attempt = c.attempt AND c.is_passed
GROUP BY c.case_id, m.name, m.unit
ORDER BY c.name, m.name, c.run_started, c.run_id;
