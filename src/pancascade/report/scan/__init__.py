"""Pages and images of one scan, and of a cohort."""
