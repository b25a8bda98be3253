"""The benchmarks: what each part costs beside the least it can cost, and beside its peers."""
