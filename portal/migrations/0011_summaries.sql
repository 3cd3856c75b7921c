-- What lists show of a report, sealed JSON. In a table of its own, so that a list does not read its way
-- through the reports.
CREATE TABLE summary (
    cluster TEXT NOT NULL,
    name    TEXT NOT NULL,
    summary BLOB NOT NULL,
    PRIMARY KEY (cluster, name),
    FOREIGN KEY (cluster, name) REFERENCES configuration (cluster, name) ON DELETE CASCADE
);
INSERT INTO summary SELECT cluster, name, summary FROM status WHERE summary IS NOT NULL;
ALTER TABLE status DROP COLUMN summary;
