"""The durable state: database, files, gallery, library."""
