-- People who sign in at an OpenID provider, by the SHA-256 of its name and what it calls them.
CREATE TABLE person (
    digest    BLOB NOT NULL PRIMARY KEY,
    principal TEXT NOT NULL REFERENCES principal (id) ON DELETE CASCADE
);
