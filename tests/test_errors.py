"""Errors: what they say, and their way through a process pool."""

import pickle

import pytest

from mapper.errors import InfeasibleError, InputError, MapperError, MissingExtraError, VerificationError, all_of


def test_place_message_and_hint():
    assert str(InputError("bad key", place="a.yaml:3:1", hint="did you mean size?")) == (
        "a.yaml:3:1: bad key (did you mean size?)"
    )
    assert str(InputError("bad key")) == "bad key"


@pytest.mark.parametrize(
    ("kind", "code"), [(MapperError, 1), (InputError, 1), (InfeasibleError, 3), (VerificationError, 4)]
)
def test_errors_survive_a_process_pool(kind, code):
    error = pickle.loads(pickle.dumps(kind("message", place="here", hint="do this")))
    assert type(error) is kind
    assert (error.message, error.place, error.hint, error.exit_code) == ("message", "here", "do this", code)


def test_a_missing_extra_names_the_command_that_installs_it():
    error = pickle.loads(pickle.dumps(MissingExtraError("numba", "verify")))
    assert str(error) == ("this needs the package 'numba', which is not installed (pip install 'tilewright[verify]')")
    assert error.exit_code == 1


def test_several_errors_become_one():
    first, second = InfeasibleError("one", place="a"), InfeasibleError("two", place="b")
    assert all_of([]) is None
    assert all_of([first]) is first
    both = all_of(iter([first, second]))
    assert (str(both), both.exit_code) == ("a: one\nb: two", 3)


def test_what_cannot_be_printed_is_escaped():
    """A terminal might obey it; lines stay lines, and any letters letters."""
    error = InputError("no dim '\x1b[31m\r\udcff'\nnor é", place="a\tb", hint="\u2028")
    assert str(error) == "a\\tb: no dim '\\x1b[31m\\r\\udcff'\nnor é (\\u2028)"
    assert error.message == "no dim '\x1b[31m\r\udcff'\nnor é"


def test_what_is_too_long_to_be_read_is_shortened():
    """Of words and of lines both ends are left; the message itself is whole."""
    error = InputError(f"no dim '{'9' * 5000}'", place="a.yaml:3:1", hint="did you mean K?")
    assert str(error) == f"a.yaml:3:1: no dim '{'9' * 59}...{'9' * 19}' (did you mean K?)"
    assert error.message == f"no dim '{'9' * 5000}'"
    path = f"{'folder/' * 28}x"
    assert str(InputError("is a folder", place=path[:199])).startswith(f"{path[:199]}: is")
    text = str(InputError(f"first\nlayer '{'a b ' * 10**5}' is none", hint="do this"))
    first, second = text.splitlines()
    assert (first, second.endswith(" a b ' is none (do this)"), len(second)) == ("first", True, 995)


def test_several_problems_stay_apart():
    one, two, three = (InputError(name, place="a\nb") for name in ("one", "two", "three"))
    assert all_of([all_of([one, two]), three]).problems == (one, two, three)
    assert one.problems == (one,)


def test_problems_survive_a_process_pool():
    both = pickle.loads(pickle.dumps(all_of([InputError("one", place="a", hint="b"), InputError("two")])))
    assert [(each.message, each.place, each.hint) for each in both.problems] == [("one", "a", "b"), ("two", None, None)]
