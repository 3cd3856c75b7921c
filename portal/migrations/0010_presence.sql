-- When the agents of clusters last called, and what they said then; of those that nobody registered, too.
CREATE TABLE presence (
    -- The id in lower case, as in `cluster`.
    cluster            TEXT NOT NULL PRIMARY KEY,
    id                 TEXT NOT NULL,
    last_seen          TEXT NOT NULL,
    agent_version      TEXT,
    kubernetes_version TEXT,
    nodes              BIGINT
);
INSERT INTO presence (cluster, id, last_seen, agent_version)
    SELECT cluster, id, last_seen, agent_version FROM cluster WHERE last_seen IS NOT NULL;
ALTER TABLE cluster DROP COLUMN last_seen;
ALTER TABLE cluster DROP COLUMN agent_version;
