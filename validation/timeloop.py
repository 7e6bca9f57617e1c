"""The cost model against Timeloop: 340 of its runs, the same mappings in our notation, and both counts.

Nothing is fitted. What differs is decided from a record's loops, never from its numbers (`timeloop_inputs`), and taken
into account by one conversion for each convention (`timeloop_counts`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from validation.markdown import bullets, page, paragraph, table
from validation.timeloop_counts import (
    ALL,
    Line,
    capacities,
    compare,
    differences,
    energy,
    obstacle,
    own_abilities,
    port_cycles,
    priced,
    spatial_reductions,
    untouched,
    words_at,
)
from validation.timeloop_inputs import INPUTS, Difference
from validation.timeloop_records import FILES, Record, records

LABELS = {
    Difference.DRAIN: "drain",
    Difference.GROUP: "group",
    Difference.WINDOW: "window",
    Difference.OUTER: "outer step",
    Difference.EQUAL: "equal boxes",
    Difference.LINKS: "links",
}


def expressible() -> list[Record]:
    """The records that have an equal in our notation."""
    return [record for record in records() if obstacle(record) is None]


def class_of(record: Record) -> str:
    """The record's class: the conventions for inputs that change its counts."""
    found = differences(record) & INPUTS
    return " + ".join(label for kind, label in LABELS.items() if kind in found) or "none"


def unrolled_together(record: Record) -> bool:
    """Whether two dims that share a rank of the inputs, an output dim and a filter dim, are unrolled together."""
    dims = {bound.dim for bound in record.spatial}
    return any(len(dims & {term.dim for term in rank}) > 1 for rank in record.nest.tensor("I").ranks)


def report() -> str:
    """The whole comparison in Markdown."""
    found = expressible()
    lines = {record: compare(record) for record in found}
    sections = [
        _introduction(found),
        _outputs([line for some in lines.values() for line in some]),
        _inputs(lines),
        _rest(lines),
        _conventions(found),
        _inexpressible(),
        _classes(found),
    ]
    return page(*sections) + "\n"


def _introduction(found: Sequence[Record]) -> str:
    every = records()
    sizes = Counter(record.architecture.name for record in every)
    machines = ", ".join(f"{sizes[file]} on `{file}`" for file in FILES)
    unequal = sum(not line.equal for record in found for line in compare(record))
    return page(
        "# Validation: Timeloop",
        paragraph(
            f"""{len(every)} runs of Timeloop (NVlabs/timeloop, commit 4cf6d4c), {machines}: convolutions with strides,
            dilations and batches, depthwise convolutions and matrix products, unrolled over none to two axes, some
            tensors bypassing memories. Each is written as a loop nest, an architecture and a
            mapping of ours and counted by the cost model. Printed by `python -m validation timeloop`; the records are
            in `tests/data/timeloop`, and `tests/validation/test_timeloop.py` checks what is said here record by
            record."""
        ),
        paragraph(
            f"""{len(every) - len(found)} mappings have no equal in our form and are listed below. Of the other
            {len(found)} every count of every tensor at every memory is compared: reads, fills (words from above),
            updates (words from below) and temporal reductions (updates added to a word), as whole numbers over all
            instances. A *line* is one memory and one tensor of a record. Under the conventions of Timeloop's that are
            listed below, {unequal or "no"} line differs. Networks are compared by their link transfers and the partial
            sums they add; their hops and the address generations of memories are not, as we count no such thing or by
            another rule."""
        ),
    )


def _outputs(lines: Sequence[Line]) -> str:
    rows = []
    for tensor, name in (("W", "weights"), ("O", "outputs")):
        for home in (True, False):
            some = [line for line in lines if line.node[1] == tensor and (line.node[0] == "DRAM") is home]
            where = "in DRAM" if home else "in all other memories"
            same = sum(line.ours == line.theirs for line in some)
            rows.append([f"{name} {where}", f"{len(some)}", f"{same}", f"{sum(line.equal for line in some)}"])
    return page(
        "## Weights and outputs",
        table(["", "lines", "equal as counted", "equal under Timeloop's conventions"], rows),
        paragraph(
            """Weights need no conversion, nor do outputs in DRAM. At a memory below, our count of outputs has the read
            with which a drain begins, Timeloop's does not, and reducing groups begin from zero differently: `drain` and
            `group` below."""
        ),
    )


