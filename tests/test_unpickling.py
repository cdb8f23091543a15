"""A pickle is read for its arrays, and can do nothing else."""

import os
import pickle

import numpy as np
import pytest

from cs231n.unpickling import STAND_INS, read_pickle


def read(data):
    """Read with all names allowed that can be."""
    return read_pickle(data, STAND_INS.keys(), "The data")


class Reduced:
    """Pickles as a call of any function, and then as any state for its result: a pickle can hold both."""

    def __init__(self, function, arguments, *state):
        self.reduction = function, arguments, *state

    def __reduce__(self):
        return self.reduction


@pytest.mark.parametrize("protocol", range(5))
def test_arrays_come_back_as_they_were(protocol):
    """Arrays of numbers, of either memory order, survive in every protocol before the fifth."""
    floats = np.arange(12, dtype=np.float32).reshape(3, 4)
    data = pickle.dumps({"c": [floats, np.arange(3)], "fortran": np.asfortranarray(floats)}, protocol)
    loaded = read(data)
    np.testing.assert_array_equal(loaded["c"][0], floats)
    np.testing.assert_array_equal(loaded["c"][1], [0, 1, 2])
    np.testing.assert_array_equal(loaded["fortran"], floats)
    assert loaded["c"][0].dtype == np.float32


@pytest.mark.parametrize("protocol", range(5))
def test_a_map_in_an_array_of_objects_comes_back_as_plain_python(protocol):
    """A dict of NumPy scalars, inside an array without axes as `np.savez` has it, becomes int to str."""
    label_map = np.array({1: np.str_("goldfish"), np.int64(134): np.str_("crâne")}, dtype=object)
    [loaded] = read(pickle.dumps(label_map, protocol))
    assert loaded == {1: "goldfish", 134: "crâne"}
    assert {type(entry) for pair in loaded.items() for entry in pair} == {int, str}


def test_names_of_either_numpy_are_understood():
    """Whether the file says numpy.core (NumPy 1) or numpy._core (NumPy 2) makes no difference."""
    new = pickle.dumps(np.ones(2), protocol=2).replace(b"numpy.core.", b"numpy._core.")
    old = new.replace(b"numpy._core.", b"numpy.core.")
    np.testing.assert_array_equal(read(new), read(old))


@pytest.mark.parametrize(
    "bomb",
    [
        Reduced(os.system, ("touch hit",)),
        Reduced(eval, ("open('hit', 'w')",)),
        Reduced(exec, ("open('hit', 'w')",)),
        Reduced(open, ("hit", "w")),
        Reduced(getattr, (np.ndarray, "tofile")),
        [np.ones(2), {"nested": Reduced(os.mkdir, ("hit",))}],
    ],
    ids=["os.system", "eval", "exec", "open", "getattr", "nested"],
)
def test_no_function_is_called(bomb, tmp_path, monkeypatch):
    """Whatever the pickle wants to call, nothing happens and a sentence names the culprit."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"^The data cannot be read, it asks for '.+'.*download it again\.$"):
        read(pickle.dumps(bomb))
    assert os.listdir(tmp_path) == []


def test_attributes_of_allowed_names_are_out_of_reach():
    """A dotted name, the way from an allowed name to any other, is refused like any other name."""
    name = b"ndarray.__class__"
    with pytest.raises(ValueError, match=r"numpy\.ndarray\.__class__"):
        read(b"\x80\x04\x8c\x05numpy\x8c" + bytes([len(name)]) + name + b"\x93.")


def test_each_caller_allows_only_what_it_names():
    """A name that another pickle may use is refused where the caller has not allowed it."""
    with pytest.raises(ValueError, match=r"numpy\.core\.multiarray\.scalar"):
        read_pickle(pickle.dumps(np.float32(1)), {"numpy.dtype"}, "The data")


def test_bytes_never_become_objects():
    """A dtype that denies holding objects must not make NumPy take bytes for addresses.

    With NumPy's own types this pickle gives an array whose first use ends the process.
    """
    reconstruct, arguments, _ = np.ones(1).__reduce__()
    dtype = Reduced(np.dtype, ("O8", False, True), (3, "|", None, None, None, -1, -1, 0))
    array = Reduced(reconstruct, arguments, (1, (1,), dtype, False, b"AAAAAAAA"))
    with pytest.raises(ValueError, match="array of objects"):
        read(pickle.dumps(array, protocol=2))


@pytest.mark.parametrize("name", [b"numpy\ndtype", b"_codecs\nencode"])
def test_what_is_allowed_stays_as_it_is(name):
    """A pickle that sets an attribute of a name it is given changes nothing for the next one."""
    before = [dict(vars(stand_in)) for stand_in in STAND_INS.values()]
    planted = b"X\x07\x00\x00\x00plantedK\x01"
    with pytest.raises(ValueError, match="cannot be read"):
        read(b"\x80\x02c" + name + b"\nN}" + planted + b"s\x86b.")
    assert [dict(vars(stand_in)) for stand_in in STAND_INS.values()] == before


@pytest.mark.parametrize(
    "data",
    [b"", b"<html></html>", pickle.dumps(np.ones(9))[:-20], pickle.dumps(np.array([b"bytes"]))],
    ids=["empty", "a web page", "cut short", "bytes"],
)
def test_damaged_pickles_get_one_sentence(data):
    """What is no pickle of numbers and text ends in the same sentence, never in an error of pickle's own."""
    with pytest.raises(ValueError, match=r"^The data cannot be read, .+; download it again\.$"):
        read(data)
