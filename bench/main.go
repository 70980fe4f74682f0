//go:build unix

// Command bench measures onnx-compress on trained models and real data, and
// records what it finds, each figure with its command, in bench/RESULTS.md.
//
//	go run ./bench -data DIR [-python PYTHON] [-only SECTION,...]
//
// DIR holds models/ and data/ with the files that the sections name, and minilm/ and smollm2/, which
// bench/minilm.sh and bench/smollm2.sh make. A section that was measured replaces the one recorded before, and says
// when, and with which version of the program; the others stay as they are, those too that lack what they need.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// section is one part of the results.
type section struct {
	name, title string
	run         func(b *bench) error
}

// bench is what the sections share.
type bench struct {
	ctx     context.Context
	out     io.Writer // the section that is being measured
	tool    string    // the built binary
	version string    // its commit
	day     string
	data    string
	work    string // a scratch folder
	python  string // an interpreter with requirements/bench.txt, empty when absent
	runs    int
}

const defaultRuns = 3

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	data := flag.String("data", "", "folder with models/ and data/")
	only := flag.String("only", "", "names of sections, with commas between them (default all)")
	python := flag.String("python", "", "interpreter that has the other runtimes")
	runs := flag.Int("runs", defaultRuns, "how often a timed command runs")
	flag.Parse()
	if *data == "" {
		return fmt.Errorf("-data is missing: the folder with models/ and data/")
	}
	chosen, err := named(*only)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	work, err := os.MkdirTemp("", "onnx-compress-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	b := &bench{
		ctx: ctx, tool: filepath.Join(work, "onnx-compress"), day: time.Now().UTC().Format(time.DateOnly),
		data: *data, work: work, python: *python, runs: max(1, *runs),
	}
	if text, err := exec.CommandContext(ctx, "go", "build", "-o", b.tool, "./cmd/onnx-compress").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, text)
	}
	if b.version, err = version(b.tool); err != nil {
		return err
	}
	return b.all(chosen)
}

// named finds the sections that -only names.
func named(only string) ([]section, error) {
	all := sections()
	if only == "" {
		return all, nil
	}
	var out []section
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(all, func(s section) bool { return s.name == name })
		if i < 0 {
			var names []string
			for _, s := range all {
				names = append(names, s.name)
			}
			return nil, fmt.Errorf("-only: there is no section %q; there are %s", name, strings.Join(names, ", "))
		}
		out = append(out, all[i])
	}
	return out, nil
}

// all runs the sections that were asked for, those behind one that failed too, and records each as soon as it is measured.
func (b *bench) all(chosen []section) error {
	var failed []error
	for _, s := range chosen {
		fmt.Fprintln(os.Stderr, "bench:", s.name)
		text := new(strings.Builder)
		b.out = text
		err := s.run(b)
		switch {
		case errors.Is(err, errLeftOut):
			b.note("%v", err)
			continue
		case err == nil || errors.Is(err, errUnmet):
			err = errors.Join(err, b.record(s, text.String()))
		case text.Len() > 0:
			fmt.Printf("Not recorded, as the section came to no end:\n\n%s\n", text)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", s.name, err))
			fmt.Fprintln(os.Stderr, "bench:", failed[len(failed)-1])
		}
		if b.ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

func (b *bench) printf(format string, args ...any) { fmt.Fprintf(b.out, format, args...) }

// model and sample name the files of the data folder.
func (b *bench) model(name string) string  { return filepath.Join(b.data, "models", name) }
func (b *bench) sample(name string) string { return filepath.Join(b.data, "data", name) }

// command writes args as a reader would type them.
func (b *bench) command(args ...string) string {
	line := "onnx-compress " + strings.Join(args, " ")
	return strings.NewReplacer(b.data, "DIR", b.work+string(filepath.Separator), "").Replace(line)
}

// machine says what the numbers were taken on.
func machine() string {
	cpu := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`model name\s*:\s*(.+)`).FindSubmatch(text); m != nil {
			cpu = string(m[1])
		}
	}
	return fmt.Sprintf("%s, %d cores, %s/%s, %s", cpu, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}
