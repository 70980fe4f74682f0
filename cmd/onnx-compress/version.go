package main

import (
	"bufio"
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersion(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version, and those of the libraries found",
		Long: `Prints the version, and behind it the platform and the libraries found.
"onnx-compress doctor" says more of these.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			d, w := diagnose(""), bufio.NewWriter(s.out) // which keeps the first error
			fmt.Fprintf(w, "onnx-compress %s\n%s, %s\n", d.Version, d.Platform, runtime.Version())
			for _, l := range d.Libraries {
				if l.Fault != "" {
					fmt.Fprintf(w, "%s: none that can be used\n", l.Name)
				} else {
					fmt.Fprintf(w, "%s %s, %s\n", l.Name, cmp.Or(l.Version, "of unknown version"), l.Path)
				}
			}
			return w.Flush()
		},
	}
}

// version is the module's version as the Go toolchain recorded it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
