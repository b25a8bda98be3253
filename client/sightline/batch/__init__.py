"""Many pictures and videos: resumable, on one machine or on a Ray cluster."""
