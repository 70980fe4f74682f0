package main

import (
	"bytes"
	"fmt"
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
func epitaph(state *os.ProcessState, said []byte, s streams) int {
	switch sig := killedBy(state); sig {
	case 0:
	case syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP: // before it could ask for them
		return s.fails(exitInterrupted, "interrupted; nothing was written", "")
	case syscall.SIGPIPE: // nobody reads the output any more, which needs no words
		return 128 + int(sig)
	case syscall.SIGKILL:
		return crashed(s, "the process was killed (SIGKILL), most likely because memory ran out; "+lessMemory)
	default:
		return crashed(s, foreign(signalName(sig)))
	}
	switch name := string(fatalSignal.Find(said)); {
	case bytes.Contains(said, []byte("SIGQUIT: quit")):
		_, _ = s.err.Write(said)
		return crashed(s, "ended by SIGQUIT")
	case bytes.Contains(said, []byte("out of memory")), bytes.Contains(said, []byte("std::bad_alloc")), bytes.Contains(said, []byte("cannot allocate memory")):
		return crashed(s, "memory ran out; "+lessMemory)
	case name == "SIGBUS":
		return crashed(s, "a file that was being read became shorter, or its disk failed (SIGBUS); see that nothing writes to the model and its data meanwhile")
	case outsideGo.Match(said):
		return crashed(s, foreign(name))
	case len(said) == 0:
		return crashed(s, foreign(fmt.Sprintf("exit status %#x", state.ExitCode())))
	}
	_, _ = s.err.Write(said)
	return crashed(s, "internal error; please report it, with the lines above")
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
func crashed(s streams, what string) int {
	return s.fails(exitCrashed, what, "nothing was written, unless it was said before\n")
}
