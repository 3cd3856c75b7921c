-- People who are signed in to the page, by the SHA-256 of what their cookie holds.
CREATE TABLE session (
    digest     BLOB NOT NULL PRIMARY KEY,
    principal  TEXT NOT NULL REFERENCES principal (id) ON DELETE CASCADE,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL
);

-- Links that sign someone in once, by the SHA-256 of their code. Without a principal, whoever comes
-- first becomes the owner of everything.
CREATE TABLE sign_in_link (
    digest     BLOB NOT NULL PRIMARY KEY,
    principal  TEXT REFERENCES principal (id) ON DELETE CASCADE,
    expires_at TEXT NOT NULL
);

-- What lists show of a report, sealed JSON; no value where an older version wrote the report.
ALTER TABLE status ADD COLUMN summary BLOB;

-- What reports said when they said something new, sealed JSON; the last ones of each configuration.
CREATE TABLE sync (
    cluster TEXT NOT NULL,
    name    TEXT NOT NULL,
    -- In the order of time.
    id      TEXT NOT NULL,
    entry   BLOB NOT NULL,
    PRIMARY KEY (cluster, name, id),
    FOREIGN KEY (cluster, name) REFERENCES configuration (cluster, name) ON DELETE CASCADE
);
