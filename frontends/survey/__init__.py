"""The networks of the survey by Sze, Chen, Yang and Emer (2017), built from their layer shapes."""

from frontends.survey.build import build, names

__all__ = ["build", "names"]
