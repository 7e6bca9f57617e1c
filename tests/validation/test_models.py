"""The survey's figures, the shipped files and what sets them apart from ours; the page says what is computed."""

import re
from pathlib import Path

import pytest

from frontends import survey
from validation.models import CHANGES, OURS, SHIPPED, disagreements, report
from validation.models_networks import changed, figures, layers, network, total
from validation.models_published import CELLS, LENET_1998, RECALLED, agrees

DOCUMENT = Path(__file__).parents[2] / "docs" / "validation" / "models.md"
CONV_MACS = {"AlexNet": 595_938_432, "GoogLeNet": 1_430_532_352, "ResNet-50": 4_087_136_256}
pairs = pytest.mark.parametrize("name", CHANGES)


@pytest.fixture(scope="module")
def text() -> str:
    return report()


def section(text: str, title: str) -> str:
    (found,) = (part for part in re.split(r"^##+ ", text, flags=re.MULTILINE) if part.startswith(title))
    return found


def test_agreement_is_within_half_a_unit_of_the_last_digit() -> None:
    assert agrees(430_500, "431k") and agrees(430_500, "430k") and not agrees(430_499, "431k")
    assert agrees(3_857_973_248, "3.9G") and not agrees(4_089_184_256, "3.9G")
    assert agrees(57, "57") and not agrees(56, "57")
    assert agrees("1,3", "1,3") and not agrees("1-3", "1,3")


def test_the_survey_differs_in_lenet_and_googlenet_only() -> None:
    counted = ("CONV weights", "CONV MACs", "FC weights", "FC MACs", "weights", "MACs")
    assert set(disagreements()) == {
        *((row, "LeNet-5") for row in counted),
        ("CONV MACs", "GoogLeNet"),
        ("MACs", "GoogLeNet"),
    }


def test_a_wrong_shape_would_be_noticed() -> None:
    """The rows of the table tell networks apart: none of ours fits another's column."""
    for name, ours in OURS.items():
        found = figures(network(ours))
        for other in OURS:
            if other != name:
                assert sum(not agrees(found[row], cells[other]) for row, cells in CELLS.items()) > 2


def test_the_totals_that_the_text_states_are_no_recollections() -> None:
    for row in ("weights", "MACs"):
        assert {name for name in OURS if (row, name) in RECALLED} == {"GoogLeNet"}


@pairs
def test_the_shipped_file_is_ours_with_one_change(name: str) -> None:
    ours, theirs = network(OURS[name]), network(SHIPPED[name])
    nests = [layer.nest for layer in layers(theirs)]
    assert total(theirs, "macs", "Conv") == CONV_MACS[name]
    assert [layer.nest for layer in layers(ours)] != nests
    assert [layer.nest for layer in layers(changed(OURS[name], CHANGES[name]))] == nests
    assert total(theirs, "weights") == total(ours, "weights")


def test_a_change_leaves_the_network_itself_alone() -> None:
    before = survey.build("survey/resnet50")
    changed("survey/resnet50", CHANGES["ResNet-50"])
    assert survey.build("survey/resnet50") == before


@pairs
def test_the_page_accounts_for_every_mac(text: str, name: str) -> None:
    """The differences by layer add up to that of the totals, which stands in both tables."""
    (body,) = (part for part in text.split("\n### ")[1:] if part.startswith(name))
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.*\|$", body, re.MULTILINE)
    ]
    *each, last = (int(row[-1].replace(",", "")) for row in rows[2:])
    apart = CONV_MACS[name] - total(network(OURS[name]), "macs", "Conv")
    assert sum(each) == last == apart
    assert f"| {apart:+,} |" in section(text, "The shipped files")
    n = len(layers(network(OURS[name])))
    assert f"{n} of {n} layers are those of the file" in " ".join(body.split())


def test_the_page_explains_every_cell_of_lenet(text: str) -> None:
    body = section(text, "LeNet-5")
    stated = dict(re.findall(r"^- ([\w ]+) ([\d.]+[kMG]): ", body, re.MULTILINE))
    assert stated == {row: CELLS[row][name] for row, name in disagreements() if name == "LeNet-5"}
    assert "does not round" not in body
    assert [sum(column) for column in zip(*LENET_1998.values(), strict=True)] == [340_908, 60_000]


def test_the_page_explains_googlenet(text: str) -> None:
    assert "1,430,532,352 and 1,431,556,352: both round to the survey's" in " ".join(text.split())


def test_vgg_19_is_vgg_16_and_three_layers(text: str) -> None:
    body = " ".join(section(text, "VGG-19").split())
    apart = total(network("vgg19"), "macs") - total(network("survey/vgg16"), "macs")
    assert "16 of 16 layers of VGG-16 are in the file, which has 3 more" in body
    assert f"They have {apart:,} MACs" in body
    assert "takes 1.27 times the MACs of VGG-16; 1.27 times, says the survey" in body


def test_the_page_is_current(text: str) -> None:
    assert DOCUMENT.read_text("utf-8") == text, "python -m validation models --write"
