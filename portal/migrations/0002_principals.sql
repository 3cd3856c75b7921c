-- The portal itself: one row.
CREATE TABLE portal (
    one    INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    -- The directory's id, a UUID; whom tokens are from and for is made of it.
    tenant TEXT NOT NULL
);

-- People, programs and clusters.
CREATE TABLE principal (
    id         TEXT NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL,
    created_at TEXT NOT NULL
);

CREATE TABLE role_assignment (
    principal TEXT NOT NULL REFERENCES principal (id) ON DELETE CASCADE,
    role      TEXT NOT NULL CHECK (role IN ('owner', 'contributor', 'reader', 'agent')),
    scope     TEXT NOT NULL,
    PRIMARY KEY (principal, role, scope)
);

-- How principals prove themselves.
CREATE TABLE credential (
    id         TEXT NOT NULL PRIMARY KEY,
    principal  TEXT NOT NULL REFERENCES principal (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL CHECK (kind IN ('secret', 'certificate')),
    -- The SHA-256 of a secret of 256 random bits, or a certificate in DER.
    value      BLOB NOT NULL,
    created_at TEXT NOT NULL
);
CREATE INDEX credential_of_principal ON credential (principal);

-- What tokens are signed with: P-256, PKCS #8, sealed.
CREATE TABLE signing_key (
    id         TEXT NOT NULL PRIMARY KEY,
    private    BLOB NOT NULL,
    created_at TEXT NOT NULL
);

-- Tokens without an end were what principals had before.
DROP TABLE token;
