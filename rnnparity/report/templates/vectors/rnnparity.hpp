// Reads the test vectors of rnnparity and compares an engine's numbers with them. One header, C++17, no library.
//
//     for (const rnnparity::Vector& vector : rnnparity::load("outputs.jsonl")) {
//         std::string difference = rnnparity::compare(vector.outputs[0], my_engine(vector));
//         if (!difference.empty()) std::cout << vector.id << ": " << difference << "\n";
//     }
#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace rnnparity {

// A value of JSON. Of its members only the one that belongs to its kind is filled.
struct Json {
    enum Kind { null, boolean, number, string, array, object } kind = null;
    bool truth = false;
    double value = 0;
    std::string text;
    std::vector<Json> items;
    std::map<std::string, Json> members;

    // Whether an object has a key whose value is not null.
    bool has(const std::string& key) const {
        auto found = members.find(key);
        return found != members.end() && found->second.kind != null;
    }
    const Json& operator[](const std::string& key) const {
        auto found = members.find(key);
        if (found == members.end()) throw std::runtime_error("key '" + key + "' is missing");
        return found->second;
    }
};

class Parser {
public:
    explicit Parser(const std::string& text) : text_(text) {}

    Json parse() {
        Json value = parse_value();
        skip_space();
        if (position_ != text_.size()) fail("expected the end of the line");
        return value;
    }

private:
    const std::string& text_;
    size_t position_ = 0;

    [[noreturn]] void fail(const std::string& message) const {
        throw std::runtime_error("column " + std::to_string(position_ + 1) + ": " + message);
    }
    void skip_space() {
        while (position_ < text_.size() && std::string(" \t\r\n").find(text_[position_]) != std::string::npos) position_++;
    }
    char peek() {
        skip_space();
        if (position_ == text_.size()) fail("unexpected end of the line");
        return text_[position_];
    }
    void expect(char character) {
        if (peek() != character) fail(std::string("expected '") + character + "'");
        position_++;
    }
    bool skip_word(const std::string& word) {
        if (text_.compare(position_, word.size(), word) != 0) return false;
        position_ += word.size();
        return true;
    }
    Json parse_value() {
        Json value;
        switch (peek()) {
            case '{': return parse_object();
            case '[': return parse_array();
            case '"':
                value.kind = Json::string;
                value.text = parse_string();
                return value;
            default: return parse_scalar();
        }
    }
    Json parse_object() {
        Json value;
        value.kind = Json::object;
        expect('{');
        while (peek() != '}') {
            if (!value.members.empty()) expect(',');
            peek();
            std::string key = parse_string();
            expect(':');
            value.members[key] = parse_value();
        }
        position_++;
        return value;
    }
    Json parse_array() {
        Json value;
        value.kind = Json::array;
        expect('[');
        while (peek() != ']') {
            if (!value.items.empty()) expect(',');
            value.items.push_back(parse_value());
        }
        position_++;
        return value;
    }
    Json parse_scalar() {
        Json value;
        if (skip_word("null")) return value;
        value.kind = Json::boolean;
        if (skip_word("false")) return value;
        value.truth = true;
        if (skip_word("true")) return value;
        value.truth = false;
        value.kind = Json::number;
        const char* start = text_.c_str() + position_;
        char* end = nullptr;
        value.value = std::strtod(start, &end);
        if (end == start) fail("expected a value");
        position_ += end - start;
        return value;
    }
    std::string parse_string() {
        expect('"');
        std::string value;
        while (position_ < text_.size() && text_[position_] != '"') {
            // The vectors' strings have no other escapes than those of a quote and a backslash.
            if (text_[position_] == '\\') position_++;
            if (position_ < text_.size()) value += text_[position_++];
        }
        if (position_ == text_.size()) fail("unexpected end of a string");
        position_++;
        return value;
    }
};

// An array, row-major. `tolerance` has one number for each element of `data`, or none.
struct Tensor {
    std::string name, dtype;
    std::vector<int> shape;
    std::vector<double> data, tolerance;
};

