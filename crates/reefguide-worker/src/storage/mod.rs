//! Moving bytes: storage URIs, transfers, outputs and their publication.
