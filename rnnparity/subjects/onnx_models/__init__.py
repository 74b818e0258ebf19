"""ONNX models of Keras' layers, built node by node. Importing a module of this package loads onnx."""
