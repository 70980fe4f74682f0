package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Models run in C++ code that can take the process with it: by a division by zero, by memory that is not there. So a
// command that may run one does its work in a second process, the worker, and the first, which loads no
// library, has words for its death. Between the two is a pipe, the worker's standard input: a byte asks it to
// break off, as an interrupt does, and its end says that the first process is gone.

// envWorker is the variable that holds, for a worker, the process that it works for.
const envWorker = "ONNX_COMPRESS_WORKER"

// workerCodes is added to a worker's exit codes, so that none of them is one that the Go runtime, or C code that calls exit, ends
// a process with.
const workerCodes = 100

// grace is how long a worker has to break off when the process that it works for was killed.
const grace = 2 * time.Second

// isWorker tells whether this process works for another one.
func isWorker() bool { return os.Getenv(envWorker) == strconv.Itoa(os.Getppid()) }

// workerOf is the annotation of a command that loads libraries, though it runs no model.
const workerOf = "worker"

// runsModels tells whether the command may load ONNX Runtime, or another library, and what the command line says of the lines on standard error.
func runsModels(args []string) (bool, *logFormat) {
	format := new(logFormat)
	root := newRoot(streams{out: io.Discard, err: io.Discard, log: format})
	cmd, rest, err := root.Find(withDefault(root, args))
	if err != nil {
		return false, format
	}
	_ = cmd.ParseFlags(rest) // which the command refuses
	return cmd.Flags().Lookup("ort") != nil || cmd.Annotations[workerOf] != "", format
}

// interrupts are the signals that break work off. SIGHUP is not, where nohup had it ignored.
func interrupts() []os.Signal {
	out := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		out = append(out, syscall.SIGHUP)
	}
	return out
}

// What glibc's allocator goes by.
const (
	envArenas    = "MALLOC_ARENA_MAX"       // how many heaps there may be side by side
	envThreshold = "MALLOC_MMAP_THRESHOLD_" // from how many bytes on a value is a map of its own
)

// mapped is the threshold that glibc begins with. It raises that by itself, up to 32 MiB, where values come and go.
const mapped = 128 << 10

// environment is the worker's, with settings for the runtime's values where the user has none: few heaps, since eight for each
// processor, the default, keep what was freed in them, up to 64 MiB each; and maps for the large ones, which leave nothing behind.
func environment(own []string, processors int) []string {
	out := slices.Clone(own)
	for _, set := range []struct {
		name  string
		value int
	}{{envArenas, max(2, processors/4)}, {envThreshold, mapped}} {
		if !slices.ContainsFunc(own, func(v string) bool { return strings.HasPrefix(v, set.name+"=") }) {
			out = append(out, fmt.Sprintf("%s=%d", set.name, set.value))
		}
	}
	return out
}

// supervise has the command done by a worker, and returns its exit code.
func supervise(args []string, s streams) int {
	fail := func(err error) int {
		return exitCode(fmt.Errorf("starting a process for the work: %w", err), "", s)
	}
	program, err := os.Executable()
	if err != nil {
		return fail(err)
	}
	worker := exec.Command(program, args...)
	worker.Args[0] = os.Args[0]
	worker.Env = append(environment(os.Environ(), runtime.NumCPU()), envWorker+"="+strconv.Itoa(os.Getpid()))
	worker.Stdout = os.Stdout
	said := captureErrors(worker)
	tell, err := worker.StdinPipe()
	if err != nil {
		return fail(err)
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, interrupts()...)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGQUIT) // the worker's stacks are wanted, and it dies of it
	if err := worker.Start(); err != nil {
		return fail(err)
	}
	go func() {
		<-asked
		signal.Stop(asked) // so that a second one ends this process, and with it the worker, at once
		_, _ = tell.Write([]byte{1})
	}()
	err = worker.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return exitCode(err, "", s)
	}
	if code := worker.ProcessState.ExitCode() - workerCodes; code >= 0 {
		_, _ = s.err.Write(said.text) // what libraries had to say
		return code
	}
	return epitaph(worker.ProcessState, said.text, s)
}

// work is the worker's side of supervise.
func work(args []string, stdout io.Writer) int {
	_ = os.Unsetenv(envWorker)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	// A signal from a terminal reaches both processes, so that here the second is no other than the first.
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, interrupts()...)
	go func() {
		for range asked {
			cancel()
		}
	}()
	go func() {
		if _, err := os.Stdin.Read(make([]byte, 1)); err == nil {
			cancel()
			_, _ = os.Stdin.Read(make([]byte, 1))
			os.Exit(workerCodes + exitInterrupted)
		}
		cancel()
		time.Sleep(grace)
		os.Exit(workerCodes + exitInterrupted)
	}()
	return workerCodes + execute(ctx, args, streams{out: stdout, err: workerErrors()})
}

// head keeps the first of what is written to it.
type head struct{ text []byte }

func (h *head) Write(p []byte) (int, error) {
	const most = 1 << 20
	h.text = append(h.text, p[:min(len(p), most-len(h.text))]...)
	return len(p), nil
}
