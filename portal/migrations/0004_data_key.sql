-- What values are sealed with, itself sealed with the key of the settings: one row.
CREATE TABLE data_key (
    id         TEXT NOT NULL PRIMARY KEY,
    sealed     BLOB NOT NULL,
    -- Which key of the settings did: the beginning of its SHA-256.
    sealed_by  TEXT NOT NULL,
    created_at TEXT NOT NULL
);
