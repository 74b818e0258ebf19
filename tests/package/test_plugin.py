"""The pytest plugin as another project uses it, in a folder of its own."""

import pytest

pytest_plugins = ["pytester"]

SUBJECT = """
    import numpy as np
    from rnnparity.reference import compute
    from rnnparity.subjects import Unsupported

    def right(problem):
        if problem.layer.compute_dtype != "float32":
            raise Unsupported("float32 alone")
        return [tensor.data.astype(np.float32) for tensor in compute(problem)]

    def wrong(problem):
        return [value + np.float32(0.01) for value in right(problem)]
"""


@pytest.fixture
def project(pytester):
    pytester.makepyfile(mylib=SUBJECT)
    return pytester


def test_three_lines_run_the_catalogue_one_id_a_case(project):
    project.makepyfile(
        """
        from mylib import right
        import pytest
        @pytest.mark.rnn_cases("simple_rnn-spread-last or dtype-float16-gru-forward")
        def test_keras_parity(rnn_case):
            rnn_case.assert_parity(right)
        """
    )
    result = project.runpytest_subprocess("-v", "-rs", "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(
        [
            "*test_keras_parity[[]simple_rnn-spread-last-mask_left-initial[]] PASSED*",
            "*unsupported: float32 alone*",
        ]
    )
    assert result.parseoutcomes() == {"passed": 10, "skipped": 2}


