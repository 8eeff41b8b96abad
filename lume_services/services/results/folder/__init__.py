"""What the stores in folders share: durable files, SQLite, blobs."""