def _inputs(lines: dict[Record, list[Line]]) -> str:
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in lines:
        groups[class_of(record)].append(record)
    rows = []
    for name in sorted(groups, key=lambda name: (name.count("+"), -len(groups[name]), name)):
        some = [line for record in groups[name] for line in lines[record] if line.node[1] == "I"]
        own = [found for record in groups[name] if (found := own_abilities(record)) is not None]
        reached = sum(all(line.equal for line in found) for found in own)
        rows.append(
            [
                name,
                f"{len(groups[name])}",
                f"{len(some)}",
                f"{sum(line.ours == line.theirs for line in some)}",
                f"{sum(line.equal for line in some)}",
                f"{reached} of {len(own)}" if own and name != "none" else "",
            ]
        )
    head = [
        "conventions that apply",
        "records",
        "lines",
        "equal as counted",
        "equal under Timeloop's conventions",
        "records equal by abilities of our own",
    ]
    stuck = sum(own_abilities(record) is None for record in groups["window"])
    return page(
        "## Inputs",
        paragraph(
            """A record's class is the set of conventions that apply to its inputs, decided from its loops and the
            layer's shape alone."""
        ),
        table(head, rows),
        paragraph(
            f"""The last column converts no inputs. The machine is given what our model has for the same purpose
            instead: memories whose nodes roll for `window`, a network that shares halos for `equal boxes`; the model's
            own count then equals Timeloop's. It is tried for the number of records behind "of". Out of its reach are,
            besides the classes without an entry, boxes of instances that overlap without being equal (`equal boxes`:
            our network shares what they have in common, Timeloop's does not), and {stuck} records of `window` in which
            a node outside the array stands below the loop along which one inside would have to roll."""
        ),
        paragraph(
            """In these records our count is nowhere below Timeloop's, except where neighbours hand tiles on: each
            convention here saves something. With `links` the reads of the child are more in Timeloop, by the words that
            it hands on."""
        ),
    )


def _rest(lines: dict[Record, list[Line]]) -> str:
    ports: Counter[str] = Counter()
    energies: Counter[str] = Counter()
    plain: Counter[str] = Counter()
    for record, some in lines.items():
        cost = priced(record)[1]
        for memory in record.memories:
            theirs = sum(tally.energy for (name, _), tally in record.tallies.items() if name == memory)
            energies["all"] += 1
            energies["equal"] += energy(record, memory, words_at(memory, some)) == theirs
            if memory in untouched(record):
                plain["energies"] += 1
                plain["equal energies"] += cost.energy_by_level[memory] == theirs
            if record.architecture.memory(memory).shared_bandwidth is not None:
                off = record.cycles[memory] - port_cycles(record, memory, words_at(memory, some))
                ports["all"] += 1
                ports["equal"] += off == 0
                ports["one more"] += off == 1
                if memory in untouched(record):
                    own = max(cost.counts.steps, cost.cycles_by_port[f"{memory} shared"])
                    plain["ports"] += 1
                    plain["equal ports"] += record.cycles[memory] == own
    tiles = [pair for record in lines for pair in capacities(record).values()]

    def of_records(what: str, holds: Callable[[Record], bool]) -> tuple[str, int, int]:
        return what, len(lines), sum(map(holds, lines))

    printed = sum(utilization(record) == record.utilization for record in lines)
    rows: list[tuple[str, int, int]] = [
        ("capacity of the largest tile, each line", len(tiles), sum(ours == theirs for ours, theirs in tiles)),
        of_records("compute cycles", lambda r: priced(r)[1].counts.steps == r.cycles["MAC"]),
        of_records("instances in use", lambda r: r.nest.operations == r.instances * priced(r)[1].counts.steps),
        of_records("partial sums added by the network", lambda r: spatial_reductions(r) == r.spatial_reductions),
        ("energy of a memory, converted words", energies["all"], energies["equal"]),
        ("the same as we print it, where no convention applies", plain["energies"], plain["equal energies"]),
        ("cycles of a memory's port, converted words", ports["all"], ports["equal"]),
        ("the same as we print it, where no convention applies", plain["ports"], plain["equal ports"]),
        ("utilisation in per cent, converted words, to two decimals", len(lines), printed),
    ]
    return page(
        "## Capacities, cycles, energy",
        table(["", "compared", "equal"], [[what, f"{compared}", f"{equal}"] for what, compared, equal in rows]),
        paragraph(
            f"""In the other {ports["one more"]} cases of ports Timeloop has one cycle more. There the words are a whole
            multiple of the bandwidth: it divides in floating point, comes out above the whole number by a rounding
            error and takes the next. In {len(lines) - printed} short records that shows in the utilisation."""
        ),
    )


def utilization(record: Record) -> str:
    """Our utilisation, converted words at the ports, as Timeloop prints it."""
    lines = compare(record)
    cycles = max(port_cycles(record, memory, words_at(memory, lines)) for memory in record.memories)
    return f"{100 * record.nest.operations / (cycles * record.architecture.peak_operations):.2f}%"


