//go:build unix

package main

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// large runs the program on models of real sizes, which bench/large.sh makes in DIR/large, and holds it to what is wanted of it. The
// variable LARGE names the runs to make, with spaces between them; without it all are. BEFORE is an older program to make them with too.
func (b *bench) large() error {
	rows, err := b.largeRows(b.tool)
	if err != nil {
		return err
	}
	b.printf("Seeded weights with a decaying spectrum in the shapes of networks that people have; seconds and peak memory as /usr/bin/time has them. Code 124 is that of a run that was stopped, 900 s after its begin or as LIMIT says.\n\n```\nbench/large.sh DIR/large onnx-compress\n```\n\n%s", rows)
	if before := os.Getenv("BEFORE"); before != "" {
		old, err := b.largeRows(before)
		if err != nil {
			return err
		}
		info, err := buildinfo.ReadFile(before)
		if err != nil {
			return err
		}
		b.printf("\nBefore, with onnx-compress %.7s:\n\n%s", setting(info, "vcs.revision"), old)
	}
	return withinLarge(rows)
}

// largeRows is the table that the script prints of a program.
func (b *bench) largeRows(program string) (string, error) {
	cmd := exec.CommandContext(b.ctx, "bench/large.sh", append([]string{filepath.Join(b.data, "large"), program}, strings.Fields(os.Getenv("LARGE"))...)...)
	if b.python != "" {
		cmd.Env = append(os.Environ(), "PY="+b.python)
	}
	cmd.Stderr = os.Stderr
	rows, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("bench/large.sh: %w", err)
	}
	return string(rows), nil
}

// largeBounds are the most seconds and MiB that are wanted of a run, 0 for no bound.
var largeBounds = map[string]struct{ seconds, mib float64 }{
	"resnet18":      {90, 1536},
	"resnet50":      {900, 3072},
	"vit-b16":       {600, 3072},
	"bert-base":     {360, 2560},
	"1g-inspect":    {1, 0},
	"3g-inspect":    {1, 0},
	"6g-inspect":    {1, 0},
	"1g":            {0, 2048},
	"3g":            {0, 2048},
	"6g":            {0, 2048},
	"1g-512m":       {0, 512},
	"1g-impossible": {2, 0},
	"3g-impossible": {2, 0},
	"6g-impossible": {2, 0},
}

// largeRow is a row of the table: name, command, seconds, CPU seconds, MiB, exit code.
var largeRow = regexp.MustCompile("(?m)^\\| ([a-z0-9-]+) \\| `[^`]*` \\| ([0-9.]+) \\| [0-9.]+ \\| ([0-9]+) \\| ([0-9]+) \\|$")

// withinLarge holds the rows against the bounds.
func withinLarge(rows string) error {
	for _, m := range largeRow.FindAllStringSubmatch(rows, -1) {
		seconds, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return err
		}
		mib, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			return err
		}
		most := largeBounds[m[1]]
		if most.seconds > 0 && seconds > most.seconds || most.mib > 0 && mib > most.mib {
			return unmet("%s took %.1f s and %.0f MiB; at most %.0f s and %.0f MiB are wanted of two idle cores, where 0 is no bound", m[1], seconds, mib, most.seconds, most.mib)
		}
	}
	return nil
}
