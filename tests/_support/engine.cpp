// A complete engine for `rnnparity check cmd:./engine`: a problem a line in, an answer a line out.
// SimpleRNN, LSTM and GRU in float32, with masks, both directions and initial states. No library is needed:
//   c++ -O2 -std=c++17 -o engine engine.cpp
#include <cmath>
#include <cstdio>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

// --- JSON, as much as a problem holds --------------------------------------------------------------------------------

struct Json {
    enum Kind { null, boolean, number, text, array, object } kind = null;
    bool truth = false;
    double value = 0;
    std::string word;
    std::vector<Json> items;
    std::map<std::string, Json> members;

    bool has(const std::string& key) const { return members.count(key) && members.at(key).kind != null; }
    const Json& operator[](const std::string& key) const { return members.at(key); }
    bool flag(const std::string& key, bool otherwise) const { return has(key) ? members.at(key).truth : otherwise; }
    std::string name(const std::string& key, const char* otherwise) const {
        return has(key) ? members.at(key).word : otherwise;
    }
};

struct Reader {
    const std::string& line;
    size_t at = 0;

    char next() {
        while (std::isspace(static_cast<unsigned char>(line.at(at)))) at++;
        return line.at(at);
    }
    std::string word() {
        std::string found;
        for (at++; line.at(at) != '"'; at++) {
            if (line[at] == '\\') at++;  // ids and names have no other escapes than a quote and a backslash
            found += line.at(at);
        }
        at++;
        return found;
    }
    Json read() {
        Json found;
        char first = next();
        if (first == '{' || first == '[') {
            char last = first == '{' ? '}' : ']';
            found.kind = first == '{' ? Json::object : Json::array;
            for (at++; next() != last;) {
                if (first == '{') {
                    std::string key = word();
                    next();
                    at++;  // the colon
                    found.members[key] = read();
                } else {
                    found.items.push_back(read());
                }
                if (next() == ',') at++;
            }
            at++;
        } else if (first == '"') {
            found.kind = Json::text;
            found.word = word();
        } else if (first == 't' || first == 'f' || first == 'n') {
            found.kind = first == 'n' ? Json::null : Json::boolean;
            found.truth = first == 't';
            at += first == 'f' ? 5 : 4;
        } else {
            char* end;
            found.kind = Json::number;
            found.value = std::strtod(line.c_str() + at, &end);
            at = end - line.c_str();
        }
        return found;
    }
};

std::vector<float> floats(const Json& tensor) {
    std::vector<float> found;
    for (const Json& item : tensor["data"].items)
        found.push_back(item.kind == Json::boolean ? item.truth : static_cast<float>(item.value));
    return found;
}

// --- the layers ------------------------------------------------------------------------------------------------------

float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }

// x W + h U of one row for one column of the weights, each with G*H columns.
float product(const float* x, int rows, const std::vector<float>& weights, int columns, int column) {
    float sum = 0;
    for (int n = 0; n < rows; n++) sum += x[n] * weights[n * columns + column];
    return sum;
}

struct Layer {
    std::string kind;
    int D, H, gates;
    bool reset_after;
    std::vector<float> W, U, b, b_state;

    float input(const float* x, int column) const { return product(x, D, W, gates * H, column) + b[column]; }
    float state(const float* h, int column) const { return product(h, H, U, gates * H, column) + b_state[column]; }

    void step(const float* x, std::vector<float>& h, std::vector<float>& c) const {
        std::vector<float> before = h, reset(H);
        if (kind == "GRU")
            for (int n = 0; n < H; n++) reset[n] = sigmoid(input(x, H + n) + state(before.data(), H + n));
        std::vector<float> gated(H);
        for (int n = 0; n < H && kind == "GRU"; n++) gated[n] = reset[n] * before[n];
        for (int n = 0; n < H; n++) {
            auto z = [&](int gate) { return input(x, gate * H + n) + state(before.data(), gate * H + n); };
            if (kind == "SimpleRNN") {
                h[n] = std::tanh(z(0));
            } else if (kind == "LSTM") {
                c[n] = sigmoid(z(1)) * c[n] + sigmoid(z(0)) * std::tanh(z(2));
                h[n] = sigmoid(z(3)) * std::tanh(c[n]);
            } else {
                float inner = reset_after ? reset[n] * state(before.data(), 2 * H + n) : state(gated.data(), 2 * H + n);
                float g = std::tanh(input(x, 2 * H + n) + inner), update = sigmoid(z(0));
                h[n] = update * before[n] + (1 - update) * g;
            }
        }
    }
};

