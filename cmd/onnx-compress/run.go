package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/suggest"
)

// The exit codes, as help and docs promise them.
const (
	exitDone   = 0 // the job is done
	exitFailed = 1 // something went wrong; nothing was written
	exitUsage  = 2 // the command line makes no sense
	exitUnmet  = 3 // a target cannot be met; nothing was written
	exitStale  = 4 // a compressed model does not fit what it was made from
	exitBound  = 5 // a comparison does not keep a bound, or a model could be smaller
)

// streams are where a command says what it has to say.
type streams struct {
	out, err io.Writer
	// watch, when set, is told of the progress, in place of a terminal.
	watch func(stage string, done, total int)
	// declare, when set, is told a command's flags in place of running it.
	declare func(*pflag.FlagSet)
}

// progress returns what shows progress to people, and what ends that.
func (s streams) progress(quiet bool) (update func(stage string, done, total int), end func()) {
	if s.watch != nil {
		return s.watch, func() {}
	}
	b := newBars(s.err, quiet)
	return b.update, b.close
}

// open opens what work is done with, and tells people of its progress until end.
func (s streams) open(o compress.EnvironmentOptions, quiet bool) (env *compress.Environment, end func(), err error) {
	update, done := s.progress(quiet)
	o.Progress = update
	if env, err = compress.Open(o); err != nil {
		return nil, nil, err
	}
	return env, func() { done(); env.Close() }, nil
}

// command is one subcommand. run gets the arguments behind its name.
type command struct {
	name string
	run  func(ctx context.Context, args []string, s streams) error
}

// commands lists the subcommands in the order of the help text.
func commands() []command {
	return []command{
		{"compress", runCompress},
		{"explore", runExplore},
		{"inspect", runInspect},
		{"tune", runTune},
		{"report", runReport},
		{"verify", runVerify},
		{"status", runStatus},
		{"check", runCheck},
		{"convert", runConvert},
		{"methods", runMethods},
		{"setup", runSetup},
		{"doctor", runDoctor},
		{"config", runConfig},
		{"completion", runCompletion},
		{"man", runMan},
		{"help", runHelp},
		{"version", runVersion},
	}
}

// run is the program: it alone turns errors into exit codes.
func run(args []string, s streams) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // so that a second Ctrl-C ends the program at once
	cmd, rest := dispatch(args)
	return exitCode(cmd.run(ctx, rest, s), cmd.name, s.err)
}

// dispatch finds the subcommand; without one the job is to compress.
func dispatch(args []string) (command, []string) {
	all := commands()
	if len(args) == 0 {
		return byName(all, "help"), nil
	}
	switch args[0] {
	case "-h", "--help":
		return byName(all, "help"), args[1:]
	case "--version":
		return byName(all, "version"), args[1:]
	}
	for _, c := range all {
		if c.name == args[0] {
			return c, args[1:]
		}
	}
	return all[0], args
}

func byName(all []command, name string) command {
	for _, c := range all {
		if c.name == name {
			return c
		}
	}
	return all[0]
}

// errHelp asks for a command's help text, which is no failure.
var errHelp = errors.New("help wanted")

// usagef makes an error of the command line.
func usagef(format string, args ...any) error {
	return &compress.UsageError{Err: fmt.Errorf(format, args...)}
}

// exitCode reports an error to a person and judges it.
func exitCode(err error, name string, stderr io.Writer) int {
	var usage *compress.UsageError
	var unmet *compress.UnmetError
	var goal *compress.UnmetGoalError
	var plan *compress.PlanError
	var stale *staleError
	var bound *boundError
	var interrupted *interruptedError
	var shrink *shrinkError
	switch {
	case err == nil, errors.Is(err, errHelp):
		return exitDone
	case errors.As(err, &interrupted):
		fmt.Fprintf(stderr, "onnx-compress: %v\n", err)
		return exitFailed
	case errors.Is(err, context.Canceled):
		said := "interrupted"
		if name == "compress" || name == "explore" || name == "tune" {
			said += "; nothing was written"
		}
		fmt.Fprintf(stderr, "onnx-compress: %s\n", said)
		return exitFailed
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "onnx-compress: %v\nsee `onnx-compress help %s`\n", flagged(err.Error()), name)
		return exitUsage
	case errors.As(err, &unmet), errors.As(err, &goal), errors.As(err, &plan):
		fmt.Fprintf(stderr, "onnx-compress: %v\nnothing was written\n", flagged(err.Error()))
		return exitUnmet
	case errors.As(err, &stale):
		fmt.Fprintf(stderr, "onnx-compress: %v\n", err)
		return exitStale
	case errors.As(err, &bound), errors.As(err, &shrink):
		fmt.Fprintf(stderr, "onnx-compress: %v\n", err)
		return exitBound
	}
	fmt.Fprintf(stderr, "onnx-compress: %v\n", flagged(err.Error()))
	return exitFailed
}

// commandWord says what to call a stray word that is neither a file nor a
// command.
func commandWord(word string) string {
	var names []string
	for _, c := range commands() {
		names = append(names, c.name)
	}
	if strings.ContainsAny(word, "./\\") {
		return ""
	}
	return suggest.Phrase(word, names)
}
