"""Ports by their names: what can be refused is refused before anything slow starts."""

import numpy as np
import pytest
from _support.ported_models import recorded_model, run_model

from rnnparity.models.port_comparison import compare_port
from rnnparity.models.ports.naming import SUFFIXES, check_port
from rnnparity.models.ports.opening import RUNNERS, STATE_DICTS, open_port
from rnnparity.problem.errors import RequestError

REFUSED = {
    "missing.onnx": "missing.onnx: file not found",
    "port.txt": "expected a file .* or package.module:object",
    "no_such_module:port": "No module named 'no_such_module'",
    "folder/x.py:port": "expected a module, not its file: folder.x:port, where port is",
    "port.py": "expected a module, not its file: port:NAME, where NAME is an nn.Module or",
    "folder/x": "expected a file .* or package.module:object",
    "own_port:nett": "own_port has no 'nett'; did you mean net?",
    "own_port:start": "own_port has no 'start'; it defines Net, net",
    "own_port:Net": r"own_port:Net: got a class, .*; add NAME = Net\(...\) to the module and pass own_port:",
    "broken_port:net": r"invalid syntax \(broken_port.py, line 2\)",
}
MODULES = {
    "own_port": "raise SystemExit('imported')\nclass Net:\n    pass\nnet = Net()\n",
    "broken_port": "def net(x):\n    return return x\n",
    "wide_port": "from own_port import *\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_port_that_cannot_be_opened_is_refused_by_its_name(name, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for module, source in MODULES.items():
        (tmp_path / f"{module}.py").write_text(source)
    check_port("own_port:net")
    check_port("wide_port:nett")  # only the import can know
    check_port("__main__:net")  # likewise
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


def test_class_is_refused_where_only_the_import_shows_it():
    class Net:
        pass

    with pytest.raises(RequestError, match="got a class, expected an instance of it or a function"):
        open_port(Net, recorded_model())


def test_every_suffix_that_is_accepted_is_opened():
    """The names are checked before what opens them is imported."""
    assert set(SUFFIXES) == {*RUNNERS, *STATE_DICTS}
