package main

import (
	"context"
	"embed"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/search"
	"github.com/onnx-compress/onnx-compress/verify"
)

//go:embed completion/*
var completionScripts embed.FS

// shells are those that there is a script for.
func shells() []string { return []string{"bash", "zsh", "fish"} }

// runCompletion prints a shell's script, or what can stand next on a command line: the
// scripts only ask for that.
func runCompletion(_ context.Context, args []string, s streams) error {
	if len(args) > 1 && args[0] == "candidates" && args[1] == "--" {
		return writeCandidates(s, args[2:])
	}
	rest, err := parse(newFlags("completion"), args, s)
	if err != nil {
		return err
	}
	if len(rest) != 1 || !slices.Contains(shells(), rest[0]) {
		return usagef("completion %s: want one of %s", strings.Join(rest, " "), strings.Join(shells(), ", "))
	}
	script, err := completionScripts.ReadFile("completion/" + rest[0])
	if err != nil {
		return err
	}
	_, err = s.out.Write(script)
	return err
}

// candidate is a word that can stand next, and what it is.
type candidate struct{ word, text string }

// files is the candidate that stands for the names of files.
var files = candidate{word: ":files"}

func writeCandidates(s streams, words []string) error {
	for _, c := range candidates(words) {
		line := c.word
		if c.text != "" {
			line += "\t" + c.text
		}
		if _, err := fmt.Fprintln(s.out, line); err != nil {
			return err
		}
	}
	return nil
}

// candidates lists what the last of the words, those behind the program's name, can become.
func candidates(words []string) []candidate {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	before := words[:len(words)-1]
	cmd, own := dispatch(append(slices.Clone(before), "-"))
	if len(before) == 0 && !strings.HasPrefix(last, "-") {
		return append(startingWith(last, commandWords()), files)
	}
	if cmd.name == "help" || cmd.name == "completion" {
		all := commandWords()
		if cmd.name == "completion" {
			all = plainWords(shells())
		}
		return startingWith(last, all)
	}
	f, err := declared(cmd)
	if err != nil {
		return nil
	}
	own = own[:len(own)-1]
	if flag, value, prefix := valueOf(f, own, last); flag != nil {
		return valuesOf(cmd.name, flag, value, prefix)
	}
	if strings.HasPrefix(last, "-") {
		return startingWith(last, flagWords(cmd.name, f))
	}
	if cmd.name == "methods" {
		return startingWith(last, methodWords())
	}
	return []candidate{files}
}

// valueOf finds the flag whose value is being written, how far that is, and what of the
// last word stands before it. A shell may hand over --flag=value as three words.
func valueOf(f *pflag.FlagSet, before []string, last string) (flag *pflag.Flag, value, prefix string) {
	if name, v, joined := strings.Cut(last, "="); joined && strings.HasPrefix(name, "--") {
		return f.Lookup(name[2:]), v, name + "="
	}
	n := len(before)
	if n > 1 && before[n-1] == "=" {
		return f.Lookup(strings.TrimPrefix(before[n-2], "--")), last, ""
	}
	if n == 0 {
		return nil, "", ""
	}
	name := before[n-1]
	if last == "=" {
		last = ""
	}
	switch {
	case strings.HasPrefix(name, "--"):
		flag = f.Lookup(name[2:])
	case len(name) == 2 && name[0] == '-':
		flag = f.ShorthandLookup(name[1:])
	}
	if flag == nil || flag.NoOptDefVal != "" {
		return nil, "", "" // the next word is no value of it
	}
	return flag, last, ""
}

// valuesOf lists what a flag's value can become.
func valuesOf(command string, flag *pflag.Flag, value, prefix string) []candidate {
	var out []candidate
	if known := knownValues(flag.Name); known != nil {
		for _, c := range startingWith(value, known) {
			out = append(out, candidate{prefix + c.word, c.text})
		}
		return out
	}
	switch argument := explained(command, flag.Name).argument; {
	case strings.Contains(argument, "FILE"), strings.Contains(argument, "PATH"), strings.Contains(argument, "FOLDER"):
		return []candidate{files}
	}
	return nil
}

// knownValues lists the words that a flag takes, nil where they are without number.
func knownValues(flag string) []candidate {
	switch flag {
	case "methods":
		return methodWords()
	case "search":
		var out []candidate
		for _, m := range search.Methods() {
			out = append(out, candidate{word: m.Name})
		}
		return out
	case "target":
		var out []candidate
		for _, r := range compress.Resources() {
			out = append(out, candidate{word: string(r) + "="})
		}
		return out
	case "over":
		var out []candidate
		for _, r := range compress.Resources() {
			out = append(out, candidate{word: string(r)})
		}
		return out
	case "require":
		var out []candidate
		for _, m := range verify.Measures() {
			out = append(out, candidate{string(m) + "=", m.Title()})
		}
		return out
	case "normalize":
		return plainWords([]string{"imagenet", "cifar10", "cifar100", "half", "raw"})
	case "layout":
		return plainWords([]string{"nchw", "nhwc"})
	case "order":
		return plainWords([]string{"rgb", "bgr"})
	case "with":
		return plainWords([]string{"pip", "npm"})
	}
	return nil
}

func plainWords(words []string) []candidate {
	var out []candidate
	for _, w := range words {
		out = append(out, candidate{word: w})
	}
	return out
}

// commandWords are the commands with what help says of each.
func commandWords() []candidate {
	help, err := helpTexts.ReadFile("help/help.txt")
	if err != nil {
		return nil
	}
	var out []candidate
	for _, c := range commands() {
		text := ""
		for line := range strings.Lines(string(help)) {
			if rest, ok := strings.CutPrefix(line, "  "+c.name+" "); ok {
				text = strings.TrimSpace(rest)
			}
		}
		out = append(out, candidate{c.name, text})
	}
	return out
}

func methodWords() []candidate {
	var out []candidate
	for _, m := range compress.MethodTexts().Methods {
		out = append(out, candidate{m.Name, m.Title})
	}
	return out
}

func flagWords(command string, f *pflag.FlagSet) []candidate {
	out := []candidate{{"--help", "explain the command"}}
	f.VisitAll(func(flag *pflag.Flag) {
		out = append(out, candidate{"--" + flag.Name, explained(command, flag.Name).summary()})
	})
	return out
}

func startingWith(prefix string, words []candidate) []candidate {
	return slices.DeleteFunc(slices.Clone(words), func(c candidate) bool { return !strings.HasPrefix(c.word, prefix) })
}
