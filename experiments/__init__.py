"""Many runs: configs, folders, the study and its report."""
