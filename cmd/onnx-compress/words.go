package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/internal/quote"
	"github.com/onnx-compress/onnx-compress/internal/rss"
	"github.com/onnx-compress/onnx-compress/internal/size"
)

// atLeastOne refuses numbers below 1 where they were asked for: a default is had by
// leaving the flag out.
func atLeastOne(f *pflag.FlagSet, names ...string) error {
	for _, name := range names {
		flag := f.Lookup(name)
		if n, err := strconv.Atoi(flag.Value.String()); flag.Changed && (err != nil || n < 1) {
			return usagef("--%s %s: want at least 1", name, flag.Value)
		}
	}
	return nil
}

// byteSize reads sizes such as 512MiB, 2GB, 1.5G or 1000000.
func byteSize(s string) (int64, error) {
	v, _, err := size.Bytes(s)
	if err != nil || !(v >= 1) || v > 1<<60 {
		return 0, usagef("memory %q: want a size such as 512MiB or 2GiB", s)
	}
	return int64(v), nil
}

// memoryLimit reads the size of --memory; "" is the default.
func memoryLimit(s string) (int64, error) {
	if s == "" {
		return rss.DefaultLimit(), nil
	}
	return byteSize(s)
}

// probes turns the number of --probes, where 0 asks for none, into that of the options.
func probes(n int) (int, error) {
	switch {
	case n < 0:
		return 0, usagef("--probes %d: want a number, 0 for none", n)
	case n == 0:
		return -1, nil
	}
	return n, nil
}

// inputShapes reads shapes of inputs, no two of the same.
func inputShapes(pairs []string) (map[string][]int, error) {
	out := map[string][]int{}
	for _, p := range pairs {
		name, shape, err := inputShape(p)
		if err != nil {
			return nil, usagef("input shape %q: %w", p, err)
		}
		if _, twice := out[name]; twice {
			return nil, usagef("input shape %q: %q has a shape already", p, name)
		}
		out[name] = shape
	}
	return out, nil
}

// inputShape reads NAME=1x3x224x224, or as other tools have it NAME:1,3,224,224. Names may have signs of either kind
// in them, as "input:0" has. A size may be 0, as that of a past is at the first step.
func inputShape(word string) (string, []int, error) {
	at := strings.LastIndex(word, "=")
	if at < 0 {
		at = strings.LastIndex(word, ":")
	}
	if at <= 0 {
		return "", nil, errors.New("want NAME=SIZExSIZE…, for example input=1x3x224x224")
	}
	var shape []int
	for _, d := range strings.FieldsFunc(strings.Trim(word[at+1:], "[]() "), func(r rune) bool { return strings.ContainsRune("x,× ", r) }) {
		n, err := strconv.Atoi(d)
		if err != nil || n < 0 || n > math.MaxInt32 {
			return "", nil, fmt.Errorf("%q is not a positive size or 0", d)
		}
		shape = append(shape, n)
	}
	if len(shape) == 0 {
		return "", nil, errors.New("it has no sizes; want for example input=1x3x224x224")
	}
	return word[:at], shape, nil
}

// parseShare reads 0.3 or 30%.
func parseShare(flag, s string) (float64, error) {
	number, percent := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(number, 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		return 0, usagef("--%s %q: want a share such as 0.3 or 30%%", flag, s)
	}
	return v, nil
}

// given lists the flags that have a value, but for those named, as they stand on a command line.
func given(f *pflag.FlagSet, write func(string) string, but ...string) []string {
	var out []string
	for _, flag := range settable(f) {
		if !flag.Changed || slices.Contains(but, flag.Name) {
			continue
		}
		values := []string{flag.Value.String()}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
			if flag.Value.Type() == "stringSlice" {
				values = []string{strings.Join(values, ",")}
			}
		}
		for _, v := range values {
			word := "--" + flag.Name
			if flag.NoOptDefVal == "" || flag.NoOptDefVal != v {
				word += "=" + write(v)
			}
			out = append(out, word)
		}
	}
	return out
}

// commandLine is the command that asks for the same again, whatever a configuration says:
// the arguments, and every flag that has a value, in the order of their declaration.
func commandLine(command string, f *pflag.FlagSet, args []string) string {
	out := []string{command}
	for _, arg := range args {
		out = append(out, quote.Shell(arg))
	}
	out = append(out, given(f, quote.Shell)...)
	return strings.Join(append(out, unconfigured(f)...), " ")
}

// unconfigured is --no-config where a configuration might have a say.
func unconfigured(f *pflag.FlagSet) []string {
	if _, err := os.Stat(configName); err == nil || f.Changed("config") || f.Changed("no-config") {
		return []string{"--no-config"}
	}
	return nil
}
