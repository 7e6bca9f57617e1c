"""Writing schedules out, for people and for programs."""

from backends.emit.nest import nest_text
from backends.emit.schedule import (
    SCHEMA,
    Schedule,
    items_data,
    parse_schedule,
    read_schedule,
    schedule_data,
    to_json,
    to_yaml,
)

__all__ = [
    "SCHEMA",
    "Schedule",
    "items_data",
    "nest_text",
    "parse_schedule",
    "read_schedule",
    "schedule_data",
    "to_json",
    "to_yaml",
]
