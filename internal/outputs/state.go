package outputs

import (
	"slices"
	"strings"
	"unicode"

	"github.com/onnx-compress/onnx-compress/graph"
)

// cached tells by its name whether an output is the state of a cache. Those who export decoders call it present.0.key, present_0 or
// present_key_values; others after what it becomes in the next run, such as new_past_key_values, kv_cache_out or out_self_k_cache.
func cached(name string) bool {
	if rest, ok := strings.CutPrefix(name, "present"); ok && (rest == "" || strings.ContainsRune("._/0123456789", rune(rest[0]))) {
		return true
	}
	name = strings.NewReplacer(".", "_", "/", "_", "-", "_").Replace(strings.ToLower(name))
	return slices.ContainsFunc([]string{
		"past_key", "past_value", "past_kv", "key_values", "kv_cache", "k_cache", "v_cache", "key_cache", "value_cache", "cache_k", "cache_v",
	}, func(part string) bool { return strings.Contains(name, part) })
}

// handedOn tells whether an output becomes an input in the next run: both are called after the same state or cache, but for words that say
// which way it goes, such as out_cache0 and in_cache0, cache_last_time_next and cache_last_time, stateN and state, or hn and h, and have
// shapes that fit. A state is of one size for each sample; where sizes of an input are open beside the samples', only a cache grows so.
func (w *walk) handedOn(v graph.Value) bool {
	words, cache := stateWords(v.Name())
	return words != nil && slices.ContainsFunc(w.g.Feeds(), func(in graph.Value) bool {
		others, _ := stateWords(in.Name())
		return in.Name() != v.Name() && slices.Equal(others, words) && becomes(v.Dims(), in.Dims()) && (cache || still(in.Dims()))
	})
}

// Carried tells by its name and shape whether an input is what the run before handed on: a state, or a cache, which may be empty.
func Carried(in graph.Value) (state, cache bool) {
	words, cache := stateWords(in.Name())
	cache = cache || cached(in.Name()) || strings.HasPrefix(in.Name(), "past")
	return !cache && words != nil && still(in.Dims()), cache
}

// becomes tells whether a value of the one shape may be given as one of the other.
func becomes(out, in []graph.Dim) bool {
	if len(out) != len(in) {
		return out == nil
	}
	for i, d := range out {
		if d.Size > 0 && in[i].Size > 0 && d.Size != in[i].Size {
			return false
		}
	}
	return true
}

// still tells whether a shape has axes, of which at most one is open: that of the samples.
func still(dims []graph.Dim) bool {
	open := 0
	for _, d := range dims {
		if d.Size <= 0 {
			open++
		}
	}
	return len(dims) > 0 && open < 2
}

// stateWords are the words of the name of a state or a cache, but for those that say which way it goes; nil for other names.
func stateWords(name string) (words []string, cache bool) {
	state := false
	for _, word := range nameWords(name) {
		switch bare := strings.TrimRight(word, "0123456789"); bare {
		case "cache", "caches":
			cache = true
		case "state", "states", "hidden":
			state = true
		case "h", "hn", "c", "cn": // as recurrent operators call them, where the first and the last have numbers of their own
			state, word = true, bare[:1]
		}
		words = append(words, word)
	}
	if !state && !cache {
		return nil, false
	}
	return slices.DeleteFunc(words, func(word string) bool {
		return slices.Contains([]string{"in", "out", "input", "output", "old", "new", "prev", "previous", "past", "next", "cur", "current", "n", "init", "initial", "final", "updated"}, word)
	}), cache
}

// nameWords are the words of a name, in small letters: parted by signs, and where a capital follows a small letter or a digit.
func nameWords(name string) []string {
	var parted []rune
	last := ' '
	for _, r := range name {
		if unicode.IsUpper(r) && (unicode.IsLower(last) || unicode.IsDigit(last)) {
			parted = append(parted, ' ')
		}
		parted, last = append(parted, unicode.ToLower(r)), r
	}
	return strings.FieldsFunc(string(parted), func(r rune) bool { return strings.ContainsRune("_.-/: ", r) })
}
