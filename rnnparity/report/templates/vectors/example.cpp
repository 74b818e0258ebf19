// Compares an engine with the vectors: c++ -O2 -std=c++17 -o example example.cpp && ./example outputs.jsonl
// The engine here is SimpleRNN in float32. Replace `supported` and `run` by calls of your own.
#include "rnnparity.hpp"

#include <iostream>

using rnnparity::Json;
using rnnparity::Vector;

bool supported(const Vector& vector) {
    if (vector.layer["class_name"].text != "SimpleRNN") return false;
    const Json& config = vector.layer["config"];
    return config["activation"].text == "tanh" && config["dtype"].text == "float32" && !config["go_backwards"].truth &&
           vector.mask.data.empty() && vector.calls.empty();
}

// h = tanh(x W + h' U + b): the outputs in the order of Keras, each (B, T, H) or (B, H), row-major.
std::vector<std::vector<float>> run(const Vector& vector) {
    const Json& config = vector.layer["config"];
    const auto& x = vector.inputs.data;
    const auto& W = vector.weights[0].data;
    const auto& U = vector.weights[1].data;
    int B = vector.inputs.shape[0], T = vector.inputs.shape[1], D = vector.inputs.shape[2];
    int H = static_cast<int>(config["units"].value);
    std::vector<float> sequence, last;
    for (int row = 0; row < B; row++) {
        std::vector<float> h(H, 0);
        for (int unit = 0; unit < H && !vector.initial_state.empty(); unit++)
            h[unit] = static_cast<float>(vector.initial_state[0].data[row * H + unit]);
        for (int t = 0; t < T; t++) {
            std::vector<float> previous = h;
            for (int unit = 0; unit < H; unit++) {
                float z = config["use_bias"].truth ? static_cast<float>(vector.weights[2].data[unit]) : 0;
                for (int d = 0; d < D; d++)
                    z += static_cast<float>(x[(row * T + t) * D + d]) * static_cast<float>(W[d * H + unit]);
                for (int from = 0; from < H; from++) z += previous[from] * static_cast<float>(U[from * H + unit]);
                h[unit] = std::tanh(z);
            }
            sequence.insert(sequence.end(), h.begin(), h.end());
        }
        last.insert(last.end(), h.begin(), h.end());
    }
    std::vector<std::vector<float>> outputs{config["return_sequences"].truth ? sequence : last};
    if (config["return_state"].truth) outputs.push_back(last);
    return outputs;
}

int main(int count, char** arguments) {
    int agreeing = 0, differing = 0, skipped = 0;
    std::vector<Vector> vectors;
    try {
        vectors = rnnparity::load(count > 1 ? arguments[1] : "outputs.jsonl");
    } catch (const std::runtime_error& error) {
        std::cerr << error.what() << "\n";
        return 2;
    }
    for (const Vector& vector : vectors) {
        if (vector.outputs.empty() || !supported(vector)) {
            skipped++;
            continue;
        }
        auto outputs = run(vector);
        std::string difference;
        if (outputs.size() != vector.outputs.size())
            difference = "got " + std::to_string(outputs.size()) + " outputs, expected " +
                         std::to_string(vector.outputs.size());
        for (size_t n = 0; n < vector.outputs.size() && difference.empty(); n++)
            difference = rnnparity::compare(vector.outputs[n], outputs[n]);
        if (!difference.empty()) std::cout << vector.id << ": " << difference << "\n";
        (difference.empty() ? agreeing : differing)++;
    }
    std::cout << agreeing << " agree, " << differing << " differ, " << skipped << " not supported\n";
    return differing > 0 || agreeing == 0;
}
