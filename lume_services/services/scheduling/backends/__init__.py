"""The packaged backends, one module each; imported on first use, because each imports Prefect."""
