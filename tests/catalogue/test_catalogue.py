"""The catalogue against its three witnesses: goldens, reference and tf.keras, one id a case."""


def test_reference_agrees(rnn_case):
    rnn_case.assert_parity("reference")


def test_keras_agrees(rnn_case):
    rnn_case.assert_parity("keras")
