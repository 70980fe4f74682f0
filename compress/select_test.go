package compress

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern string
		hits    []string
		misses  []string
	}{
		{"*", []string{"", "a", "a/b\nc"}, nil},
		{"conv1", []string{"conv1"}, []string{"conv10", "/conv1", "Conv1"}},
		{"*/conv?", []string{"/conv1", "a/b/conv2", "/conv/"}, []string{"conv1", "/conv10", "/conv"}},
		{"a.b", []string{"a.b"}, []string{"axb"}},
		{"[ab]+(c)|d", []string{"[ab]+(c)|d"}, []string{"a", "d"}},
		{"??", []string{"äö"}, []string{"ä", "äöü"}},
		{"", []string{""}, []string{"a"}},
	} {
		re := glob(c.pattern)
		for _, s := range c.hits {
			if !re.MatchString(s) {
				t.Errorf("%q does not match %q", c.pattern, s)
			}
		}
		for _, s := range c.misses {
			if re.MatchString(s) {
				t.Errorf("%q matches %q", c.pattern, s)
			}
		}
	}
}

// FuzzGlob: any text is a pattern; without wildcards it matches itself alone.
func FuzzGlob(f *testing.F) {
	f.Add("*/conv?", "a/conv1")
	f.Add("[", "\\")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if !utf8.ValidString(pattern) || !utf8.ValidString(name) {
			return
		}
		hit := glob(pattern).MatchString(name)
		if !strings.ContainsAny(pattern, "*?") && hit != (pattern == name) {
			t.Errorf("%q matches %q: %v", pattern, name, hit)
		}
		if !glob("*" + strings.ReplaceAll(name, "?", "*")).MatchString(name) {
			t.Errorf("%q does not match itself behind *", name)
		}
	})
}

func TestSplit(t *testing.T) {
	kernel := decomp.Shape{Out: 4, In: 4, Groups: 1}
	sites := []rewrite.Site{
		{Name: "stem", Index: 1, Kernel: kernel},
		{Name: "a/conv1", Index: 4, Kernel: kernel},
		{Name: "a/conv2", Index: 6, Kernel: kernel},
		{Name: "b/conv1", Index: 9, Kernel: kernel},
	}
	skips := []rewrite.Skip{{Name: "a/depthwise", Op: "Conv", Index: 5, Reason: "one input channel for each output channel"}}
	for _, c := range []struct {
		only, keep []string
		taken      []string
		reasons    []string
	}{
		{nil, nil, []string{"stem", "a/conv1", "a/conv2", "b/conv1"}, nil},
		{[]string{"*conv1"}, nil, []string{"a/conv1", "b/conv1"}, []string{"not named by Options.Select.Only", "not named by Options.Select.Only"}},
		{nil, []string{"a/*", "stem"}, []string{"b/conv1"}, []string{`kept as it is by Options.Select.Keep "stem"`, `kept as it is by Options.Select.Keep "a/*"`, `kept as it is by Options.Select.Keep "a/*"`}},
		{[]string{"a/*"}, []string{"*2"}, []string{"a/conv1"}, []string{"not named by Options.Select.Only", `kept as it is by Options.Select.Keep "*2"`, "not named by Options.Select.Only"}},
		{nil, []string{"*"}, nil, slices.Repeat([]string{`kept as it is by Options.Select.Keep "*"`}, 4)},
		{nil, []string{"a/depth*"}, []string{"stem", "a/conv1", "a/conv2", "b/conv1"}, nil},
	} {
		taken, left, err := Selection{Only: c.only, Keep: c.keep}.split(sites, skips)
		if err != nil {
			t.Errorf("only %q, keep %q: %v", c.only, c.keep, err)
		}
		var names, reasons []string
		for _, s := range taken {
			names = append(names, s.Name)
		}
		for _, s := range left {
			reasons = append(reasons, s.Reason)
			if i := slices.IndexFunc(sites, func(o rewrite.Site) bool { return o.Name == s.Name }); i < 0 || sites[i].Index != s.Index {
				t.Errorf("node %s is said to be at %d", s.Name, s.Index)
			}
		}
		if !slices.Equal(names, c.taken) || !slices.Equal(reasons, c.reasons) {
			t.Errorf("only %q, keep %q: took %q, left for %q", c.only, c.keep, names, reasons)
		}
	}
}

func TestSplitErrors(t *testing.T) {
	sites := []rewrite.Site{{Name: "stem"}, {Name: "a/conv1"}}
	skips := []rewrite.Skip{{Name: "a/depthwise", Op: "Conv", Reason: "too thin"}}
	for _, c := range []struct {
		s     Selection
		words []string
	}{
		{Selection{Only: []string{"stem", "a/conv9"}}, []string{"Options.Select.Only", `"a/conv9"`, `did you mean "a/conv1"`}},
		{Selection{Keep: []string{"head/*"}}, []string{"Options.Select.Keep", `"head/*"`, "matches no site", "inspect"}},
		{Selection{Only: []string{"*depth*"}}, []string{"Options.Select.Only", "Conv a/depthwise", "cannot change: too thin"}},
	} {
		_, _, err := c.s.split(sites, skips)
		testkit.WantError(t, err, c.words...)
		if usage := (*UsageError)(nil); !errors.As(err, &usage) {
			t.Errorf("%v is no UsageError", err)
		}
	}
}
