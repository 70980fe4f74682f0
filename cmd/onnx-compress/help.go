package main

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Help is as wide as terminals of 80 columns; the texts of flags begin in one column.
const (
	helpWidth  = 80
	helpColumn = 26
)

// The annotations of a command.
const (
	notesOf = "notes" // what help says behind the flags
	orderOf = "order" // the names of its commands, in the order of help
)

func newHelp(root *cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "explain a command: onnx-compress help compress",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return root.Help()
			}
			at := root
			for i, word := range args {
				next := slices.IndexFunc(at.Commands(), func(c *cobra.Command) bool { return c.Name() == word })
				switch {
				case next < 0 && i == 0:
					return usagef("no help on %q%s", word, meant(root, word))
				case next < 0:
					return usagef("%d commands were named (%q); want one", len(args), args)
				}
				at = at.Commands()[next]
			}
			return at.Help()
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return each(inOrder(root), func(c *cobra.Command) string { return cobra.CompletionWithDesc(c.Name(), c.Short) }), cobra.ShellCompDirectiveNoFileComp
		},
	}
	cmd.SetHelpFunc(func(*cobra.Command, []string) { _ = root.Help() }) // which has no error; the output keeps it
	return cmd
}

// writeHelp explains a command: its use, examples, commands below it, and flags by heading.
func writeHelp(out io.Writer, cmd *cobra.Command) {
	w := bufio.NewWriter(out)
	defer w.Flush()
	fmt.Fprintf(w, "%s\n\n%s\n", cmd.UseLine(), strings.TrimSpace(cmd.Long))
	if cmd.HasExample() {
		fmt.Fprintf(w, "\nExamples:\n%s\n", strings.Trim(cmd.Example, "\n"))
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(w, "\nCommands:\n")
		for _, c := range inOrder(cmd) {
			fmt.Fprintf(w, "  %-10s %s\n", c.Name(), c.Short)
		}
	}
	writeFlags(w, cmd.Flags())
	if notes := cmd.Annotations[notesOf]; notes != "" {
		fmt.Fprintf(w, "\n%s\n", strings.Trim(notes, "\n"))
	}
}

// inOrder lists the commands below a command in the order of help, where it has one.
func inOrder(cmd *cobra.Command) []*cobra.Command {
	var out []*cobra.Command
	for _, name := range strings.Fields(cmd.Annotations[orderOf]) {
		for _, c := range cmd.Commands() {
			if c.Name() == name {
				out = append(out, c)
			}
		}
	}
	if out == nil {
		return cmd.Commands()
	}
	return out
}

// writeFlags lists flags by heading, in the order of their declaration.
func writeFlags(w io.Writer, flags *pflag.FlagSet) {
	heading := ""
	written := map[string]bool{}
	for _, flag := range flagsOf(flags) {
		row := annotation(flag, rowOf)
		if flag.Name == "help" || flag.Hidden || row != "" && written[row] {
			continue
		}
		written[row] = true
		if h := annotation(flag, headingOf); h != "" && h != heading {
			heading = h
			fmt.Fprintf(w, "\n%s:\n", heading)
		}
		if row == "" {
			writeEntry(w, []string{label(flag)}, flag.Usage)
			continue
		}
		var labels []string
		for _, other := range flagsOf(flags) {
			if annotation(other, rowOf) == row && annotation(other, headingOf) == heading {
				labels = append(labels, strings.TrimSpace(label(other)))
			}
		}
		if annotation(flag, firstOf) != "" {
			labels = labels[:1]
		}
		writeEntry(w, filled("      ", labels, ", "), row)
	}
}

// label is how a flag stands in help: its names and the name of its value.
func label(flag *pflag.Flag) string {
	out := "      --" + flag.Name
	if flag.Shorthand != "" {
		out = "  -" + flag.Shorthand + ", --" + flag.Name
	}
	switch value := annotation(flag, valueOf); {
	case value == "", strings.HasPrefix(value, "["):
		return out + value
	default:
		return out + " " + value
	}
}

// writeEntry writes flags and their text, which begins beside the last of them where there is room.
func writeEntry(w io.Writer, labels []string, text string) {
	indent := strings.Repeat(" ", helpColumn)
	for _, line := range labels[:len(labels)-1] {
		fmt.Fprintln(w, line)
	}
	last := labels[len(labels)-1]
	if len(last) < helpColumn {
		last += indent[len(last):]
	} else {
		last += "\n" + indent
	}
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, " ") {
			fmt.Fprintln(w, last+line)
			last = indent
			continue
		}
		for _, l := range filled("", strings.Fields(line), " ") {
			fmt.Fprintln(w, last+l)
			last = indent
		}
	}
}

// filled breaks words into lines that help has room for: beside the labels where there is no
// indent, else below them.
func filled(indent string, words []string, between string) []string {
	room := helpWidth - helpColumn
	if indent != "" {
		room = helpWidth
	}
	var out []string
	line := indent
	for i, word := range words {
		if i < len(words)-1 {
			word += strings.TrimRight(between, " ")
		}
		if line != indent && len([]rune(line))+1+len([]rune(word)) > room {
			out, line = append(out, line), indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	return append(out, line)
}
