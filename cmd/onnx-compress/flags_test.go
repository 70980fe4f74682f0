package main

import (
	"bytes"
	"io/fs"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestByteSize(t *testing.T) {
	for word, want := range map[string]int64{
		"1": 1, "4096": 4096, "512MiB": 512 << 20, "512mib": 512 << 20, "2GiB": 2 << 30, "2G": 2 << 30, "2GB": 2e9, "1.5k": 1536,
		"64 KiB": 64 << 10, "7b": 7, "1e3": 1000, "0.001kB": 1, "1000000000GiB": 1e9 * (1 << 30),
	} {
		got, err := byteSize(word)
		if err != nil || got != want {
			t.Errorf("byteSize(%q) = %d, %v; want %d", word, got, err, want)
		}
	}
	for _, word := range []string{"", "much", "MiB", "-1", "0", "0.5", "NaN", "inf", "1e30", "2GiBs", "2 3", "1TiB!", "0x10Q", "9e18GiB"} {
		if got, err := byteSize(word); err == nil || !strings.Contains(err.Error(), "512MiB") {
			t.Errorf("byteSize(%q) = %d, %v; want an error with an example", word, got, err)
		}
	}
}

// FuzzByteSize: whatever is accepted is a size that memory can have.
func FuzzByteSize(f *testing.F) {
	for _, s := range []string{"2GiB", "1e3", "-0", "0x1p4", "9223372036854775807", "1_000", "٣"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := byteSize(s); err == nil && (n < 1 || n > 1<<60) {
			t.Errorf("byteSize(%q) = %d", s, n)
		}
	})
}

func TestInputShapes(t *testing.T) {
	for _, c := range []struct {
		in   []string
		want map[string][]int
	}{
		{nil, map[string][]int{}},
		{[]string{"x=1x3x224x224"}, map[string][]int{"x": {1, 3, 224, 224}}},
		{[]string{"a=5", "b=2,3", "c=4×5"}, map[string][]int{"a": {5}, "b": {2, 3}, "c": {4, 5}}},
		{[]string{"scope/x:0=1x2"}, map[string][]int{"scope/x:0": {1, 2}}},
		{[]string{"a=b=7"}, map[string][]int{"a=b": {7}}},
	} {
		got, err := inputShapes(c.in)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("inputShapes(%q) = %v, %v; want %v", c.in, got, err, c.want)
		}
	}
	for _, c := range []struct{ in, want string }{
		{"x", "want NAME="},
		{"=1x3", "want NAME="},
		{"x=", "has no sizes"},
		{"x=x", "has no sizes"},
		{"x=1x-3", `"-3" is not a positive size`},
		{"x=1x0", `"0" is not a positive size`},
		{"x=1x3.5", `"3.5" is not a positive size`},
		{"x=1x4294967296", "not a positive size"},
		{"x=1x?", `"?" is not a positive size`},
	} {
		if got, err := inputShapes([]string{c.in}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("inputShapes(%q) = %v, %v; want an error with %q", c.in, got, err, c.want)
		}
	}
	if _, err := inputShapes([]string{"x=1", "x=1"}); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a shape given twice: %v", err)
	}
}

func FuzzInputShapes(f *testing.F) {
	for _, s := range []string{"x=1x3", "a=b=2", "=", "x=1xx2", "x=99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		shapes, err := inputShapes([]string{s})
		if err != nil {
			return
		}
		for name, shape := range shapes {
			if len(shapes) != 1 || !strings.HasPrefix(s, name+"=") || len(shape) == 0 || slices.Min(shape) < 1 || slices.Max(shape) > math.MaxInt32 {
				t.Errorf("inputShapes(%q) = %v", s, shapes)
			}
		}
	})
}

// documented lists the long flags that a help text names.
func documented(t *testing.T, command string) []string {
	t.Helper()
	text, err := fs.ReadFile(helpTexts, "help/"+command+".txt")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`--([a-z][a-z-]*)`).FindAllStringSubmatch(string(text), -1) {
		names[m[1]] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// TestHelpNamesTheFlags: every flag that a help text names exists, in that command or the
// main one, and every flag of the main command is named.
func TestHelpNamesTheFlags(t *testing.T) {
	var c compressFlags
	f := newFlags("compress")
	c.add(f)
	for _, command := range commands() {
		for _, name := range documented(t, command.name) {
			if f.Lookup(name) != nil || slices.Contains(configNames(), name) {
				continue
			}
			var out, errs bytes.Buffer
			// Behind the flag comes one that no command has, so that nothing is done.
			run([]string{command.name, "--" + name + "=1", "--no-such-flag"}, streams{out: &out, err: &errs})
			if text := errs.String(); strings.Contains(text, "unknown flag: --"+name) {
				t.Errorf("help %s names --%s: %s", command.name, name, text)
			}
		}
	}
	known := documented(t, "compress")
	f.VisitAll(func(flag *pflag.Flag) {
		if !slices.Contains(known, flag.Name) {
			t.Errorf("help compress does not name --%s", flag.Name)
		}
	})
	if len(known) < 20 {
		t.Errorf("only %d flags were found in the text", len(known))
	}
}

// TestHelpFits: help is read in terminals of 80 columns.
func TestHelpFits(t *testing.T) {
	for _, c := range commands() {
		text, err := fs.ReadFile(helpTexts, "help/"+c.name+".txt")
		if err != nil {
			t.Error(err)
			continue
		}
		for i, line := range strings.Split(string(text), "\n") {
			if len([]rune(line)) > 80 || strings.TrimRight(line, " ") != line || strings.Contains(line, "\t") {
				t.Errorf("help/%s.txt, line %d: %q", c.name, i+1, line)
			}
		}
	}
}

func TestAtLeastOne(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, ""},
		{[]string{"--batch=1", "--rank-multiple=8"}, ""},
		{[]string{"--batch=0"}, "--batch 0: want at least 1"},
		{[]string{"--calib-samples=-3"}, "--calib-samples -3"},
	} {
		var flags compressFlags
		f := newFlags("compress")
		flags.add(f)
		if err := f.Parse(c.args); err != nil {
			t.Fatal(err)
		}
		err := atLeastOne(f, "calib-samples", "rank-multiple", "batch")
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.args, err, c.want)
		}
	}
}

// TestSampleFlags: words about samples become options, and each mistake names its flag.
func TestSampleFlags(t *testing.T) {
	good := sampleFlags{
		labels: "l.txt", resize: "40x50", crop: "32", normalize: "half", mean: "1,2,3", std: "4", layout: "nhwc", order: "bgr", scale: 0.5,
	}
	o, err := good.options()
	if err != nil {
		t.Fatal(err)
	}
	if o.Labels != "l.txt" || o.Scale != 0.5 || !slices.Equal(o.Mean, []float64{1, 2, 3}) || !slices.Equal(o.Std, []float64{4}) ||
		o.Crop.Height != 32 || o.Resize.Exact.Width != 50 || o.Layout != "nhwc" || o.Order != "bgr" {
		t.Errorf("%+v", o)
	}
	for flag, bad := range map[string]sampleFlags{
		"--resize": {resize: "big"}, "--crop": {crop: "-1"}, "--normalize": {normalize: "imagenets"}, "--mean": {mean: "a"},
		"--std": {std: "1,,2"}, "--layout": {layout: "chwn"}, "--order": {order: "gbr"}, "--scale": {scale: math.Inf(1)},
	} {
		if _, err := bad.options(); err == nil || !strings.HasPrefix(err.Error(), flag) {
			t.Errorf("%s: error %v", flag, err)
		}
	}
}
