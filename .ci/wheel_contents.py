"""Check that a wheel holds the four packages, their data, and nothing else."""

import sys
import zipfile

PACKAGES = {"mapper", "frontends", "backends", "arch_specs"}
NEEDED = {
    "arch_specs/eyeriss_v1.yaml",
    "arch_specs/simple3.yaml",
    "arch_specs/simple3_rolling.yaml",
    "arch_specs/schedules/eyeriss_v1/CONV1.yaml",
    "arch_specs/tables/survey_65nm.yaml",
    "mapper/py.typed",
}

names = set(zipfile.ZipFile(sys.argv[1]).namelist())
tops = {name.split("/")[0] for name in names}
extra = {top for top in tops if top not in PACKAGES and not top.endswith(".dist-info")}
strange = {n for n in names if not n.endswith((".py", ".yaml", "py.typed")) and ".dist-info/" not in n}
problems = [f"unexpected: {sorted(extra | strange)}"] * bool(extra | strange)
problems += [f"missing: {sorted(NEEDED - names)}"] * bool(NEEDED - names)
if problems:
    sys.exit("\n".join(problems))
print(f"wheel: {len(names)} files in {', '.join(sorted(PACKAGES))}")
