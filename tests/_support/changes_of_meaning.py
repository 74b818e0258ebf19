"""Ways to change what fixtures say, one thing at a time; checksums and counts are made right again
afterwards.

Each takes a file's rows (or the manifest) and a random generator and changes something in place, or
returns what is to stand instead. Where there is nothing to change, it leaves everything as it is.
"""

from __future__ import annotations

import json
import math

TYPES = ("float16", "bfloat16", "float32", "float64", "bool", "int32", "", "FLOAT32")


def arrays_of(row):
    """Every array of a row."""
    single = [row[key] for key in ("inputs", "mask") if row[key] is not None]
    return [*row["weights"], *single, *(row["initial_state"] or []), *row["outputs"]]


def _given(row):
    return [*row["weights"], row["inputs"], *(row["initial_state"] or [])]


def _recurrent_configs(spec):
    """The configurations of all recurrent layers in a layer."""
    config = spec["config"]
    if spec["class_name"] == "Sequential":
        return [inner for layer in config["layers"] for inner in _recurrent_configs(layer)]
    if spec["class_name"] == "Bidirectional":
        return _recurrent_configs(config["layer"])
    return [config]


# -------------------------------------------------------------------------------------------------
# arrays of a row


def shape(rows, rng):
    array = rng.choice(arrays_of(rng.choice(rows)))
    sizes, place = array["shape"], rng.randrange(len(array["shape"]))
    changed = [
        sizes[::-1],
        [math.prod(sizes)],
        [*sizes, 1],
        [-size for size in sizes],
        [*sizes[:place], sizes[place] + rng.choice([-1, 1]), *sizes[place + 1 :]],
        [*sizes[:place], float(sizes[place]), *sizes[place + 1 :]],
        [*sizes[:place], str(sizes[place]), *sizes[place + 1 :]],
        [True if size == 1 else size for size in sizes],
        None,
        sizes[0],
        {},
    ]
    array["shape"] = rng.choice(changed)


def dtype(rows, rng):
    rng.choice(arrays_of(rng.choice(rows)))["dtype"] = rng.choice([*TYPES, None, 32])


def one_number_too_few_or_too_many(rows, rng):
    data = rng.choice(arrays_of(rng.choice(rows)))["data"]
    place = rng.randrange(len(data))
    if rng.random() < 0.5:
        del data[place]
    else:
        data.insert(place, data[place])


def no_number(rows, rng):
    data = rng.choice(arrays_of(rng.choice(rows)))["data"]
    place = rng.randrange(len(data))
    others = [None, "NaN", "Infinity", "0", [data[place]], {}, 10**400]
    data[place] = rng.choice(others if isinstance(data[place], bool) else [*others, True, False])


def no_data(rows, rng):
    rng.choice(arrays_of(rng.choice(rows)))["data"] = rng.choice([None, [], {}, "", 0.5])


def given_number(rows, rng):
    array = rng.choice(_given(rng.choice(rows)))
    place = rng.randrange(len(array["data"]))
    array["data"][place] += rng.choice([-1, 1]) * rng.choice([1, 1e-3])


def two_given_numbers(rows, rng):
    data = rng.choice(_given(rng.choice(rows)))["data"]
    one, other = rng.randrange(len(data)), rng.randrange(len(data))
    data[one], data[other] = data[other], data[one]


def mask_bit(rows, rng):
    row = rng.choice(rows)
    if row["mask"] is not None:
        place = rng.randrange(len(row["mask"]["data"]))
        row["mask"]["data"][place] = not row["mask"]["data"][place]


def mask_in_numbers(rows, rng):
    row = rng.choice(rows)
    if row["mask"] is not None:
        row["mask"]["data"] = list(map(int, row["mask"]["data"]))


def names(rows, rng):
    row = rng.choice(rows)
    key = rng.choice(["weights", "outputs", "initial_state"])
    if row[key]:
        rng.choice(row[key])["name"] += rng.choice([" ", "_", "h", "/"])


def order(rows, rng):
    row = rng.choice(rows)
    key = rng.choice(["weights", "outputs", "initial_state"])
    if row[key]:
        row[key].insert(0, row[key].pop())


def one_array_too_few_or_too_many(rows, rng):
    row = rng.choice(rows)
    key = rng.choice(["weights", "outputs", "initial_state"])
    if row[key] and rng.random() < 0.5:
        row[key].pop()
    else:
        row[key] = [*(row[key] or []), *(row[key] or row["weights"])]


def no_arrays(rows, rng):
    rng.choice(rows)[rng.choice(["weights", "outputs", "inputs"])] = rng.choice(
        [None, [], {}, 1, "null"]
    )


def no_mask_or_states(rows, rng):
    row = rng.choice(rows)
    key, other = rng.sample(["mask", "initial_state"], 2)
    row[key] = None if row[key] is not None else rng.choice([row[other], [], {}, False])


# --------------------------------------------------------------------------------------------- the
# words of a row


def tags(rows, rng):
    tags = rng.choice(rows)["case"]["tags"]
    rng.choice(
        [tags.pop, tags.reverse, lambda: tags.append("new"), lambda: tags.insert(0, tags[-1])]
    )()


def words(rows, rng):
    case = rng.choice(rows)["case"]
    key = rng.choice(["why", "source"])
    case[key] = rng.choice([case[key] + ".", case[key].upper() + "!", None])


def what_is_expected(rows, rng):
    case = rng.choice(rows)["case"]
    for key in ("initializers", "expect"):
        if case.get(key) and rng.random() < 0.5:
            inner = rng.choice(list(case[key]))
            case[key][inner] = rng.choice([case[key][inner] == 0.1, None, [case[key][inner]]])
            return
    case[rng.choice(["initializers", "expect"])] = {"returned": 99}


