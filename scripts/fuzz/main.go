// Command fuzz runs every fuzz target of the packages named, all of the module's by default, and prints what each reached.
//
//	go run ./scripts/fuzz -time 20s
//
// Targets are found in the sources, so none can be forgotten. Each runs with one worker, several targets side by side. An
// interesting input is tried once to be made smaller: by default Go spends most of the time on that where inputs are whole
// models.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"
)

func main() {
	span := flag.Duration("time", 20*time.Second, "how long each target runs")
	jobs := flag.Int("jobs", runtime.NumCPU(), "how many targets run side by side")
	only := flag.String("run", ".", "the targets to run: a regular expression")
	list := flag.Bool("list", false, "print the targets, and run none")
	flag.Parse()
	packages := flag.Args()
	if len(packages) == 0 {
		packages = []string{"./..."}
	}
	targets, err := find(packages, *only)
	switch {
	case err != nil:
	case *list:
		for _, t := range targets {
			fmt.Println(t.pkg, t.name)
		}
	default:
		err = runAll(targets, *span, *jobs)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

// target is one fuzz target of a package.
type target struct{ pkg, name string }

var declared = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(\w+ \*testing\.F\)`)

// find lists the targets of packages whose names match a regular expression.
func find(packages []string, only string) ([]target, error) {
	match, err := regexp.Compile(only)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,TestGoFiles,XTestGoFiles"}, packages...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("listing the packages: %w", err)
	}
	var targets []target
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath, Dir           string
			TestGoFiles, XTestGoFiles []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("listing the packages: %w", err)
		}
		for _, file := range slices.Concat(p.TestGoFiles, p.XTestGoFiles) {
			source, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				return nil, err
			}
			for _, m := range declared.FindAllSubmatch(source, -1) {
				if name := string(m[1]); match.MatchString(name) {
					targets = append(targets, target{p.ImportPath, name})
				}
			}
		}
	}
	if len(targets) == 0 {
		return nil, fmt.Errorf("no fuzz target matches %q", only)
	}
	return targets, nil
}

// runAll runs targets, jobs at a time, and prints a line for each when it is done.
func runAll(targets []target, span time.Duration, jobs int) error {
	var (
		wait   sync.WaitGroup
		print  sync.Mutex
		failed int
		places = make(chan struct{}, max(jobs, 1))
	)
	for _, t := range targets {
		places <- struct{}{}
		wait.Go(func() {
			defer func() { <-places }()
			out, busy, err := t.run(span)
			print.Lock()
			defer print.Unlock()
			fmt.Printf("%-24s %-28s %s %4.0f CPU s\n", t.name, filepath.Base(t.pkg), reached(out), busy.Seconds())
			if err != nil {
				failed++
				fmt.Printf("%s\n%s %s: %v\n", out, t.pkg, t.name, err)
			}
		})
	}
	wait.Wait()
	if failed > 0 {
		return fmt.Errorf("%d of %d targets failed; the inputs lie in testdata/fuzz of their packages", failed, len(targets))
	}
	fmt.Printf("%d targets, no failure\n", len(targets))
	return nil
}

// brief runs begin with the inputs in testdata alone: to try first what earlier ones on this machine have kept would take all
// of their time.
const brief = time.Minute

// run fuzzes and returns what Go printed and the time of processors that it took, compiling among it.
func (t target) run(span time.Duration) ([]byte, time.Duration, error) {
	args := []string{
		"test", t.pkg, "-run", "^$", "-fuzz", "^" + t.name + "$", "-fuzztime", span.String(), "-fuzzminimizetime", "1x", "-parallel", "1",
	}
	if span < brief {
		empty, err := os.MkdirTemp("", "fuzz-")
		if err != nil {
			return nil, 0, err
		}
		defer os.RemoveAll(empty)
		args = append(args, "-args", "-test.fuzzcachedir="+empty)
	}
	cmd := exec.Command("go", args...)
	out, err := cmd.CombinedOutput()
	var busy time.Duration
	if s := cmd.ProcessState; s != nil {
		busy = s.UserTime() + s.SystemTime()
	}
	if err != nil && bytes.Contains(out, []byte("context deadline exceeded")) && !bytes.Contains(out, []byte("Failing input")) {
		return out, busy, nil // Go says so where the time ends while an input is being sent to the worker
	}
	return out, busy, err
}

var progress = regexp.MustCompile(`elapsed: (\w+), execs: (\d+) .*total: (\d+)`)

// reached sums up the last line of progress that Go printed.
func reached(out []byte) string {
	lines := progress.FindAllSubmatch(out, -1)
	if len(lines) == 0 {
		return "no executions"
	}
	last := lines[len(lines)-1]
	took, _ := time.ParseDuration(string(last[1]))
	execs, _ := strconv.Atoi(string(last[2]))
	rate := float64(execs) / cmp.Or(took.Seconds(), 1)
	return fmt.Sprintf("%4.0f s %9d executions %8.0f/s %5s inputs kept", took.Seconds(), execs, rate, last[3])
}
