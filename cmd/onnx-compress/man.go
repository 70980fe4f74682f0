package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

func newMan() *cobra.Command {
	return &cobra.Command{
		Use:   "man FOLDER",
		Short: "write the manual pages",
		Long: `Writes the manual pages into a folder: onnx-compress.1 and one for each command,
such as onnx-compress-compress.1. The variable SOURCE_DATE_EPOCH has the date
that they bear.`,
		Example: "  onnx-compress man /usr/local/share/man/man1",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("where do the pages go? name one folder, for example onnx-compress man /usr/local/share/man/man1")
			}
			if err := os.MkdirAll(args[0], 0o777); err != nil {
				return err
			}
			root := newRoot(streams{})
			asMarkdown(root)
			return writePages(root, args[0])
		},
		ValidArgsFunction: cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs),
	}
}

// writePages writes the pages of a command and of those below it.
func writePages(cmd *cobra.Command, folder string) error {
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			if err := writePages(c, folder); err != nil {
				return err
			}
		}
	}
	var b strings.Builder
	if err := doc.GenMan(cmd, &doc.GenManHeader{Source: "onnx-compress", Manual: "User Commands"}, &b); err != nil {
		return err
	}
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
	return writeFile(filepath.Join(folder, name), func(w io.Writer) error {
		_, err := io.WriteString(w, asEntries(b.String()))
		return err
	})
}

// flagLine is a flag in a page, and what begins its paragraph.
var flagLine = regexp.MustCompile(`(?m)^(?:\.PP\n)?(\\fB-.*?)(?:\[=(?:true|false)\])?\n\t`)

// asEntries makes flags the entries of a list, with the lines of their tables apart, where
// cobra has tabs.
func asEntries(page string) string {
	lines := strings.Split(flagLine.ReplaceAllString(page, ".TP\n$1\n"), "\n")
	for i, line := range lines {
		text, found := strings.CutPrefix(line, "\t")
		if found && !strings.HasPrefix(text, " ") { // which breaks the line by itself
			text = ".br\n" + text
		}
		lines[i] = text
	}
	return strings.Join(lines, "\n")
}

// asMarkdown makes the texts of commands what cobra takes them for.
func asMarkdown(cmd *cobra.Command) {
	cmd.DisableAutoGenTag = true
	cmd.Long = markdown(strings.TrimSpace(cmd.Long) + "\n\n" + strings.Trim(cmd.Annotations[notesOf], "\n"))
	for _, flag := range flagsOf(cmd.Flags()) {
		var lines []string
		for _, line := range strings.Split(flag.Usage, "\n") {
			indent := len(line) - len(strings.TrimLeft(line, " "))
			lines = append(lines, line[:indent]+special.ReplaceAllString(line[indent:], `\$0`))
		}
		flag.Usage = strings.Join(lines, "\n\t")
		if value := annotation(flag, valueOf); value != "" {
			flag.DefValue = strings.Trim(value, "[=]")
			flag.Value = namedValue{flag.Value}
		}
	}
	for _, c := range cmd.Commands() {
		asMarkdown(c)
	}
}

// namedValue is a value that is shown by its name, without quotes.
type namedValue struct{ pflag.Value }

func (namedValue) Type() string { return "name" }

// special has a meaning in Markdown.
var special = regexp.MustCompile("[\\\\`*_{}\\[\\]<>#|~]")

// markdown keeps the breaks of indented lines.
func markdown(text string) string {
	var out []string
	fenced := false
	for _, line := range append(strings.Split(text, "\n"), "") {
		if indented := strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t"); indented != fenced {
			out, fenced = append(out, "```"), indented
		}
		if !fenced {
			line = special.ReplaceAllString(line, `\$0`)
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}
