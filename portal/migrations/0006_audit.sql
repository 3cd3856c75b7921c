-- Who changed what: one row for each write, by the same transaction.
CREATE TABLE audit (
    -- In the order of time.
    id       TEXT NOT NULL PRIMARY KEY,
    -- What was written, in lower case.
    resource TEXT NOT NULL,
    -- Sealed JSON.
    entry    BLOB NOT NULL
);