// --- one problem -----------------------------------------------------------------------------------------------------

std::string unsupported(const Json& problem) {
    const Json& config = problem["layer"]["config"];
    std::string kind = problem["layer"]["class_name"].word;
    if (kind != "SimpleRNN" && kind != "LSTM" && kind != "GRU") return "only single recurrent layers";
    if (config.name("dtype", "float32") != "float32") return "only float32";
    if (config.name("activation", "tanh") != "tanh") return "only the activation tanh";
    if (config.name("recurrent_activation", "sigmoid") != "sigmoid") return "only the recurrent activation sigmoid";
    if (problem.has("calls")) return "only one call";
    return "";
}

void print(std::ostream& out, const char* name, const std::vector<int>& shape, const std::vector<float>& data) {
    out << "{\"name\": \"" << name << "\", \"dtype\": \"float32\", \"shape\": [";
    for (size_t n = 0; n < shape.size(); n++) out << (n ? ", " : "") << shape[n];
    out << "], \"data\": [";
    char number[32];
    for (size_t n = 0; n < data.size(); n++) {
        std::snprintf(number, sizeof number, "%.9g", data[n]);
        out << (n ? ", " : "") << number;
    }
    out << "]}";
}

void answer(std::ostream& out, const Json& problem) {
    const Json& config = problem["layer"]["config"];
    Layer layer;
    layer.kind = problem["layer"]["class_name"].word;
    layer.gates = layer.kind == "LSTM" ? 4 : layer.kind == "GRU" ? 3 : 1;
    layer.H = static_cast<int>(config["units"].value);
    layer.reset_after = config.flag("reset_after", true);
    const auto& sizes = problem["inputs"]["shape"].items;
    int B = sizes[0].value, T = sizes[1].value, D = sizes[2].value, H = layer.H;
    layer.D = D;
    layer.W = floats(problem["weights"].items[0]);
    layer.U = floats(problem["weights"].items[1]);
    layer.b.assign(layer.gates * H, 0);
    layer.b_state = layer.b;
    if (problem["weights"].items.size() > 2) {
        std::vector<float> bias = floats(problem["weights"].items[2]);
        layer.b.assign(bias.begin(), bias.begin() + layer.gates * H);
        if (bias.size() > layer.b.size()) layer.b_state.assign(bias.begin() + layer.gates * H, bias.end());
    }
    std::vector<float> x = floats(problem["inputs"]), mask, outputs, last, hs, cs;
    std::vector<std::vector<float>> start;
    if (problem.has("mask")) mask = floats(problem["mask"]);
    if (problem.has("initial_state"))
        for (const Json& state : problem["initial_state"].items) start.push_back(floats(state));
    bool sequences = config.flag("return_sequences", false), states = config.flag("return_state", false);
    bool zero = config.flag("zero_output_for_mask", false) && sequences, reversed = config.flag("go_backwards", false);
    for (int row = 0; row < B; row++) {
        std::vector<float> h(H, 0), c(H, 0), output(H, 0), none(H, 0);
        if (!start.empty()) h.assign(start[0].begin() + row * H, start[0].begin() + (row + 1) * H);
        if (start.size() > 1) c.assign(start[1].begin() + row * H, start[1].begin() + (row + 1) * H);
        for (int n = 0; n < T; n++) {
            int t = reversed ? T - 1 - n : n;
            if (mask.empty() || mask[row * T + t]) {
                layer.step(&x[(row * T + t) * D], h, c);
                output = h;
            } else if (zero) {
                output = none;
            }
            if (sequences) outputs.insert(outputs.end(), output.begin(), output.end());
        }
        last.insert(last.end(), output.begin(), output.end());
        hs.insert(hs.end(), h.begin(), h.end());
        cs.insert(cs.end(), c.begin(), c.end());
    }
    print(out, "output", sequences ? std::vector<int>{B, T, H} : std::vector<int>{B, H}, sequences ? outputs : last);
    if (states) print(out << ", ", "h", {B, H}, hs);
    if (states && layer.kind == "LSTM") print(out << ", ", "c", {B, H}, cs);
}

int main() {
    for (std::string line; std::getline(std::cin, line);) {
        Json problem = Reader{line}.read();
        std::string reason = unsupported(problem);
        std::cout << "{\"id\": \"" << problem["id"].word << "\", ";
        if (reason.empty()) {
            std::cout << "\"outputs\": [";
            answer(std::cout, problem);
            std::cout << "]}" << std::endl;
        } else {
            std::cout << "\"unsupported\": \"" << reason << "\"}" << std::endl;
        }
    }
}
