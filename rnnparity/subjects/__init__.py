"""Subjects: the implementations under test, a file a framework.

A subject shares nothing with the reference but the problem. There are four ways to add one:

- a function from a Problem to its outputs, named `package.module:callable` (`FunctionSubject`);
  `half_subject` makes one from a function of one direction of a layer, `layer_subject` from one of
  a layer with lengths;
- a program in any language, named `cmd:PROGRAM` (`rnnparity.subjects.command`);
- an entry point of the group `rnnparity.subjects`: a function without arguments that returns a
  `Subject`, whose answers may be plain arrays;
- a module in this package with a constant `SUBJECTS`, a tuple of `Registration`, and its extra in
  pyproject.toml.

A subject raises `Unsupported` with the reason for a problem that it cannot express.
"""

from __future__ import annotations

from rnnparity.problem.answer import Answer, Subject, Unsupported
from rnnparity.subjects.adapters import half_subject, layer_subject
from rnnparity.subjects.declarations import (
    MissingFrameworkError,
    Registration,
    SubjectError,
    UnknownSubjectError,
)
from rnnparity.subjects.functions import FunctionSubject
from rnnparity.subjects.importing import is_importable, name_of, user_location
from rnnparity.subjects.registry import (
    check_installed,
    make_subject,
    registered_names,
    registration,
)
from rnnparity.subjects.user_arrays import named_outputs

__all__ = [
    "Answer",
    "FunctionSubject",
    "MissingFrameworkError",
    "Registration",
    "Subject",
    "SubjectError",
    "UnknownSubjectError",
    "Unsupported",
    "check_installed",
    "half_subject",
    "is_importable",
    "layer_subject",
    "make_subject",
    "name_of",
    "named_outputs",
    "registered_names",
    "registration",
    "user_location",
]
