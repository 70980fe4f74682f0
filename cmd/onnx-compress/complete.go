package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/search"
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
	var out []string
	for _, m := range compress.MethodTexts().Methods {
		out = append(out, cobra.CompletionWithDesc(m.Name, m.Title))
	}
	return out
}

func searchWords() []string {
	var out []string
	for _, m := range search.Methods() {
		out = append(out, m.Name)
	}
	return out
}

func resourceWords(behind string) []string {
	var out []string
	for _, r := range compress.Resources() {
		out = append(out, string(r)+behind)
	}
	return out
}

// targetWords are what can be bounded, resources before damages.
func targetWords() []string {
	out := resourceWords("=")
	for _, d := range compress.Damages() {
		out = append(out, string(d)+"=")
	}
	return out
}

func measureWords() []string {
	var out []string
	for _, m := range verify.Measures() {
		out = append(out, cobra.CompletionWithDesc(string(m)+"=", m.Title()))
	}
	return out
}
