package main

import (
	"context"
	"embed"
	"fmt"
	"io"
	"runtime/debug"
)

//go:embed help/*.txt
var helpTexts embed.FS

// writeHelp prints the text of a command.
func writeHelp(w io.Writer, name string) error {
	text, err := helpTexts.ReadFile("help/" + name + ".txt")
	if err != nil {
		return usagef("no help on %q%s", name, commandWord(name))
	}
	_, err = w.Write(text)
	return err
}

func runHelp(_ context.Context, args []string, s streams) error {
	rest, err := parse(newFlags("help"), args, s)
	switch {
	case err != nil:
		return err
	case len(rest) == 0:
		return writeHelp(s.out, "help")
	case len(rest) > 1:
		return usagef("%d commands were named (%q); want one", len(rest), rest)
	}
	return writeHelp(s.out, rest[0])
}

func runVersion(_ context.Context, args []string, s streams) error {
	rest, err := parse(newFlags("version"), args, s)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return usagef("version takes no arguments, got %q", rest)
	}
	_, err = fmt.Fprintln(s.out, "onnx-compress", version())
	return err
}

// version is the module's version as the Go toolchain recorded it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
