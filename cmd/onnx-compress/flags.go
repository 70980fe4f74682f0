package main

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/internal/suggest"
)

// newFlags returns an empty flag set that leaves the words to us.
func newFlags(name string) *pflag.FlagSet {
	f := pflag.NewFlagSet(name, pflag.ContinueOnError)
	f.SortFlags = false
	f.Usage = func() {}
	return f
}

// parse reads args into f, and what the configuration says of flags that they leave out.
// A request for help prints the command's text and returns errHelp; a mistyped flag gets
// a suggestion.
func parse(f *pflag.FlagSet, args []string, s streams) ([]string, error) {
	var config configFlags
	configured := !slices.Contains(unconfigured(), f.Name())
	if configured {
		config.add(f)
	}
	if s.declare != nil {
		s.declare(f)
		return nil, errDeclared
	}
	err := f.Parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		if err := writeHelp(s.out, f.Name()); err != nil {
			return nil, err
		}
		return nil, errHelp
	}
	if err != nil {
		return nil, usagef("%s%s", err, flagHint(f, err))
	}
	if configured {
		if err := config.apply(f, s); err != nil {
			return nil, err
		}
	}
	return f.Args(), nil
}

// longFlag finds the flag in pflag's message.
var longFlag = regexp.MustCompile(`unknown flag: --([^\s=]+)`)

// flagHint names the flag that a mistyped one was meant to be.
func flagHint(f *pflag.FlagSet, err error) string {
	m := longFlag.FindStringSubmatch(err.Error())
	if m == nil {
		return ""
	}
	var names []string
	f.VisitAll(func(flag *pflag.Flag) { names = append(names, flag.Name) })
	if c, ok := suggest.Nearest(m[1], names); ok {
		return fmt.Sprintf(" (did you mean --%s?)", c)
	}
	return ""
}

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
	number := strings.TrimRightFunc(s, func(r rune) bool { return r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' })
	factor, ok := map[string]float64{
		"": 1, "b": 1,
		"k": 1 << 10, "kib": 1 << 10, "kb": 1e3,
		"m": 1 << 20, "mib": 1 << 20, "mb": 1e6,
		"g": 1 << 30, "gib": 1 << 30, "gb": 1e9,
	}[strings.ToLower(strings.TrimSpace(s[len(number):]))]
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if !ok || err != nil || !(v*factor >= 1) || v*factor > 1<<60 {
		return 0, usagef("memory %q: want a size such as 512MiB or 2GiB", s)
	}
	return int64(v * factor), nil
}

// inputShapes reads NAME=1x3x224x224 pairs.
func inputShapes(pairs []string) (map[string][]int, error) {
	out := map[string][]int{}
	for _, p := range pairs {
		at := strings.LastIndex(p, "=")
		if at <= 0 {
			return nil, usagef("input shape %q: want NAME=SIZExSIZE…, for example input=1x3x224x224", p)
		}
		var shape []int
		for _, d := range strings.FieldsFunc(p[at+1:], func(r rune) bool { return r == 'x' || r == ',' || r == '×' }) {
			n, err := strconv.Atoi(d)
			if err != nil || n < 1 || n > math.MaxInt32 {
				return nil, usagef("input shape %q: %q is not a positive size", p, d)
			}
			shape = append(shape, n)
		}
		if len(shape) == 0 {
			return nil, usagef("input shape %q has no sizes; want for example input=1x3x224x224", p)
		}
		if _, twice := out[p[:at]]; twice {
			return nil, usagef("input shape %q: %q has a shape already", p, p[:at])
		}
		out[p[:at]] = shape
	}
	return out, nil
}
