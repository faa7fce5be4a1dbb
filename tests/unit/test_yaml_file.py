"""A YAML file's problems, all of them, each with its line and how to mend it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from triptych.errors import ConfigurationError
from triptych.yaml_file import MAX_BYTES, Reading, own_fields, read_content


class Size(BaseModel):
    model_config = ConfigDict(strict=True)

    wide: int
    high: int = 1


class Box(BaseModel):
    model_config = ConfigDict(strict=True)

    schema_version: int = 1
    name: str
    size: Size | None = None


class BoxReading(Reading):
    EMPTY = "write `name:`"
    MEND: ClassVar[Mapping[str, str]] = {"missing": "write it", "missing name": "name it", "int_type": "write a number"}
    MODELS: ClassVar[Mapping[str, type[BaseModel]]] = {"size": Size}


def problems(content: str | bytes) -> list[str]:
    reading = BoxReading()
    root = reading.compose(content if isinstance(content, bytes) else content.encode())
    if root is not None:
        fields = reading.fields(root, own_fields(Box), "a box's keys")
        try:
            Box.model_validate({key: reading.data(value, key) for key, value in fields.items()})
        except ValidationError as error:
            for each in error.errors():
                reading.take(each, root, fields)
    return str(reading.refuse("box.yaml")).splitlines()


def test_what_is_right_has_no_problem() -> None:
    assert problems("name: x\nsize: {wide: 3}\n") == []
    assert problems("size: &it {wide: 3}\nname: x\n") == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "1: it is empty; mend: write `name:`"),
        ("- a\n", "1: a mapping with a box's keys belongs here; mend: write `key: value` lines"),
        ("name: x\n\nnmae: y\n", "3: nmae: there is no such key; mend: write `name`"),
        ("name: x\ncolour: y\n", "2: colour: there is no such key; mend: write one of name, size"),
        ("name: x\nname: y\n", "2: name: it stands here twice, first in line 1; mend: remove one of them"),
        ("size: {wide: 3}\n", "1: name: Field required; mend: name it"),
        ("name: x\nsize:\n  high: 3\n", "3: size.wide: Field required; mend: write it"),
        (
            "name: x\nsize:\n  wide: 3\n  high: four\n",
            "4: size.high: Input should be a valid integer; mend: write a",
        ),
        ("name: 3\n", "1: name: Input should be a valid string; mend: change it"),
        ("name: x\n\tsize: 1\n", "indent with spaces, not tabs"),
        ("name: a: b\n", "not YAML: mapping values are not allowed here; mend: put text that holds `:`"),
        ("name: !python/object:os.system x\n", "1: name: could not determine a constructor"),
        ("name: 2001-99-99\n", "mend: put it into quotes"),
        ("<<: 3\nname: x\n", "not YAML: expected a mapping or list of mappings for merging"),
        ("[" * 5000, "nested too deeply"),
        ("&a [*a]\n", "it holds more than 50000 values"),
        (b"name: \xff\n", "save it as UTF-8 text"),
        (b"#" * (MAX_BYTES + 1), f"1: it is larger than {MAX_BYTES} bytes"),
    ],
)
def test_a_problem_is_told_with_its_line_and_how_to_mend_it(content: str | bytes, said: str) -> None:
    found = problems(content)
    assert found[0].startswith("box.yaml:")
    assert said in found[0]
    assert "; mend: " in found[0]


def test_all_problems_are_told_in_the_order_of_lines() -> None:
    found = problems("size:\n  wide: far\n  deep: 1\nkind: 2\nname: 3\n")
    assert [each.split(": ")[0] for each in found] == ["box.yaml:2", "box.yaml:3", "box.yaml:4", "box.yaml:5"]


def test_a_misspelt_key_is_not_missing_as_well() -> None:
    assert len(problems("nam: x\n")) == 1


def test_a_file_is_read_up_to_one_byte_too_many(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"#" * (MAX_BYTES + 100))
    assert len(read_content(tmp_path / "x.yaml", "box file")) == MAX_BYTES + 1


def test_a_file_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"the box file .*none\.yaml cannot be read: No such file"):
        read_content(tmp_path / "none.yaml", "box file")
