// Compares an engine with the vectors: node example.mjs outputs.jsonl
// The engine here is SimpleRNN in float32. Replace `supported` and `run` by calls of your own.
import { compare, load } from "./rnnparity.mjs";

function supported({ layer, mask, calls }) {
  const { activation, dtype, go_backwards } = layer.config;
  const plain = activation === "tanh" && dtype === "float32" && !go_backwards;
  return layer.class_name === "SimpleRNN" && plain && !mask && !calls;
}

/** h = tanh(x W + h' U + b). Return the outputs in the order of Keras, each (B, T, H) or (B, H), row-major. */
function run({ layer, inputs, weights, initial_state }) {
  const { units: H, use_bias, return_sequences, return_state } = layer.config;
  const [W, U, b] = weights.map((tensor) => tensor.data);
  const [B, T, D] = inputs.shape;
  const sequence = [];
  const last = [];
  for (let row = 0; row < B; row++) {
    let h = initial_state ? initial_state[0].data.slice(row * H, (row + 1) * H) : Array(H).fill(0);
    for (let t = 0; t < T; t++) {
      const previous = h;
      h = previous.map((_, unit) => {
        let z = use_bias ? b[unit] : 0;
        for (let d = 0; d < D; d++) z = Math.fround(z + inputs.data[(row * T + t) * D + d] * W[d * H + unit]);
        for (let from = 0; from < H; from++) z = Math.fround(z + previous[from] * U[from * H + unit]);
        return Math.fround(Math.tanh(z));
      });
      sequence.push(...h);
    }
    last.push(...h);
  }
  return [return_sequences ? sequence : last, ...(return_state ? [last] : [])];
}

/** Return the vectors of a file that have outputs; a file that cannot be read ends the program. */
function vectors(path) {
  try {
    return load(path).filter((vector) => vector.outputs);
  } catch (error) {
    console.error(error.message);
    process.exit(2);
  }
}

let agreeing = 0;
let differing = 0;
let skipped = 0;
for (const vector of vectors(process.argv[2] ?? "outputs.jsonl")) {
  if (!supported(vector)) {
    skipped++;
    continue;
  }
  const outputs = run(vector);
  const count = `got ${outputs.length} outputs, expected ${vector.outputs.length}`;
  const differences =
    outputs.length === vector.outputs.length
      ? vector.outputs.map((expected, n) => compare(expected, outputs[n])).filter(Boolean)
      : [count];
  if (differences.length) console.log(`${vector.id}: ${differences[0]}`);
  differences.length ? differing++ : agreeing++;
}
console.log(`${agreeing} agree, ${differing} differ, ${skipped} not supported`);
process.exitCode = differing || !agreeing ? 1 : 0;
