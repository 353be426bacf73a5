"""Many runs: the study, and the report over finished runs."""

from regularizer_collection.experiments.collect import collect_results
from regularizer_collection.experiments.study import run_study
from regularizer_collection.experiments.tables import accuracy_table, density_table, tv_table

__all__ = ["accuracy_table", "collect_results", "density_table", "run_study", "tv_table"]