// One line of outputs.jsonl or gradients.jsonl: a layer with all its numbers (README.md describes the keys).
struct Vector {
    std::string id;
    Json layer;
    std::vector<Tensor> weights, initial_state, outputs, cotangents, gradients;
    Tensor inputs, mask;  // mask.data is empty where there is none, else 1 (used) or 0 (masked)
    std::vector<int> calls;
};

inline double number(const Json& value) {
    if (value.kind == Json::boolean) return value.truth;
    if (value.kind != Json::string) return value.value;
    if (value.text == "NaN") return std::numeric_limits<double>::quiet_NaN();
    return (value.text == "-Infinity" ? -1 : 1) * std::numeric_limits<double>::infinity();
}

inline Tensor tensor(const Json& fields) {
    Tensor result;
    if (fields.has("name")) result.name = fields["name"].text;
    result.dtype = fields["dtype"].text;
    for (const Json& size : fields["shape"].items) result.shape.push_back(static_cast<int>(size.value));
    for (const Json& value : fields["data"].items) result.data.push_back(number(value));
    if (fields.has("tolerance"))
        for (const Json& value : fields["tolerance"].items) result.tolerance.push_back(value.value);
    return result;
}

inline std::vector<Tensor> tensors(const Json& fields, const std::string& key) {
    std::vector<Tensor> result;
    if (fields.has(key))
        for (const Json& item : fields[key].items) result.push_back(tensor(item));
    return result;
}

inline Vector vector(const Json& fields) {
    Vector result;
    result.id = fields["id"].text;
    result.layer = fields["layer"];
    result.inputs = tensor(fields["inputs"]);
    if (fields.has("mask")) result.mask = tensor(fields["mask"]);
    result.weights = tensors(fields, "weights");
    result.initial_state = tensors(fields, "initial_state");
    result.outputs = tensors(fields, "outputs");
    result.cotangents = tensors(fields, "cotangents");
    result.gradients = tensors(fields, "gradients");
    if (fields.has("calls"))
        for (const Json& steps : fields["calls"].items) result.calls.push_back(static_cast<int>(steps.value));
    return result;
}

// The vectors of a file. Throws std::runtime_error with the file, the line and what is wrong.
inline std::vector<Vector> load(const std::string& path) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error(path + ": cannot read");
    std::vector<Vector> result;
    for (std::string line; std::getline(file, line);) {
        try {
            result.push_back(vector(Parser(line).parse()));
        } catch (const std::runtime_error& error) {
            throw std::runtime_error(path + ": line " + std::to_string(result.size() + 1) + ": " + error.what());
        }
    }
    return result;
}

// The largest difference in units of its tolerance where one is beyond it, as a sentence; "" where all values agree.
template <typename Number>
std::string compare(const Tensor& expected, const std::vector<Number>& actual) {
    if (actual.size() != expected.data.size())
        return expected.name + ": got " + std::to_string(actual.size()) + " values, expected " +
               std::to_string(expected.data.size());
    double largest = 1;
    size_t worst = actual.size();
    for (size_t n = 0; n < actual.size(); n++) {
        double value = static_cast<double>(actual[n]), target = expected.data[n];
        if (value == target || (std::isnan(value) && std::isnan(target))) continue;
        double distance = std::abs(value - target) / expected.tolerance.at(n);
        if (std::isnan(distance)) distance = std::numeric_limits<double>::infinity();
        if (distance > largest) {
            largest = distance;
            worst = n;
        }
    }
    if (worst == actual.size()) return "";
    std::string index;
    size_t rest = worst;
    for (size_t axis = expected.shape.size(); axis-- > 0;) {
        index = std::to_string(rest % expected.shape[axis]) + (index.empty() ? "" : ", ") + index;
        rest /= expected.shape[axis];
    }
    char text[160];
    std::snprintf(text, sizeof text, "[%s]: got %.9g, expected %.9g, tolerance %.3g", index.c_str(),
                  static_cast<double>(actual[worst]), expected.data[worst], expected.tolerance[worst]);
    return expected.name + text;
}

}  // namespace rnnparity
