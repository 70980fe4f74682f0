package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/signal"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/quote"
)

// The exit codes, as help and docs promise them.
const (
	exitDone    = 0 // the job is done
	exitFailed  = 1 // something went wrong; nothing was written
	exitUsage   = 2 // the command line makes no sense
	exitUnmet   = 3 // a target cannot be met; nothing was written
	exitStale   = 4 // a compressed model does not fit what it was made from
	exitBound   = 5 // a comparison does not keep a bound, or a model could be smaller
	exitDamage  = 6 // random inputs show that a data-free result is destroyed; nothing was written
	exitCrashed = 7 // the process that did the work died
	// exitInterrupted says that a signal broke the work off; nothing was written, or what is whole, which is said.
	exitInterrupted = 8
)

// streams are where a command says what it has to say.
type streams struct {
	out, err io.Writer
	// screen is err as it came, for what moves about on a terminal.
	screen io.Writer
	// log says what lines on err look like; commands declare it as a flag.
	log *logFormat
	// watch, when set, is told of the progress, in place of a terminal.
	watch func(stage string, done, total int)
}

// progress returns what shows progress to people, and what ends that.
func (s streams) progress(quiet bool) (update func(stage string, done, total int), end func()) {
	if s.watch != nil {
		return s.watch, func() {}
	}
	w, format := s.screen, logFormat("")
	if s.log != nil {
		format = *s.log
	}
	if format == logJSON {
		w = s.err
	}
	p := newShower(w, format, quiet)
	return p.update, p.close
}

// working is what work gives that is done in an environment, of whose progress people are told meanwhile.
func working[T any](s streams, o compress.EnvironmentOptions, quiet bool, work func(*compress.Environment) (T, error)) (result T, err error) {
	update, done := s.progress(quiet)
	o.Progress = update
	env, err := compress.Open(o)
	if err != nil {
		return result, err
	}
	defer env.Close()
	defer done()
	return work(env)
}

// run is the program in one process.
func run(args []string, s streams) int {
	ctx, stop := signal.NotifyContext(context.Background(), interrupts()...)
	defer stop()
	context.AfterFunc(ctx, stop) // so that a second Ctrl-C ends the program at once
	return execute(ctx, args, s)
}

// execute does what a command line says: it alone turns errors into exit codes.
func execute(ctx context.Context, args []string, s streams) int {
	out := &output{to: &quote.Writer{To: s.out}}
	s.out, s.err, s.screen, s.log = out, &quote.Writer{To: s.err}, s.err, new(logFormat)
	root := newRoot(s)
	tellCompletions(root, args)
	root.SetArgs(withDefault(root, args))
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		err = out.err
	}
	return exitCode(err, strings.TrimPrefix(cmd.CommandPath(), root.Name()+" "), s)
}

// output keeps its first error, as help has no way to return one.
type output struct {
	to  io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.to.Write(p)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// errDone ends a command that has nothing more to do, which is no failure.
var errDone = errors.New("done")

// verdict ends a command, whose work is done or broken off, with a code of its own.
type verdict struct {
	code int
	said string
}

func (v *verdict) Error() string { return v.said }

// usagef makes an error of the command line.
func usagef(format string, args ...any) error {
	return &compress.UsageError{Err: fmt.Errorf(format, args...)}
}

// exitCode reports an error to a person and judges it.
func exitCode(err error, name string, s streams) int {
	say := func(code int, more string) int { return s.fails(code, withFlags(err.Error()), more) }
	decided, final := errors.AsType[*verdict](err)
	switch {
	case err == nil, errors.Is(err, errDone):
		return exitDone
	case final:
		return say(decided.code, "")
	case errors.Is(err, context.Canceled):
		err = errors.New("interrupted")
		if name == "compress" || name == "explore" || name == "tune" || strings.HasPrefix(name, "shard ") {
			err = errors.New("interrupted; nothing was written")
		}
		return say(exitInterrupted, "")
	case is[*compress.UsageError](err):
		return say(exitUsage, fmt.Sprintf("see `onnx-compress help %s`\n", name))
	case is[*compress.UnmetError](err), is[*compress.UnmetGoalError](err), is[*compress.LateError](err), is[*compress.PlanError](err):
		return say(exitUnmet, "nothing was written\n")
	case is[*compress.DamageError](err):
		return say(exitDamage, "nothing was written\n")
	case errors.Is(err, fs.ErrExist):
		err = fmt.Errorf("%w (--force)", err)
	}
	return say(exitFailed, "")
}

// is tells whether an error is of a type, or wraps one that is.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
