-- Each role that a principal has in a scope is a resource of its own, as in ARM. Those that are there get ids that begin as
-- the principal's and end with a number.
ALTER TABLE role_assignment ADD COLUMN id TEXT NOT NULL DEFAULT '';
UPDATE role_assignment SET id = substr(principal, 1, 24) || substr(CAST(1000000000000 + (
    SELECT count(*) FROM role_assignment AS other
    WHERE other.principal || ' ' || other.role || ' ' || other.scope
        < role_assignment.principal || ' ' || role_assignment.role || ' ' || role_assignment.scope
) AS TEXT), 2);
CREATE UNIQUE INDEX role_assignment_id ON role_assignment (id);

-- When a secret ends; never, when there is nothing.
ALTER TABLE credential ADD COLUMN expires_at TEXT;

-- JSON of when and by whom the database was restored from a backup, until the audit log says so: a restore needs no key to
-- seal an entry with.
ALTER TABLE portal ADD COLUMN restored TEXT;
