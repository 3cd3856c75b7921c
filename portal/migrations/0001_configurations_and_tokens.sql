-- What is desired. `cluster` and `name` are in lower case and are what is looked for, `id` keeps
-- the case of the first PUT.
CREATE TABLE configuration (
    cluster            TEXT NOT NULL,
    name               TEXT NOT NULL,
    id                 TEXT NOT NULL,
    -- Another one after each change of what is desired, the secrets included.
    etag               TEXT NOT NULL,
    -- Sealed JSON, without the protected settings and without anything that the server makes itself.
    properties         BLOB NOT NULL,
    created_by         TEXT NOT NULL,
    created_at         TEXT NOT NULL,
    last_modified_by   TEXT NOT NULL,
    last_modified_at   TEXT NOT NULL,
    PRIMARY KEY (cluster, name)
);

-- The secrets of a configuration, sealed JSON; no row when there are none. Only the data plane reads them.
CREATE TABLE protected_settings (
    cluster  TEXT NOT NULL,
    name     TEXT NOT NULL,
    settings BLOB NOT NULL,
    PRIMARY KEY (cluster, name),
    FOREIGN KEY (cluster, name) REFERENCES configuration (cluster, name) ON DELETE CASCADE
);

-- The last report of the agent about a configuration as it is now, sealed JSON; no row before it. A change
-- of what is desired deletes it.
CREATE TABLE status (
    cluster TEXT NOT NULL,
    name    TEXT NOT NULL,
    report  BLOB NOT NULL,
    PRIMARY KEY (cluster, name),
    FOREIGN KEY (cluster, name) REFERENCES configuration (cluster, name) ON DELETE CASCADE
);

-- Who may call. A token is revoked by deleting its row.
CREATE TABLE token (
    id            TEXT NOT NULL PRIMARY KEY,
    name          TEXT NOT NULL,
    -- `reader` or `contributor` of ARM resources in the scope; `agent` of the cluster that it names.
    role          TEXT NOT NULL CHECK (role IN ('reader', 'contributor', 'agent')),
    scope         TEXT NOT NULL,
    -- SHA-256 of the secret, which is 256 random bits: nothing slower is needed.
    secret_sha256 BLOB NOT NULL,
    created_at    TEXT NOT NULL
);
