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
	if len(args) == 0 {
		return writeHelp(s.out, "help")
	}
	return writeHelp(s.out, args[0])
}

func runVersion(_ context.Context, _ []string, s streams) error {
	_, err := fmt.Fprintln(s.out, "onnx-compress", version())
	return err
}

// version is the module's version as the Go toolchain recorded it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
