"""Writing schedules out, for people and for programs."""

from backends.emit.nest import nest_text
from backends.emit.reading import parse_schedule, read_schedule
from backends.emit.schedule import Schedule, about, schedule_data, to_json, to_yaml

__all__ = [
    "Schedule",
    "about",
    "nest_text",
    "parse_schedule",
    "read_schedule",
    "schedule_data",
    "to_json",
    "to_yaml",
]