def test_a_wrong_subject_fails_with_the_message_and_no_traceback(project):
    project.makepyfile(
        """
        from mylib import wrong
        import pytest
        @pytest.mark.rnn_cases("simple_rnn-spread-state-mask_left-initial and not bi_simple_rnn")
        def test_keras_parity(rnn_case):
            rnn_case.assert_parity(wrong)
        """
    )
    result = project.runpytest_subprocess("-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(
        [
            "simple_rnn-spread-state-mask_left-initial: mylib:wrong diverges",
            "  output (B=2, H=5): 10 of 10 values differ",
            "  worst: output*sigma (10 allowed)",
            "  golden and reference agree: the subject is wrong",
            "  rerun: rnnparity show simple_rnn-spread-state-mask_left-initial --subject mylib:wrong",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    assert result.parseoutcomes() == {"failed": 1}


def test_failures_are_grouped_by_cause_and_junit_has_it(project):
    project.makepyfile(
        swapped="""
        import numpy as np
        from dataclasses import replace
        from rnnparity.reference import compute

        def swapped(weight):
            if not weight.name.endswith("recurrent_kernel"):
                return weight
            i, f, c, o = np.split(weight.data, 4, -1)
            return replace(weight, data=np.concatenate([f, i, c, o], -1))

        def gates(problem):
            weights = tuple(map(swapped, problem.weights))
            return [t.data.astype(np.float32) for t in compute(replace(problem, weights=weights))]
        """
    )
    project.makepyfile(
        """
        import pytest
        from swapped import gates
        from rnnparity import assert_parity
        from rnnparity.catalogue import catalogue

        @pytest.mark.rnn_cases("lstm-spread-last or bi_lstm-spread-ave-last")
        def test_keras_parity(rnn_case):
            rnn_case.assert_parity(gates)

        def test_outputs():
            problem = catalogue()["lstm-spread-last"]
            assert_parity(gates(problem), problem)
        """
    )
    result = project.runpytest_subprocess("-p", "no:cacheprovider", "--junitxml=junit.xml")
    failed = result.parseoutcomes()["failed"]
    cause = "gate-order: LSTM fico in the recurrent kernel"
    result.stdout.fnmatch_lines(
        ["*failures by cause*", f"{failed} tests: {cause}", "  fix: *f, i, c, o*"]
    )
    xml = (project.path / "junit.xml").read_text(encoding="utf-8")
    assert xml.count(f'<property name="rnnparity_group" value="{cause}"') == failed > 5
    in_one, in_both = f'"rnnparity_cause" value="{cause}"', f'value="{cause} (every half)"'
    assert (xml.count(in_one) > 5, xml.count(in_one) + xml.count(in_both)) == (True, failed)
    assert xml.count(in_both) > 5
    assert xml.count('<property name="rnnparity_fix" value="Reorder the blocks') == failed
    assert xml.count('<property name="rnnparity_command" value="rnnparity') == failed
    command = "rnnparity explain lstm-spread-last --subject swapped:gates"
    assert f'<property name="rnnparity_command" value="{command}"' in xml
    texts = xml.split("<failure")[1:]
    assert all("  fix: Reorder" in text and "  explain: rnnparity" in text for text in texts)


def test_an_expression_that_matches_nothing_is_an_error_in_one_line(project):
    project.makepyfile(
        """
        import pytest
        @pytest.mark.rnn_cases("lstmm")
        def test_keras_parity(rnn_case):
            pass
        """
    )
    result = project.runpytest_subprocess("-p", "no:cacheprovider")
    (result.stdout if result.ret == 2 else result.stderr).fnmatch_lines(
        ["*-k 'lstmm': matches no case*"]
    )
    assert result.ret != 0


def test_a_marker_without_the_argument_is_an_error(project):
    """Such a test would pass without a comparison."""
    project.makepyfile(
        """
        import pytest
        @pytest.mark.rnn_cases("lstm")
        def test_keras_parity():
            pass
        """
    )
    result = project.runpytest_subprocess("-p", "no:cacheprovider")
    lines = result.stdout if result.ret == 2 else result.stderr
    lines.fnmatch_lines(["*test_keras_parity: has the marker rnn_cases, but no argument rnn_case*"])
    assert result.ret != 0


def test_a_known_difference_is_xfailed_by_name(project):
    project.makepyfile(
        """
        import pytest
        @pytest.mark.rnn_cases("stateful-gru-concat-last-state-mask-initial")
        def test_keras(rnn_case):
            rnn_case.assert_parity("keras")
        """
    )
    result = project.runpytest_subprocess("-rx", "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(["*stateful-bidirectional-with-states-cannot-be-called*"])
    assert result.parseoutcomes() == {"xfailed": 1}


def test_a_run_that_does_not_use_it_does_not_load_it(project):
    project.makepyfile(
        """
        import sys
        def test_nothing():
            assert "numpy" not in sys.modules and "rnnparity.testing" not in sys.modules
        """
    )
    # Other packages' plugins that load NumPy: jaxtyping comes with Equinox.
    others = ("cacheprovider", "hypothesispytest", "jaxtyping")
    words = [word for name in others for word in ("-p", f"no:{name}")]
    assert project.runpytest_subprocess(*words).ret == 0


@pytest.mark.parametrize(
    ("options", "cases", "outcomes", "status"),
    [
        ((), "dtype-float16-gru-forward", {"skipped": 2}, 5),
        (("-n", "1"), "dtype-float16-gru-forward", {"skipped": 2}, 5),
        (("-n", "1"), "dtype-float16-gru-forward or simple_rnn-spread-last-initial",
         {"skipped": 2, "passed": 1}, 0),
    ],
)  # fmt: skip
def test_a_run_of_skipped_cases_only_is_not_a_pass(project, options, cases, outcomes, status):
    project.makepyfile(
        f"""
        from mylib import right
        import pytest
        @pytest.mark.rnn_cases("{cases}")
        def test_keras_parity(rnn_case):
            rnn_case.assert_parity(right)
        def test_something_else():
            pass
        """
    )
    result = project.runpytest_subprocess(*options, "-p", "no:cacheprovider")
    outcomes = {**outcomes, "passed": outcomes.get("passed", 0) + 1}
    assert (result.parseoutcomes(), result.ret) == (outcomes, status)
    line = "rnnparity: nothing was compared: every case was skipped"
    assert (line in result.outlines) == bool(status)
