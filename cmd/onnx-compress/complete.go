package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/verify"
)

// completion is what a value may be completed to, and how shells go on.
type completion struct {
	words []string
	how   cobra.ShellCompDirective
}

// asked gives the completion as cobra asks for it.
func (c completion) asked(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return c.words, c.how
}

// completeWith lets a flag's value be completed. cobra would keep a function for that, and with it the flag and all that its command
// declares, to the end of the process, so that it is told of them only where it is to complete.
func (f *flagSet) completeWith(name string, values completion) {
	flag := f.Lookup(name)
	if flag == nil || flag.Annotations[directiveOf] != nil {
		panic("flag " + name + " is not declared, or completed twice")
	}
	annotate(flag, directiveOf, strconv.Itoa(int(values.how)))
	flag.Annotations[completionsOf] = values.words
}

// completeValue lets files be offered only where a value names one.
func (f *flagSet) completeValue(flag *pflag.Flag) {
	value := annotation(flag, valueOf)
	switch {
	case flag.Annotations[directiveOf] != nil, strings.Contains(value, "FILE"), strings.Contains(value, "PATH"):
	case strings.Contains(value, "FOLDER"):
		f.completeWith(flag.Name, completion{how: cobra.ShellCompDirectiveFilterDirs})
	default:
		f.completeWith(flag.Name, words())
	}
}

// tellCompletions tells cobra how the values of all flags are completed, where that is what a command line asks for.
func tellCompletions(root *cobra.Command, args []string) {
	if len(args) == 0 || args[0] != cobra.ShellCompRequestCmd && args[0] != cobra.ShellCompNoDescRequestCmd {
		return
	}
	var tell func(cmd *cobra.Command)
	tell = func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(flag *pflag.Flag) {
			how, err := strconv.Atoi(annotation(flag, directiveOf))
			if err != nil {
				return // files are offered
			}
			c := completion{flag.Annotations[completionsOf], cobra.ShellCompDirective(how)}
			if err := cmd.RegisterFlagCompletionFunc(flag.Name, c.asked); err != nil {
				panic(err) // the flag was told of before
			}
		})
		for _, c := range cmd.Commands() {
			tell(c)
		}
	}
	tell(root)
}

// words offers the words that there are.
func words(all ...string) completion {
	return completion{all, cobra.ShellCompDirectiveNoFileComp}
}

// kinds offers words that a value follows after a sign.
func kinds(all ...string) completion {
	return completion{all, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace}
}

// ending offers files by the endings of their names.
func ending(all ...string) completion {
	return completion{all, cobra.ShellCompDirectiveFilterFileExt}
}

func methodWords() []string {
	return each(compress.MethodTexts().Methods, func(m compress.MethodText) string { return cobra.CompletionWithDesc(m.Name, m.Title) })
}

// targetWords are what can be bounded.
func targetWords() []string {
	return append(each(append(compress.Resources(), compress.RunTime), func(r compress.Resource) string { return string(r) + "=" }),
		each(compress.GoalMeasures(), func(m verify.Measure) string { return string(m) + "=" })...)
}

// each lists the words of things.
func each[T any](things []T, word func(T) string) []string {
	var out []string
	for _, thing := range things {
		out = append(out, word(thing))
	}
	return out
}
