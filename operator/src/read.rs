//! A tree of files becomes manifests and problems.
