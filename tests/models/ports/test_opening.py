"""Ports by their names: what can be refused is refused before anything slow starts."""

import numpy as np
import pytest
from _support.ported_models import recorded_model, run_model

from rnnparity.models.comparing import compare_port
from rnnparity.models.ports.opening import check_port, open_port
from rnnparity.problem.errors import RequestError

REFUSED = {
    "missing.onnx": "missing.onnx: file not found",
    "port.txt": "expected a file .* or package.module:object",
    "no_such_module:port": "No module named 'no_such_module'",
    "folder/x.py:port": "expected a file",
}


@pytest.mark.parametrize("name", REFUSED)
def test_port_that_cannot_be_opened_is_refused_by_its_name(name):
    with pytest.raises(RequestError, match=REFUSED[name]):
        check_port(name)


def test_arrays_in_a_file_are_a_port(tmp_path):
    _, first_outputs, *_, final = run_model()
    path = tmp_path / "port.npz"
    np.savez(path, **{"first/output": first_outputs[0].data, "output": final})
    name, port = open_port(path, recorded_model())
    result = compare_port(name, recorded_model(), port)
    assert (name, result.compared, result.status) == (str(path), 1, 0)


def test_arrays_without_names_are_refused(tmp_path):
    path = tmp_path / "port.npz"
    np.savez(path, np.zeros(3))
    with pytest.raises(RequestError, match="its arrays have no names; save them as"):
        open_port(path, recorded_model())
    path.write_bytes(b"PK nothing")
    with pytest.raises(RequestError, match="cannot be read as an array"):
        open_port(path, recorded_model())


def test_function_by_name_runs_in_a_worker_process(tmp_path, monkeypatch):
    (tmp_path / "own_port.py").write_text(
        "import os\ndef port(x):\n    return {'output': x[:, 0, :2] * 0 + os.getpid()}\n"
    )
    monkeypatch.chdir(tmp_path)
    import os

    _, port = open_port("own_port:port", recorded_model())
    assert port.outputs[0].data[0, 0] != os.getpid()