def printed_digit(rows, rng):
    expected = rng.choice(rows)["case"].get("expect", {})
    if "digits" in expected:
        name = rng.choice(list(expected["digits"]))
        expected["digits"][name][0][0] += "1"


def layer(rows, rng):
    config = rng.choice(_recurrent_configs(rng.choice(rows)["layer"]))
    key = rng.choice(list(config))
    value = config[key]
    others = {bool: [int(value) if isinstance(value, bool) else 0, "true"], int: [3.5, str(value)]}
    config[key] = rng.choice([*others.get(type(value), []), None, not value])
    if isinstance(value, int) and not isinstance(value, bool) and rng.random() < 0.5:
        config[key] = rng.choice([value + 1, float(value)])


def argument(rows, rng):
    config = rng.choice(_recurrent_configs(rng.choice(rows)["layer"]))
    config[rng.choice(["use_bias", "go_backwards", "stateful", "name", "dropout"])] = rng.choice(
        [True, False, 0, "x"]
    )


def class_name(rows, rng):
    layer = rng.choice(rows)["layer"]
    layer["class_name"] = rng.choice(
        ["SimpleRNN", "LSTM", "GRU", "Bidirectional", "Sequential", "lstm", None]
    )


def calls(rows, rng):
    row = rng.choice(rows)
    if "calls" in row:
        row["calls"] = rng.choice([[*row["calls"][::-1], 1], None, [], row["calls"] * 2])
    else:
        row["calls"] = rng.choice([[row["inputs"]["shape"][1]], None])


def unknown_key(rows, rng):
    row = rng.choice(rows)
    places = [row, row["layer"], row["layer"]["config"], row["case"], *arrays_of(row)]
    rng.choice(places)[rng.choice(["extra", "", "Id", "comment"])] = rng.choice([None, 0, "x"])


def missing_key(rows, rng):
    row = rng.choice(rows)
    place = rng.choice([row, row["layer"], row["layer"]["config"], row["case"], *arrays_of(row)])
    del place[rng.choice(list(place))]


def format_of_a_row(rows, rng):
    rng.choice(rows)["format"] = rng.choice(["rnnparity/2", "rnnparity", 1, None])


# --------------------------------------------------------------------------------------------------
# rows of a file


def id_of_a_row(rows, rng):
    row = rng.choice(rows)
    row["id"] = rng.choice([row["id"] + "x", row["id"].upper(), "", None, rng.choice(rows)["id"]])


def removed_row(rows, rng):
    del rows[rng.randrange(len(rows))]


def doubled_row(rows, rng):
    place = rng.randrange(len(rows))
    rows.insert(place, rows[place])


def other_order(rows, rng):
    rows.reverse()


def numbers_of_another_row(rows, rng):
    one, other = rng.choice(rows), rng.choice(rows)
    key = rng.choice(["weights", "inputs", "layer", "case", "mask", "outputs"])
    one[key], other[key] = other[key], one[key]


def key_twice(rows, rng):
    key = rng.choice(list(rows[0]))
    return json.dumps(rows).replace("{", f'{{"{key}": {json.dumps(rows[0][key])}, ', 1)


def no_list(rows, rng):
    return rng.choice(
        [{"rows": rows}, rows[0], [rows], {row["id"]: row for row in rows}, [*rows, None]]
    )


CHANGES = (
    *(
        shape,
        dtype,
        one_number_too_few_or_too_many,
        no_number,
        no_data,
        given_number,
        two_given_numbers,
    ),
    *(
        mask_bit,
        mask_in_numbers,
        names,
        order,
        one_array_too_few_or_too_many,
        no_arrays,
        no_mask_or_states,
    ),
    *(tags, words, what_is_expected, printed_digit, layer, argument, class_name, calls),
    *(unknown_key, missing_key, format_of_a_row),
    *(
        id_of_a_row,
        removed_row,
        doubled_row,
        other_order,
        numbers_of_another_row,
        key_twice,
        no_list,
    ),
)


# ------------------------------------------------------------------------------------------------------
# the manifest


def count(manifest, rng):
    rng.choice(list(manifest["files"].values()))["rows"] += rng.choice([-1, 1])


def checksum_of_another(manifest, rng):
    one, other = rng.sample(list(manifest["files"]), 2)
    files = manifest["files"]
    files[one]["sha256"] = files[other]["sha256"]


def forgotten_file(manifest, rng):
    del manifest["files"][rng.choice(list(manifest["files"]))]


def name_of_a_file(manifest, rng):
    name = rng.choice(list(manifest["files"]))
    manifest["files"][name.replace(".", rng.choice(["_.", "..", "/."]))] = manifest["files"].pop(
        name
    )


def left_out(manifest, rng):
    change = rng.choice(
        [
            dict.clear,
            lambda cases: cases.update({"new": "x"}),
            lambda cases: cases.update({"gone": 1}),
        ]
    )
    change(manifest["left_out"])


def format_of_the_manifest(manifest, rng):
    manifest["format"] = rng.choice(["rnnparity-fixtures/2", "rnnparity/1", None])


def key_of_the_manifest(manifest, rng):
    if rng.random() < 0.5:
        del manifest[rng.choice([key for key in manifest if key != "sha256"])]
    else:
        manifest["extra"] = None


def type_in_the_manifest(manifest, rng):
    manifest[rng.choice([key for key in manifest if key != "sha256"])] = rng.choice(
        [None, 1, [], {"a": 1.5}]
    )


CHANGES_OF_THE_MANIFEST = (
    *(count, checksum_of_another, forgotten_file, name_of_a_file),
    *(left_out, format_of_the_manifest, key_of_the_manifest, type_in_the_manifest),
)
