-- fluxConfigurations. The names and ids are as in `configuration`, where each kustomization of one has a row.
CREATE TABLE flux_configuration (
    cluster          TEXT NOT NULL,
    name             TEXT NOT NULL,
    id               TEXT NOT NULL,
    etag             TEXT NOT NULL,
    -- Sealed JSON, without the protected settings and without anything that the server makes itself.
    properties       BLOB NOT NULL,
    -- The secrets, sealed JSON.
    settings         BLOB NOT NULL,
    created_by       TEXT NOT NULL,
    created_at       TEXT NOT NULL,
    last_modified_by TEXT NOT NULL,
    last_modified_at TEXT NOT NULL,
    PRIMARY KEY (cluster, name)
);

-- The name of the fluxConfiguration that a configuration is a part of, if it is one.
ALTER TABLE configuration ADD COLUMN flux TEXT;
