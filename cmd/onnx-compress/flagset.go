package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagSet declares the flags of a command, by pflag's own methods, under the headings of its
// help. A flag's text begins with what stands for its value, in backquotes, but for a bool:
// "`FILE` where the model goes". Lines of a text that begin with spaces are a table.
type flagSet struct {
	*pflag.FlagSet
	cmd     *cobra.Command
	heading string
}

// The annotations of a flag that a person reads about in help.
const (
	headingOf = "heading" // what the flag stands under
	valueOf   = "value"   // the name of its value
	rowOf     = "row"     // the text of the flags that stand in one row with it
	firstOf   = "first"   // only the first flag of that row is named

	completionsOf = "completions" // the words that its value may be, or endings of files
	directiveOf   = "directive"   // how shells complete it, as cobra numbers the ways
)

// declare gives a command its flags.
func declare(cmd *cobra.Command, parts ...func(*flagSet)) *cobra.Command {
	f := &flagSet{cmd.Flags(), cmd, "Flags"}
	f.SortFlags = false
	for _, part := range parts {
		part(f)
	}
	f.seal()
	return cmd
}

// group begins a heading.
func (f *flagSet) group(heading string) {
	f.seal()
	f.heading = heading
}

// row declares flags that help names side by side, with one text for all of them. Their own
// texts are for completion, the schema and the manual.
func (f *flagSet) row(text string, parts ...func(*flagSet)) {
	f.seal()
	for _, part := range parts {
		part(f)
	}
	for _, flag := range f.unsealed() {
		annotate(flag, rowOf, text)
	}
	f.seal()
}

// describe gives a flag, which was declared together with others, a text and a place of its own.
func (f *flagSet) describe(name, text string) {
	f.seal()
	flag := f.Lookup(name)
	flag.Usage = text
	delete(flag.Annotations, rowOf)
}

// seal puts what was declared under the heading that holds.
func (f *flagSet) seal() {
	for _, flag := range f.unsealed() {
		value := ""
		if quoted, found := strings.CutPrefix(flag.Usage, "`"); found {
			value, flag.Usage, _ = strings.Cut(quoted, "` ")
		}
		annotate(flag, headingOf, f.heading)
		annotate(flag, valueOf, value)
		f.completeValue(flag)
	}
}

// unsealed are the flags that are under no heading yet.
func (f *flagSet) unsealed() []*pflag.Flag {
	return slices.DeleteFunc(flagsOf(f.FlagSet), func(flag *pflag.Flag) bool { return flag.Annotations[headingOf] != nil })
}

// flagsOf lists flags in the order of their declaration.
func flagsOf(f *pflag.FlagSet) []*pflag.Flag {
	var out []*pflag.Flag
	f.VisitAll(func(flag *pflag.Flag) { out = append(out, flag) })
	return out
}

// flagNames lists their names.
func flagNames(flags []*pflag.Flag) []string {
	return each(flags, func(flag *pflag.Flag) string { return flag.Name })
}

func annotate(flag *pflag.Flag, key, value string) {
	if flag.Annotations == nil {
		flag.Annotations = map[string][]string{}
	}
	flag.Annotations[key] = []string{value}
}

// annotation returns an annotation of a flag, "" where it has none.
func annotation(flag *pflag.Flag, key string) string {
	return strings.Join(flag.Annotations[key], "")
}

// summary is a flag's text without the table in it, in one line.
func summary(flag *pflag.Flag) string {
	text, _, _ := strings.Cut(flag.Usage, "\n ")
	return strings.ReplaceAll(text, "\n", " ")
}
