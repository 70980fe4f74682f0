//go:build unix

// Command bench measures onnx-compress on trained models and real data, and
// writes what it finds, each figure with its command, as Markdown.
//
//	go run ./bench -data DIR [-only SECTION] > bench/RESULTS.md
//
// DIR holds models/ and data/ with the files that the sections name, and minilm/, which
// bench/minilm.sh makes. What a section needs and does not find is said in its place.
package main

import (
	"bufio"
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
	"strings"
)

// section is one part of the results.
type section struct {
	name, title string
	run         func(b *bench) error
}

// bench is what the sections share.
type bench struct {
	ctx    context.Context
	out    io.Writer
	tool   string // the built binary
	data   string
	work   string // a scratch folder
	python string // an interpreter with requirements/bench.txt, empty when absent
	runs   int
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	data := flag.String("data", "", "folder with models/ and data/")
	only := flag.String("only", "", "regular expression: run only the sections whose names match")
	python := flag.String("python", "", "interpreter that has the other runtimes")
	runs := flag.Int("runs", 3, "how often a timed command runs")
	flag.Parse()
	if *data == "" {
		return fmt.Errorf("-data is missing: the folder with models/ and data/")
	}
	pattern, err := regexp.Compile(*only)
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
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	b := &bench{ctx: ctx, out: out, tool: filepath.Join(work, "onnx-compress"), data: *data, work: work, python: *python, runs: max(1, *runs)}
	if text, err := exec.CommandContext(ctx, "go", "build", "-o", b.tool, "./cmd/onnx-compress").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, text)
	}
	return b.all(pattern)
}

// all runs the sections that were asked for, those behind one that failed too.
func (b *bench) all(pattern *regexp.Regexp) error {
	b.printf("# Results\n\nWritten by `go run ./bench -data DIR -python PYTHON` (`make bench`). Every figure stands under the command that gave it, `DIR` being the folder of models and data.\n")
	b.printf("\nMachine: %s. Times are of whole processes, medians of %d runs; other work shared the machine, so read ratios.\n", machine(), b.runs)
	var failed []error
	for _, s := range sections() {
		if !pattern.MatchString(s.name) {
			continue
		}
		fmt.Fprintln(os.Stderr, "bench:", s.name)
		b.printf("\n## %s\n\n", s.title)
		if err := s.run(b); err != nil {
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
