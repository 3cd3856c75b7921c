-- What kind of identity wrote it: `User` or `Application`, which it is where nothing is said.
ALTER TABLE configuration ADD COLUMN created_by_type TEXT;
ALTER TABLE configuration ADD COLUMN last_modified_by_type TEXT;
ALTER TABLE flux_configuration ADD COLUMN created_by_type TEXT;
ALTER TABLE flux_configuration ADD COLUMN last_modified_by_type TEXT;
ALTER TABLE cluster ADD COLUMN created_by_type TEXT;
ALTER TABLE cluster ADD COLUMN last_modified_by_type TEXT;
