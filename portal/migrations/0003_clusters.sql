-- Resource groups. `id` keeps the case of the first PUT; the other columns of the key are in lower
-- case and are what is looked for.
CREATE TABLE resource_group (
    subscription TEXT NOT NULL,
    name         TEXT NOT NULL,
    id           TEXT NOT NULL,
    location     TEXT NOT NULL,
    -- Sealed JSON, a text for each name.
    tags         BLOB NOT NULL,
    PRIMARY KEY (subscription, name)
);

-- Connected clusters, as an inventory. A configuration needs no row here.
CREATE TABLE cluster (
    -- The id in lower case, as in `configuration`.
    cluster          TEXT NOT NULL PRIMARY KEY,
    subscription     TEXT NOT NULL,
    resource_group   TEXT NOT NULL,
    id               TEXT NOT NULL,
    etag             TEXT NOT NULL,
    location         TEXT NOT NULL,
    tags             BLOB NOT NULL,
    -- Sealed JSON: `identity`, `kind` and `properties` as they were put, without what the server makes.
    body             BLOB NOT NULL,
    created_by       TEXT NOT NULL,
    created_at       TEXT NOT NULL,
    last_modified_by TEXT NOT NULL,
    last_modified_at TEXT NOT NULL,
    -- Of its agent: when it last called, and its version.
    last_seen        TEXT,
    agent_version    TEXT,
    FOREIGN KEY (subscription, resource_group)
        REFERENCES resource_group (subscription, name) ON DELETE CASCADE
);
CREATE INDEX cluster_of_group ON cluster (subscription, resource_group);
