// Reads the test vectors of rnnparity and compares an engine's numbers with them. Node or a bundler; no dependency.
//
//     for (const vector of load("outputs.jsonl")) {
//       const difference = compare(vector.outputs[0], myEngine(vector));
//       if (difference) console.log(`${vector.id}: ${difference}`);
//     }
import { readFileSync } from "node:fs";

const NON_FINITE = { NaN: NaN, Infinity: Infinity, "-Infinity": -Infinity };

/** Return the vectors of a file: each an object with the keys that README.md describes. */
export function load(path) {
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  return lines.map((line, index) => {
    try {
      return parse(line);
    } catch (error) {
      throw new Error(`${path}: line ${index + 1}: ${error.message}`);
    }
  });
}

/** Return the vector on a line. Words for numbers that JSON has no literal for become numbers. */
export function parse(line) {
  const vector = JSON.parse(line);
  for (const tensor of [...(vector.outputs ?? []), ...(vector.gradients ?? [])]) {
    tensor.data = tensor.data.map((value) => NON_FINITE[value] ?? value);
  }
  return vector;
}

/**
 * Return the largest difference in units of its tolerance where one is beyond it, as a sentence, and "" where all
 * values agree. `actual` is flat and row-major, an array or a typed array.
 */
export function compare(expected, actual) {
  const { name, data, shape, tolerance } = expected;
  if (actual.length !== data.length) return `${name}: got ${actual.length} values, expected ${data.length}`;
  let largest = 1;
  let worst = -1;
  data.forEach((target, n) => {
    const same = actual[n] === target || (Number.isNaN(actual[n]) && Number.isNaN(target));
    const distance = same ? 0 : Math.abs(actual[n] - target) / tolerance[n];
    if (distance > largest || Number.isNaN(distance)) {
      largest = Number.isNaN(distance) ? Infinity : distance;
      worst = n;
    }
  });
  if (worst < 0) return "";
  const values = `got ${actual[worst]}, expected ${data[worst]}, tolerance ${tolerance[worst]}`;
  return `${name}[${indices(worst, shape).join(", ")}]: ${values}`;
}

function indices(position, shape) {
  const result = [];
  for (const size of [...shape].reverse()) {
    result.unshift(position % size);
    position = Math.floor(position / size);
  }
  return result;
}
