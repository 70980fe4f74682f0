package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/verify"
)

// completeWith lets a flag's value be completed.
func (f *flagSet) completeWith(name string, values cobra.CompletionFunc) {
	if err := f.cmd.RegisterFlagCompletionFunc(name, values); err != nil {
		panic(err) // the flag is not declared, or twice
	}
}

// completeValue lets files be offered only where a value names one.
func (f *flagSet) completeValue(flag *pflag.Flag) {
	value := annotation(flag, valueOf)
	_, known := f.cmd.GetFlagCompletionFunc(flag.Name)
	switch {
	case known, strings.Contains(value, "FILE"), strings.Contains(value, "PATH"):
	case strings.Contains(value, "FOLDER"):
		f.completeWith(flag.Name, cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs))
	default:
		f.completeWith(flag.Name, cobra.NoFileCompletions)
	}
}

// words offers the words that there are.
func words(all ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(all, cobra.ShellCompDirectiveNoFileComp)
}

// kinds offers words that a value follows after a sign.
func kinds(all ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(all, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace)
}

// ending offers files by the endings of their names.
func ending(all ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(all, cobra.ShellCompDirectiveFilterFileExt)
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
