package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/tune"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/verify"
)

// Commands read the words of their flags when they begin to work. A configuration is checked without that, value by value, by what
// those commands read them with.

// checkValues refuses values of a section that no command could work with.
func (s *configSection) checkValues(f *pflag.FlagSet) error {
	for _, v := range s.values {
		flag := f.Lookup(v.flag)
		for _, word := range v.words {
			if err := checkWord(s.command, flag, word); err != nil {
				return fmt.Errorf("line %d: %s: %s %s: %w", v.line, s.command, v.flag, word, err)
			}
		}
	}
	return nil
}

// checkWord refuses one value of a flag.
func checkWord(command string, flag *pflag.Flag, word string) error {
	name := strings.TrimPrefix(flag.Name, "tune-")
	switch _, list := flag.Value.(pflag.SliceValue); {
	case !list && flag.Value.Type() == "int":
		return checkCount(name, word)
	case !list && flag.Value.Type() == "float64":
		return checkNumber(name, word)
	}
	if name == "only" && !(command == "tune" || name != flag.Name) {
		return nil // a pattern
	}
	if check := wordChecks()[name]; check != nil {
		return check(word)
	}
	return nil
}

// wordChecks says how the words of flags are read, by their names without "tune-"; those of files, folders and
// patterns are not among them.
func wordChecks() map[string]func(string) error {
	return map[string]func(string) error{
		"target":      func(w string) error { return new(compress.Options).AddTarget(w) },
		"require":     func(w string) error { _, err := verify.ParseBound(w); return err },
		"over":        checkResource,
		"budgets":     eachWord(func(w string) error { _, err := parseBudget(w); return err }),
		"methods":     eachWord(func(w string) error { _, err := compress.MethodTextNamed(w); return err }),
		"search":      func(w string) error { return compress.Options{Search: w}.CheckSearch() },
		"effort":      func(w string) error { return compress.Options{Effort: decomp.Effort(w)}.CheckEffort() },
		"for":         func(w string) error { return compress.Options{For: compress.Purpose(w)}.CheckPurpose() },
		"input-shape": func(w string) error { _, _, err := inputShape(w); return err },
		"memory":      func(w string) error { _, err := byteSize(w); return err },
		"max-shrink":  func(w string) error { _, err := parseShare("max-shrink", w); return err },
		"tolerance":   func(w string) error { _, err := parseShare("tolerance", w); return err },
		"normalize":   func(w string) error { return new(samples.SourceOptions).Normalize(w) },
		"resize":      func(w string) error { _, err := samples.ParseResize(w); return err },
		"crop":        func(w string) error { _, err := samples.ParseSize(w); return err },
		"mean":        func(w string) error { _, err := samples.ParseNumbers(w); return err },
		"std":         func(w string) error { _, err := samples.ParseNumbers(w); return err },
		"layout":      func(w string) error { _, err := samples.ParseLayout(w); return err },
		"order":       func(w string) error { _, err := samples.ParseOrder(w); return err },
		"augment":     func(w string) error { _, err := samples.ParseAugment(w); return err },
		"loss":        func(w string) error { _, name, _ := cutLast(w); _, err := tune.ParseLoss(name); return err },
		"weight":      func(w string) error { _, _, err := outputWeight(w); return err },
		"kind":        func(w string) error { _, _, err := outputKind(w); return err },
		"optimizer":   func(w string) error { _, err := tune.ParseOptimizer(w); return err },
		"only":        func(w string) error { _, err := tune.ParsePart(w); return err },
		"clip":        func(w string) error { _, err := numberOrNone(w, mostClip); return err },
		"log":         new(logFormat).Set,
		"average":     func(w string) error { _, err := numberOrNone(w, mostAverage); return err },
	}
}

// eachWord checks the words of a list by comma.
func eachWord(check func(string) error) func(string) error {
	return func(list string) error {
		for word := range strings.SplitSeq(list, ",") {
			if err := check(strings.TrimSpace(word)); err != nil {
				return err
			}
		}
		return nil
	}
}

// checkCount refuses counts that a flag does not take.
func checkCount(name, word string) error {
	least := 1
	if slices.Contains([]string{"probes", "patience"}, name) { // where 0 is none
		least = 0
	}
	if n, err := strconv.Atoi(word); err != nil || n < least {
		return fmt.Errorf("want a whole number from %d", least)
	}
	return nil
}

// checkNumber refuses numbers that a flag does not take.
func checkNumber(name, word string) error {
	v, err := strconv.ParseFloat(word, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Errorf("want a finite number")
	}
	if r, ok := ranges()[name]; ok && !r.has(v) {
		return fmt.Errorf("want a positive number of at most %g", r.most)
	}
	return nil
}
