package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"syscall"
)

var (
	// fatalSignal finds the signal in what the Go runtime says of a crash.
	fatalSignal = regexp.MustCompile(`\bSIG[A-Z]{2,5}\b`)
	// outsideGo is how it says that no Go code was at fault, which panics.
	outsideGo = regexp.MustCompile(`(?m)^(SIG[A-Z]+: |terminate called|.*signal arrived during cgo execution)`)
)

// epitaph says of what a worker died, from how it ended and what it said last, and returns the code for it.
func epitaph(state *os.ProcessState, said []byte, stderr io.Writer) int {
	switch sig := killedBy(state); sig {
	case 0:
	case syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP: // before it could ask for them
		fmt.Fprintln(stderr, "onnx-compress: interrupted; nothing was written")
		return exitFailed
	case syscall.SIGPIPE: // nobody reads the output any more, which needs no words
		return 128 + int(sig)
	case syscall.SIGKILL:
		return crashed(stderr, "the process was killed (SIGKILL), most likely because memory ran out; "+lessMemory)
	default:
		return crashed(stderr, foreign(signalName(sig)))
	}
	switch name := string(fatalSignal.Find(said)); {
	case bytes.Contains(said, []byte("SIGQUIT: quit")):
		_, _ = stderr.Write(said)
		return crashed(stderr, "ended by SIGQUIT")
	case bytes.Contains(said, []byte("out of memory")), bytes.Contains(said, []byte("std::bad_alloc")), bytes.Contains(said, []byte("cannot allocate memory")):
		return crashed(stderr, "memory ran out; "+lessMemory)
	case name == "SIGBUS":
		return crashed(stderr, "a file that was being read became shorter, or its disk failed (SIGBUS); see that nothing writes to the model and its data meanwhile")
	case outsideGo.Match(said):
		return crashed(stderr, foreign(name))
	case len(said) == 0:
		return crashed(stderr, foreign(fmt.Sprintf("exit status %#x", state.ExitCode())))
	}
	_, _ = stderr.Write(said)
	return crashed(stderr, "internal error; please report it, with the lines above")
}

const lessMemory = "try a smaller --batch, --threads or --memory, or a machine with more of it"

// foreign says that a library crashed.
func foreign(how string) string {
	if how != "" {
		how = " (" + how + ")"
	}
	return "a library crashed" + how + ": most likely ONNX Runtime, on a model that it cannot run; " +
		"see whether it runs the model by itself, and whether another release does (--ort, `onnx-compress setup`)"
}

// crashed reports a crash to a person.
func crashed(stderr io.Writer, what string) int {
	fmt.Fprintf(stderr, "onnx-compress: %s\nnothing was written, unless it was said before\n", what)
	return exitCrashed
}
