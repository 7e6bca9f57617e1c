"""All kinds of inputs, by name."""

from __future__ import annotations

from fuzzing import commands, models, texts

KINDS = {kind.name: kind for kind in (*models.KINDS, *texts.KINDS, *commands.KINDS)}