def _conventions(found: Sequence[Record]) -> str:
    def point(kind: Difference, text: str) -> str:
        applies = sum(kind in differences(record) for record in found)
        without = sum(not all(line.equal for line in compare(record, by=ALL - {kind})) for record in found)
        return " ".join(f"**{LABELS[kind]}** ({applies} records; left out, {without} differ): {text}".split())

    every = records()
    together = [record for record in every if unrolled_together(record)]
    equal = sum(Difference.EQUAL in differences(record) for record in together)
    outer = [record for record in found if Difference.OUTER in differences(record)]
    real = sum(Difference.OUTER in differences(record, every_step=True) for record in outer)
    small = [record for record in found if record.every_step is not None]
    again = sum(all(line.equal for line in compare(record, every_step=True)) for record in small)
    linked = [record for record in every if Difference.LINKS in differences(record)]
    missing = sum(obstacle(record) is not None for record in linked)
    return page(
        "## The conventions",
        paragraph(
            """These explain all differences in these records. Each applies, by a record's loops, to exactly the records
            that differ when its conversion is left out."""
        ),
        bullets(
            point(
                Difference.DRAIN,
                """our child is read for each word that it drains to its parent. Timeloop counts the parent's update
                only.""",
            ),
            point(
                Difference.GROUP,
                """let c instances add up their partial sums, V words arrive at the parent, and O be the outputs. We
                re-fill one instance of the group, V - O words, and the others begin from zero. Timeloop re-fills all,
                c(V - O) words: each word begins from zero once in each instance, so the child reads updates - c O
                words, where ours reads updates less the words that began from zero.""",
            ),
            point(
                Difference.WINDOW,
                """consecutive tiles of inputs overlap, and a step of the innermost loop that moves the tile loads new
                words only. Ours loads the tile again, or rolls where the memory can.""",
            ),
            point(
                Difference.OUTER,
                f"""Timeloop compares each step with the last: a step of a loop further out that moves the tile by the
                same vector also loads new words only, one that leaves it in place nothing. Any other loads all of it,
                overlapping or not. In ours each iteration of a loop loads its tiles anew. Timeloop visits two
                iterations of a loop and extrapolates; by the true vectors only {real} of the {len(outer)} records
                would be here, so in the others the saving comes of the extrapolation.""",
            ),
            point(
                Difference.EQUAL,
                f"""instances whose boxes of inputs are equal share a read although their indices differ: an output dim
                and the filter dim of its rank are unrolled together, as in {len(together)} records; in {equal} of them
                boxes coincide. Ours joins instances that differ in irrelevant dims only, or shares halos where the
                network can.""",
            ),
            point(
                Difference.LINKS,
                f"""an instance takes its tile from a neighbour that loaded the same in the step before, if that saves
                the parent reads. Timeloop counts the words as fills and again as reads of the child (an average over
                instances, cut to a whole number). The words that follow from the loops are those that Timeloop recorded
                as link transfers, in all {len(every)} records: {len(linked)} have any, {missing} of them not
                expressible. Ours has no such network.""",
            ),
        ),
        paragraph(
            f"""The {len(small)} expressible records of `small_4x4` were also run with every iteration visited.
            Converted by the true vectors, {again} are equal in every line there too."""
        ),
        paragraph(
            """Other mappings can show more. One more convention is known, of which no record here is an example. Where
            inputs bypass the innermost memory, Timeloop looks for link transfers there all the same, and drops them, as
            there is nothing to hand on. But it divides the operations by the mean multicast of the loads that are left
            without the transfers, so its reads of the memory above come out below what the operations need. Ours are
            the operations over the multicast of all loads."""
        ),
    )


def _inexpressible() -> str:
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records():
        if (reason := obstacle(record)) is not None:
            groups[reason].append(record)
    return page(
        f"## Not expressible: {sum(map(len, groups.values()))} records",
        paragraph(
            """Timeloop sees that a loop outside a memory leaves a tile inside that memory as it is. Our node for the
            tile would have to stand above that loop, hence above another tensor's node of the outer memory, which has
            to stand below it. But the spatial loops stand inside all nodes outside the array and outside all nodes in
            it. Of each record the two nodes furthest apart:"""
        ),
        bullets(*(f"{reason}: {_names(groups[reason])}" for reason in sorted(groups))),
    )


def _classes(found: Sequence[Record]) -> str:
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in found:
        groups[class_of(record)].append(record)
    return page(
        "## Records by class",
        paragraph("All other expressible records are of class `none`."),
        bullets(*(f"{name}: {_names(groups[name])}" for name in sorted(groups) if name != "none")),
    )


def _names(found: Iterable[Record]) -> str:
    """Their names by machine."""
    numbers: dict[str, list[str]] = defaultdict(list)
    for record in found:
        machine, number = record.name.split()
        numbers[machine].append(number)
    return "; ".join(f"{machine} {', '.join(some)}" for machine, some in numbers.items())
