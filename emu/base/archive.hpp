// Owns: Archive and its four kinds: Save, Load, Hash and Diff, all driven by one named field list per type.
// Callers: every stateful type implements `void serialize(Archive&)`; the Machine chooses the archive.
// Promises: fields are named, so a mismatch is reported by path; bytes are little-endian; nothing derived is stored.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "emu/base/result.hpp"
#include "emu/base/types.hpp"

namespace forkscope {

class Archive {
  public:
    virtual ~Archive() = default;

    // True while values are being read from the archive into the object.
    virtual bool loading() const { return false; }
    // True if only a digest is wanted: large parts may then give their own cached digests instead of their bytes.
    virtual bool hashing() const { return false; }
    // False once a Load met data that does not fit; later fields are then left alone.
    virtual bool good() const { return true; }

    template <class T> void field(std::string_view name, T& value) {
        if constexpr (std::is_same_v<T, bool>) {
            u8 byte = value ? 1 : 0;
            raw(name, &byte, 1);
            value = byte != 0;
        } else {
            static_assert(std::is_integral_v<T> || std::is_enum_v<T>,
                          "fields are integers, enums, bools or arrays of them");
            raw(name, &value, sizeof value);
        }
    }
    template <class Space> void field(std::string_view name, Address<Space>& address) {
        raw(name, &address.value, sizeof address.value);
    }
    template <class T, std::size_t N> void field(std::string_view name, std::array<T, N>& values) {
        array_field(name, values.data(), N);
    }
    template <class T, std::size_t N> void field(std::string_view name, T (&values)[N]) {
        array_field(name, values, N);
    }
    // A sequence whose length is part of the state. Elements are integers, texts, or have serialize(Archive&).
    // From an archive come `most` elements at most, and memory is taken for what is there, not for what it claims.
    template <class T> void sequence(std::string_view name, std::vector<T>& values, u64 most) {
        begin(name);
        u64 count = values.size();
        field("count", count);
        if constexpr (std::is_integral_v<T>) {
            if (loading())
                values.resize(held(count, most, sizeof(T)));
            if (!values.empty())
                raw("elements", values.data(), values.size() * sizeof(T));
        } else if (loading()) {
            values.clear();
            for (u64 left = held(count, most, kLeastElementBytes); left != 0 && good(); --left)
                this->element(values.emplace_back());
        } else {
            for (T& value : values)
                this->element(value);
        }
        end();
    }
    // What sequence() would read into a vector of u64, where it lies: for lists too long to be held twice. Only while
    // loading; empty after a fail().
    std::span<const u8> words_in_place(std::string_view name, u64 most);
    void text(std::string_view name, std::string& value);
    // A part that has its own serialize().
    template <class T> void nested(std::string_view name, T& part) {
        begin(name);
        part.serialize(*this);
        end();
    }

    // A value that the saved object and this one must share. Else finish() names both, as `describe` calls them.
    template <class T, class Describe> void expect(std::string_view name, const T& value, Describe describe) {
        T saved = value;
        if constexpr (std::is_same_v<T, std::string>)
            text(name, saved);
        else if constexpr (std::is_class_v<T>)
            nested(name, saved);
        else
            field(name, saved);
        if (loading() && good() && !(saved == value))
            mismatch(describe(saved), describe(value));
    }

    // `size` raw bytes of this host's little-endian memory. Sizes must match when loading.
    virtual void raw(std::string_view name, void* data, std::size_t size) = 0;
    // The same bytes in the archive, while loading.
    virtual std::span<const u8> view(std::string_view, std::size_t) { return {}; }
    virtual void begin(std::string_view) {}
    virtual void end() {}
    // The object found that a loaded value is impossible.
    virtual void fail(std::string_view) {}
    // The same for one that belongs to another object: the others are read all the same.
    virtual void mismatch(std::string, std::string) {}
    // How many bytes a Load still has.
    virtual u64 remaining() const { return ~u64{0}; }

  private:
    static constexpr u64 kLeastElementBytes = 11; // begin("element") and end()

    template <class T> void element(T& value) {
        if constexpr (std::is_same_v<T, std::string>)
            text("element", value);
        else
            nested("element", value);
    }
    // How many elements to read where an archive claims `count` of at least `bytes` each: all of them or, after a
    // fail(), none.
    u64 held(u64 count, u64 most, u64 bytes);
    template <class T> void array_field(std::string_view name, T* values, std::size_t count) {
        if constexpr (std::is_integral_v<T>) {
            raw(name, values, count * sizeof(T));
        } else {
            begin(name);
            for (std::size_t i = 0; i < count; ++i)
                values[i].serialize(*this);
            end();
        }
    }
};

// Writes {name, size, bytes} records into a byte vector.
class SaveArchive : public Archive {
  public:
    void raw(std::string_view name, void* data, std::size_t size) override;
    void begin(std::string_view name) override;
    void end() override;
    std::vector<u8> take() { return std::move(bytes_); }
    std::span<const u8> bytes() const { return bytes_; }
    void clear() { bytes_.clear(); } // keeps the memory

  private:
    std::vector<u8> bytes_;
};

// Reads what SaveArchive wrote. The first mismatch is kept as an error that names the path of the field.
class LoadArchive : public Archive {
  public:
    explicit LoadArchive(std::span<const u8> bytes) : bytes_(bytes) {}

    bool loading() const override { return true; }
    bool good() const override { return error_.empty(); }
    void raw(std::string_view name, void* data, std::size_t size) override;
    std::span<const u8> view(std::string_view name, std::size_t size) override;
    void begin(std::string_view name) override;
    void end() override;
    void fail(std::string_view why) override;
    void mismatch(std::string saved, std::string here) override;
    u64 remaining() const override { return bytes_.size() - at_; }
    // Ok if every byte was consumed and every field fitted and was as expected.
    Result<void> finish() const;

  private:
    bool record(u8 tag, std::string_view name);
    std::string path() const;

    std::span<const u8> bytes_;
    std::size_t at_ = 0;
    std::vector<std::string> path_;
    std::string error_;
    std::vector<std::string> saved_, here_; // what differs from what was expected
};

// 64-bit XXH3 over the field values in order.
class HashArchive : public Archive {
  public:
    HashArchive();
    ~HashArchive() override;
    bool hashing() const override { return true; }
    void raw(std::string_view name, void* data, std::size_t size) override;
    u64 digest() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

// Compares an object with a saved one: a line per field that differs, "pit.channel.count: 04 -> 05".
class DiffArchive : public Archive {
  public:
    explicit DiffArchive(std::span<const u8> saved) : saved_(saved) {}
    void raw(std::string_view name, void* data, std::size_t size) override;
    void begin(std::string_view name) override;
    void end() override;
    const std::vector<std::string>& differences() const { return differences_; }

  private:
    bool record(u8 tag, std::string_view name);
    std::string path(std::string_view leaf) const;

    std::span<const u8> saved_;
    std::size_t at_ = 0;
    std::vector<std::string> path_;
    std::vector<std::string> differences_;
    bool lost_ = false;
};

// XXH3 of plain bytes, the project's one checksum.
u64 checksum(std::span<const u8> bytes);

} // namespace forkscope
