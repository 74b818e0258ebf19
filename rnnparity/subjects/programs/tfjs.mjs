// TensorFlow.js as a program that answers problems: one JSON object a line in, one out (docs/format.md).
// A problem is one layer without calls; `node tfjs.mjs --versions` prints what computes.
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

// The package of the current folder, or of NODE_PATH.
const require = createRequire(join(process.cwd(), "package.json"));
// It suggests its native backend on standard output, which has the answers.
console.log = console.info = console.warn = () => {};
const tf = require("@tensorflow/tfjs");

class Unsupported extends Error {}

// Keras' names and those of TensorFlow.js, whose hardSigmoid is clip(0.2 x + 0.5).
const ACTIVATIONS = {
  elu: "elu",
  gelu: "gelu",
  gelu_tanh: "gelu_new",
  hard_sigmoid_keras2: "hardSigmoid",
  linear: "linear",
  mish: "mish",
  relu: "relu",
  relu6: "relu6",
  selu: "selu",
  sigmoid: "sigmoid",
  silu: "swish",
  softplus: "softplus",
  softsign: "softsign",
  tanh: "tanh",
};

function activation(name) {
  if (!(name in ACTIVATIONS)) throw new Unsupported(`TensorFlow.js has no ${name}`);
  return ACTIVATIONS[name];
}

function recurrent({ class_name, config }) {
  if (config.dtype !== "float32") throw new Unsupported("TensorFlow.js computes in float32 only");
  const options = {
    units: config.units,
    activation: activation(config.activation),
    useBias: config.use_bias,
    returnSequences: config.return_sequences,
    returnState: true,
    goBackwards: config.go_backwards,
  };
  if (config.zero_output_for_mask) throw new Unsupported("TensorFlow.js has no zero_output_for_mask");
  if (class_name === "SimpleRNN") return tf.layers.simpleRNN(options);
  options.recurrentActivation = activation(config.recurrent_activation);
  if (class_name === "LSTM") return tf.layers.lstm(options);
  if (config.reset_after) throw new Unsupported("TensorFlow.js has no GRU with reset_after=True");
  return tf.layers.gru(options);
}

function build({ class_name, config }) {
  if (class_name !== "Bidirectional") return recurrent({ class_name, config });
  if (config.backward_layer) throw new Unsupported("the halves of a Bidirectional of TensorFlow.js are equal");
  if (config.dtype !== "float32") throw new Unsupported("TensorFlow.js computes in float32 only");
  // Keras sets it on both halves, which then have zeros at masked steps.
  const inner = { ...config.layer.config, zero_output_for_mask: false };
  const layer = recurrent({ ...config.layer, config: inner });
  return tf.layers.bidirectional({ layer, mergeMode: config.merge_mode });
}

const tensor = ({ data, shape }) => tf.tensor(data, shape, "float32");

function outputs(problem) {
  const layer = build(problem.layer);
  // Only a call marks a layer as built.
  layer.apply(tf.zeros([1, 1, problem.inputs.shape[2]]));
  layer.setWeights(problem.weights.map(tensor));
  const options = {};
  if (problem.mask) options.mask = tf.tensor(problem.mask.data, problem.mask.shape, "bool");
  if (problem.initial_state) options.initialState = problem.initial_state.map(tensor);
  return [layer.apply(tensor(problem.inputs), options)].flat().map((value) => ({
    name: "",
    shape: value.shape,
    dtype: value.dtype,
    data: [...value.dataSync()].map((number) => (Number.isFinite(number) ? number : String(number))),
  }));
}

function answer(problem) {
  try {
    return { id: problem.id, outputs: tf.tidy(() => outputs(problem)) };
  } catch (error) {
    const key = error instanceof Unsupported ? "unsupported" : "error";
    return { id: problem.id, [key]: key === "error" ? `${error.name}: ${error.message}` : error.message };
  }
}

if (process.argv[2] === "--versions") {
  process.stdout.write(JSON.stringify({ "@tensorflow/tfjs": tf.version.tfjs, node: process.versions.node }));
} else {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(answer(JSON.parse(line)))}\n`);
  }
}
