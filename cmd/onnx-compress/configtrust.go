package main

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/spf13/pflag"
)

// A configuration that is merely found in the current folder came with the folder, and is not by whoever runs the program there.
// It may say what is computed. What is loaded into the process, written or replaced, it may not say, no path that leaves the folder,
// and nothing that makes a gate of the command line easier to pass. One that --config names may say everything.

// onlyByHand are the flags that a found configuration cannot set: what is loaded, run and written.
var onlyByHand = []string{
	"ort", "int8", "output", "also", "report", "json", "plan", "stats", "checkpoint", "force",
	"models", "picture", "junit", "markdown", "fail-on-write", "resume",
}

// insideOnly are those whose value is a path to read, which has to stay in the folder.
var insideOnly = []string{"calib", "data", "labels", "from-plan", "source", "tune-data", "compressed", "costs", "profile", "layers", "through"}

// gates are for every command the flags that say what must hold, and those that make it easier.
var gates = map[string]struct{ must, ease []string }{
	"verify":   {[]string{"require"}, []string{"samples", "classes", "weight", "kind", "through"}},
	"check":    {[]string{"max-shrink", "tolerance", "calib", "target"}, []string{"any-data", "max-shrink", "tolerance", "only", "keep", "methods", "effort", "rank-multiple", "for", "classes", "weight", "kind", "through"}},
	"status":   {[]string{"calib", "source", "target"}, []string{"any-data"}},
	"compress": {[]string{"target"}, []string{"verify-samples", "accept-damage", "classes", "weight", "kind", "through"}},
	"convert":  {[]string{"target"}, []string{"verify-samples", "accept-damage", "classes", "weight", "kind", "through"}},
}

// byHand is what to do about a value that a found configuration cannot set.
const byHand = "; with --config " + configName + " the file may say it, with --no-config it is not read"

// admits says why a found configuration may not set a flag to these words, nil where it may. asked are the flags of the command
// line.
func admits(command, flag string, words, asked []string) error {
	if slices.Contains(onlyByHand, flag) {
		return errors.New(flag + " is not for a configuration that is merely found in the current folder" + byHand)
	}
	if slices.Contains(insideOnly, flag) {
		for _, word := range words {
			if !inside(word) {
				return errors.New(flag + " " + word + " leads out of the folder, where a configuration that is merely found has no say" + byHand)
			}
		}
	}
	gate := gates[command]
	if slices.Contains(gate.ease, flag) {
		for _, must := range gate.must {
			if slices.Contains(asked, must) {
				return errors.New(flag + " would ease what --" + must + " asks for on the command line, in a configuration that is merely found" + byHand)
			}
		}
	}
	return nil
}

// inside tells whether a path stays in the current folder, links followed.
func inside(path string) bool {
	if !filepath.IsLocal(path) {
		return path == ""
	}
	here, err := filepath.EvalSymlinks(".")
	if err != nil {
		return false
	}
	leads, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true // what is not there leads nowhere, and whoever reads it says so
	}
	if err != nil {
		return false
	}
	from, errFrom := filepath.Abs(here)
	to, errTo := filepath.Abs(leads)
	rel, err := filepath.Rel(from, to)
	return errFrom == nil && errTo == nil && err == nil && filepath.IsLocal(rel)
}

// asked lists the flags that stand on the command line.
func asked(f *pflag.FlagSet) []string {
	return flagNames(slices.DeleteFunc(flagsOf(f), func(flag *pflag.Flag) bool { return !flag.Changed }))
}
