// ONNX Runtime on Node.js as a program: one JSON object a line in, one out.
// {"model": base64} loads a model and is answered with its number, {"session": number, "feeds": tensors} runs it and is answered with
// its outputs; a tensor is {"name", "dtype", "shape", "data": base64}. `node onnxruntime.mjs --versions` prints what computes.
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

// The package of the current folder, or of NODE_PATH.
const require = createRequire(join(process.cwd(), "package.json"));
const ort = require("onnxruntime-node");

// Older releases of Node have no Float16Array: float16 numbers are passed on as their bits.
const ARRAYS = {
  bool: Uint8Array,
  float16: globalThis.Float16Array ?? Uint16Array,
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
  int64: BigInt64Array,
};

function tensor({ dtype, shape, data }) {
  const bytes = Buffer.from(data, "base64");
  // A copy begins at a multiple of the size of a number.
  const buffer = new Uint8Array(bytes).buffer;
  return new ort.Tensor(dtype, new ARRAYS[dtype](buffer), shape);
}

function stored(name, { type, dims, data }) {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return { name, dtype: type, shape: dims, data: bytes.toString("base64") };
}

const sessions = [];
const options = { executionProviders: ["cpu"], intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 4 };

async function answer({ model, session, feeds }) {
  if (model !== undefined) {
    sessions.push(await ort.InferenceSession.create(Buffer.from(model, "base64"), options));
    return { session: sessions.length - 1 };
  }
  const loaded = sessions[session];
  const outputs = await loaded.run(Object.fromEntries(feeds.map((feed) => [feed.name, tensor(feed)])));
  return { outputs: loaded.outputNames.map((name) => stored(name, outputs[name])) };
}

if (process.argv.includes("--versions")) {
  console.log(JSON.stringify({ onnxruntime: require("onnxruntime-node/package.json").version, node: process.versions.node }));
} else {
  for await (const line of createInterface({ input: process.stdin })) {
    const reply = await answer(JSON.parse(line)).catch((error) => ({ error: String(error.message ?? error) }));
    process.stdout.write(`${JSON.stringify(reply)}\n`);
  }
}
